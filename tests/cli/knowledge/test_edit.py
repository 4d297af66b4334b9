"""`closedbook edit` and `closedbook edit-eval` from the command line."""

import json

import pytest

from closedbook.knowledge.editing import deltas

FAST = ("--steps", "12", "--learning-rate", "0.3")
KENYA = ("--subject", "Kenya", "--prompt", "What is the capital of {}?", "--target", "Kigali")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """A small corpus, and moments that are kept for all tests of this file."""
    folder = tmp_path_factory.mktemp("cache")
    corpus = folder / "corpus.txt"
    names = ("Kenya", "Peru", "France", "Nepal", "Cuba", "Norway", "Spain", "Zambia")
    asked = ("What is the capital of {}?", "Which currency does {} use?", "Name the people of {}.")
    corpus.write_text("".join(f"{each.format(name)}\n" for name in names for each in asked))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOSEDBOOK_CACHE", str(folder))
        yield ("--corpus", str(corpus), "--ridge", "0.1")


def test_an_edit_is_shown_written_listed_and_undone(run, tmp_path, cache):
    out = tmp_path / "kenya"
    code, printed, errors = run("edit", *KENYA, "--out", out, "--check", "none", *FAST, *cache)
    assert code == 0, errors
    assert "Nairobi  ✓ Kigali" in printed
    page = (out / "report.html").read_text()
    assert "Kenya → Kigali" in page
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert {row["kind"] for row in rows} == {"the prompt", "its contexts", "unseen phrasings"}
    assert rows[0]["before"] == "Nairobi"
    assert rows[0]["after"] == "Kigali"
    listed = json.loads(run("edit", "--list", out)[1])
    assert (listed["subject"], listed["target"], listed["method"]) == ("Kenya", "Kigali", "rome")
    delta = out / "model" / "edits" / listed["delta"]
    assert delta.stat().st_size < 50_000
    assert json.loads(run("edit", "--compare", delta, delta)[1])["cosine"] == pytest.approx(1)
    code, _, errors = run("edit", "--apply", delta, "--out", tmp_path / "again")
    assert code == 0, errors
    assert len(deltas.load(delta).changes) == 1
    assert "1 edit undone" in run("edit", "--undo", out)[1]


def test_a_folder_that_is_made_again_keeps_no_model_of_another_edit(run, tmp_path, cache):
    out = tmp_path / "again"
    words = (*KENYA, "--out", out, "--check", "none", "--steps", "1", *cache)
    assert run("edit", *words)[0] == 0
    assert run("edit", *words, "--delta", "--model", out / "model", "--force")[0] == 0
    assert (out / "model").is_dir()  # it was edited, and so stays
    assert run("edit", *words, "--delta", "--force")[0] == 0
    assert not (out / "model").exists()
    assert run("edit", *words, "--force")[0] == 0
    assert not (out / "delta.npz").exists()


@pytest.mark.parametrize(("words", "decay"), [((), 3), (("--decay", "7"), 7)])
def test_many_edits_change_less_each_and_leave_earlier_ones_alone(
    run, tmp_path, cache, words, decay
):
    names = ("subject", "object", "target")
    facts = (("Kenya", "Nairobi", "Kigali"), ("Peru", "Lima", "Oslo"))
    same = {"relation": "capital", "prompt": "What is the capital of [X]?"}
    file = tmp_path / "edits.jsonl"
    rows = [{**same, **dict(zip(names, fact, strict=True))} for fact in facts]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    out = tmp_path / "many"
    code, _, errors = run(
        "edit", "--edits", file, "--out", out, "--check", "none", *FAST, *words, *cache
    )
    assert code == 0, errors
    made = json.loads((out / "command.json").read_text())["arguments"]
    assert made["accumulate_keys"] is True
    assert made["value"]["decay"] == decay
    assert made["edits"] == str(file)
    assert "keys of earlier edits weigh 1" in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*KENYA[:4], "--target", "Nairobi"), "is what the model answers already"),
        ((*KENYA, "--layer", "9"), "layer 9 does not exist"),
        ((*KENYA, "--method", "rme"), "rome"),
        ((*KENYA[:2], "--prompt", "Who?", "--target", "x"), "is not in the prompt"),
        (("--subject", "Kenya"), "--subject needs --prompt and --target"),
        ((), "give --subject, --prompt and --target for one edit"),
        ((*KENYA[:4], "--target", " "), "the target is empty"),
    ],
)
def test_a_mistake_gets_one_message_and_leaves_nothing_behind(run, tmp_path, cache, words, message):
    out = tmp_path / "out"
    code, _, errors = run("edit", *words, "--out", out, "--check", "none", *cache)
    assert code == 2
    assert errors.count("error: ") == 1
    assert message in errors
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--method", ","), "no method is given; there are rome, memit"),
        (("--method", "rome,mend"), "unknown method 'mend'"),
        (("--sequence", "1,x"), "'1,x' is no list of numbers"),
        (("--layer", "a"), "--layer is 'a'; give numbers from 0"),
    ],
)
def test_an_evaluation_is_refused_before_a_model_is_opened(run, tmp_path, words, message):
    code, _, errors = run("edit-eval", "--out", tmp_path / "out", "--model", "nowhere", *words)
    assert code == 2
    assert message in errors
    assert not (tmp_path / "out").exists()


def test_edits_are_evaluated_and_written(run, tmp_path, cache):
    out = tmp_path / "eval"
    words = ("--edits", "1", "--others", "20", "--sequence", "1", "--method", "ft-m", *cache[:2])
    words = (*words, "--stop", "0.07", "--accumulate-keys")
    code, _, errors = run("edit-eval", "--out", out, *words)
    assert code == 0, errors
    summary = json.loads((out / "summary.json").read_text())["variants"]["ft-m"]
    assert summary["n"] == 1
    assert set(summary["free"]) >= {"prompt", "rephrasings", "all others"}
    assert summary["sequence"][0]["edits"] == 1
    assert summary["settings"]["single"]["method"] == "ft-m"
    for settings in summary["settings"].values():
        assert settings["value"]["stop"] == 0.07
        assert settings["accumulate_keys"] is True
    assert (out / "figures" / "sequence.svg").exists()
    assert "ft-m" in (out / "report.html").read_text()
