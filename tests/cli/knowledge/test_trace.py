"""The command closedbook trace: from a prompt to a page, and one message for each mistake."""

import json

import pytest

KENYA = ["--prompt", "What is the capital of Kenya?", "--subject", "Kenya"]


def test_a_prompt_is_traced_with_nothing_else_given(run, tmp_path):
    words = ("trace", *KENYA, "--out", tmp_path / "out")
    code, said, errors = run(*words, "--samples", 2, "--kinds", "encoder.state,decoder.state")
    assert (code, errors) == (0, "")
    assert "What is the capital of Kenya?  Nairobi" in said
    assert "last subject token" in said
    (row,) = map(json.loads, (tmp_path / "out" / "results.jsonl").read_text().splitlines())
    assert row["answer"] == "Nairobi"
    assert row["clean"] > 0.9 > 0.2 > row["corrupted"]
    assert "Nairobi" in (tmp_path / "out" / "report.html").read_text()
    command = json.loads((tmp_path / "out" / "command.json").read_text())
    assert command["arguments"]["subject"] == "Kenya"
    code, _, errors = run(*words)
    assert code == 2
    assert "--force" in errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give either --prompt with --subject, or --facts"),
        (KENYA[:2], "--prompt and --subject go together"),
        ([*KENYA, "--facts", "atlas"], "give either"),
        ([*KENYA[:2], "--subject", "Peru"], "'Peru' does not stand in the prompt"),
        (["--prompt", "Is Kenya in Kenya?", "--subject", "Kenya"], "stands 2 times"),
        ([*KENYA, "--kinds", "encoder.mpl"], "encoder.mlp"),
        ([*KENYA, "--convention", "papre"], "paper"),
        ([*KENYA, "--distribution", "normal"], "unknown --distribution 'normal'"),
        ([*KENYA, "--score", "last"], "answer"),
        ([*KENYA, "--approx", "rel"], "relp"),
        ([*KENYA, "--verify", "3"], "--verify goes with --approx"),
        ([*KENYA, "--sigmas", "-1"], "--sigmas is -1"),
        ([*KENYA, "--noise", "-1"], "the noise is -1.0"),
        (["--facts", "atlas", "--relations", "country_capitol"], "country_capital"),
        ([*KENYA, "--model", "closedbook://atlas_ssm"], "write <extra_id_0> where the answer"),
        (["--facts", "no_such_file.jsonl"], "no_such_file.jsonl"),
    ],
)
def test_mistakes_get_one_message_and_write_nothing(run, tmp_path, arguments, said):
    code, printed, errors = run("trace", *arguments, "--out", tmp_path / "out")
    assert (code, printed) == (2, "")
    assert errors.count("error: ") == 1
    assert said in errors
    assert not (tmp_path / "out").exists()


def test_facts_that_cannot_be_put_are_left_out_and_counted(run, tmp_path):
    rows = [
        {"subject": "Kenya", "object": "Nairobi", "prompt": "What is the capital of {}?"},
        {"subject": "", "object": "Nairobi", "prompt": "Which city is it?"},
        {"subject": "", "object": "Oslo", "prompt": "Which town is it?"},
        {"subject": "Kenya " * 200, "object": "Nairobi", "prompt": "What is the capital of {}?"},
        {"subject": "Kenya", "object": "Oslo", "prompt": "What is the capital city of {}?"},
    ]
    file = tmp_path / "facts.jsonl"
    file.write_text("".join(json.dumps({**row, "relation": "capital"}) + "\n" for row in rows))
    words = ("trace", "--facts", file, "--samples", 1, "--kinds", "encoder.state", "--no-severed")
    code, said, _ = run(*words, "--out", tmp_path / "out")
    assert code == 0
    assert "1 fact, 1 left out, which the model answers wrong" in said
    assert "2 left out, without a subject; the first: fact capital:2 has no subject" in said
    left = json.loads((tmp_path / "out" / "summary.json").read_text())["left_out"]
    assert {reason: each["facts"] for reason, each in left.items()} == {
        "without a subject": 2,
        "prompt too long": 1,
    }
    file.write_text("".join(json.dumps({**r, "relation": "capital"}) + "\n" for r in rows[1:3]))
    code, _, errors = run(*words, "--out", tmp_path / "none")
    assert code == 2
    assert "none of the 2 facts" in errors
    assert "2 left out" in errors
    assert not (tmp_path / "none").exists()


def test_of_one_prompt_the_best_cell_is_named_by_its_token(run, tmp_path):
    kind = "encoder.attention"
    words = ("trace", *KENYA, "--samples", 2, "--kinds", kind, "--no-severed")
    code, said, errors = run(*words, "--out", tmp_path / "out")
    assert (code, errors) == (0, "")
    (row,) = map(json.loads, (tmp_path / "out" / "results.jsonl").read_text().splitlines())
    cells = [
        (score, token, layer)
        for token, scores in enumerate(row["scores"][kind])
        for layer, score in enumerate(scores)
    ]
    score, token, layer = max(cells)
    [line] = [line for line in said.splitlines() if line.startswith(kind)]
    assert repr(row["tokens"]["encoder"][token]) in line
    assert line.split()[-2:] == [str(layer), f"{100 * (score - row['corrupted']):.1f}"]
