"""Facts that `closedbook probe` cannot ask: one message, exit code 2, nothing half-written."""

import json
import pathlib

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
FACT = {"subject": "Peru", "relation": "r", "object": "Lima", "prompt": "{} has [Y]."}
CUBA = {**FACT, "subject": "Cuba", "object": "Havana"}
TREX = {"uuid": "1", "sub_label": "Peru", "obj_label": "Lima", "predicate_id": "P36"}
LAMA = "data/TREx/P36.jsonl"


def written(folder, files):
    for name, rows in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def snapshot(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"data/f.jsonl": [{**FACT, "prompt": ""}]}, "relation r has no template"),
        ({LAMA: [TREX]}, "relation P36 has no template"),
        (
            {LAMA: [TREX], "data/relations.jsonl": [{"relation": "P19", "template": "[X] in [Y]"}]},
            "relation P36 has no template",
        ),
        ({"data/f.jsonl": [{**FACT, "prompt": "It has [Y]."}]}, "0 places for the subject"),
        (
            {"data/f.jsonl": [{"relation": "r", "templates": ["It has [Y]."]}, FACT]},
            "0 places for the subject",
        ),
        (
            {LAMA: [TREX], "data/relations.jsonl": [{"relation": "P36", "template": "[X] in it"}]},
            "no place for the object",
        ),
        (
            {"data/f.jsonl": [FACT, {**CUBA, "object": "\u200b"}]},
            "does not tokenise",
        ),
        ({"data/f.jsonl": [FACT, {**CUBA, "object": "Ｌima"}]}, "is spelled like 'Lima'"),
        (
            {"data/f.jsonl": [FACT, {"relation": "s", "candidates": ["Lima", "Oslo"]}]},
            "relation s has no facts",
        ),
        ({"data/f.jsonl": [{"relation": "s", "candidates": ["Lima", "Oslo"]}]}, "no facts"),
        (
            {LAMA: [], "data/relations.jsonl": [{"relation": "P36", "template": "[X] in [Y]"}]},
            "P36.jsonl is empty",
        ),
        ({"data/f.jsonl": [FACT, {**CUBA, "object": None}]}, "f.jsonl:2"),
        ({"data/f.jsonl": [FACT, {**CUBA, "object": ""}]}, "the fact has no object"),
        (
            {
                LAMA: [{**TREX, "obj_label": ""}],
                "data/relations.jsonl": [{"relation": "P36", "template": "[X] in [Y]"}],
            },
            '"obj_label" is ""',
        ),
        (
            {"data/f.jsonl": [{"relation": "r", "candidates": ["Oslo", "Rome"]}, FACT]},
            "not among its candidates",
        ),
        ({"data/f.jsonl": []}, "f.jsonl is empty"),
    ],
)
def test_one_message_and_nothing_written(probe, tmp_path, files, message):
    written(tmp_path, files)
    before = snapshot(tmp_path)
    data, out = tmp_path / "data", tmp_path / "out"
    code, _, errors = probe("--data", data, "--out", out)
    assert code == 2, errors
    assert message in errors
    assert len(errors.strip().splitlines()) == 1
    assert snapshot(tmp_path) == before


def test_what_no_model_can_go_on_with_is_left_out_and_counted(probe, tmp_path, golden):
    followed = {**FACT, "relation": "s", "prompt": "[Y] is in {}."}
    other = {**FACT, "object": "Cusco", "prompt": "{} has [Y] for a city."}
    rows = [FACT, CUBA, other, followed, {**followed, "subject": "Cuba", "object": "Havana"}]
    written(tmp_path, {"data/f.jsonl": rows})
    model, out = golden / "lm_pub_quiz" / "model", tmp_path / "out"
    words = ("--model", model, "--data", tmp_path / "data", "--k", 1)
    code, printed, errors = probe(*words, "--out", out)
    assert (code, errors) == (0, "")
    assert (
        "left out     3 facts: text follows the object; --style sentence asks them too" in printed
    )
    asked = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [row["prompt"] for row in asked] == ["Peru has", "Cuba has"]
    # Cusco is right for Peru all the same, and so does not count against Lima.
    assert [row["candidates"] for row in asked] == [2, 3]
    assert json.loads((out / "summary.json").read_text())["dropped"] == {
        "text follows the object": 3
    }
    written(tmp_path, {"data/f.jsonl": rows[3:]})
    code, _, errors = probe(*words, "--out", tmp_path / "none")
    assert code == 2
    assert "no fact is left" in errors
    assert "--style sentence" in errors
    assert not (tmp_path / "none").exists()


def test_the_example_of_the_page_on_own_facts_prints_what_the_page_shows(
    probe, monkeypatch, tmp_path
):
    blocks = (REPOSITORY / "docs" / "your_facts.md").read_text().split("```")
    rows, command, printed = (blocks[place].partition("\n")[2] for place in (1, 3, 5))
    monkeypatch.chdir(tmp_path)
    pathlib.Path("facts.jsonl").write_text(rows)
    words = command.split()
    assert words[:2] == ["closedbook", "probe"]
    assert probe(*words[2:]) == (0, printed, "")
