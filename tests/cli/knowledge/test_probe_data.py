"""Facts that `closedbook probe` cannot ask: one message, exit code 2, nothing half-written."""

import json
import sys

import pytest

from closedbook.cli import closedbook

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
def test_one_message_and_nothing_written(monkeypatch, capsys, tmp_path, files, message):
    written(tmp_path, files)
    before = snapshot(tmp_path)
    data, out = tmp_path / "data", tmp_path / "out"
    words = ["closedbook", "probe", "--data", str(data), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        closedbook.main()
    errors = capsys.readouterr().err
    assert ended.value.code == 2, errors
    assert message in errors
    assert len(errors.strip().splitlines()) == 1
    assert snapshot(tmp_path) == before
