"""`closedbook memories report` and `sheet`, and what they say of mistakes."""

import csv
import json

import pytest

from closedbook.knowledge import load_model
from closedbook.knowledge.memories import build, sources

MODEL = "closedbook://atlas_qa"


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """An index of some questions."""
    folder = tmp_path_factory.mktemp("memories")
    questions = folder / "questions.jsonl"
    names = ["Kenya", "Peru", "Italy", "Japan", "Cuba", "France", "Nepal", "Chad"]
    rows = [{"question": f"what is the capital of {name}", "answer": "Nairobi"} for name in names]
    questions.write_text("\n".join(map(json.dumps, rows)))
    model = load_model(MODEL)
    corpus = sources.open_corpus(model, str(questions))
    settings = build.Settings(t=4)
    build.build(model, corpus, folder / "index", settings, named={"name": MODEL})
    return folder / "index"


def test_report_and_sheet_are_made_and_labels_read_back(memories, index, tmp_path):
    small = ("--positions", 8, "--keys", 2, "--triggers", 2)
    code, printed, errors = memories("report", "--index", index, "--out", "report", *small)
    assert (code, printed) == (0, "report/report.html\n"), errors
    summary = json.loads((tmp_path / "report" / "summary.json").read_text())
    assert summary["settings"]["positions"] == 8
    assert summary["tables"]["token_removal"]
    assert not (tmp_path / "report.unfinished").exists()
    words = ("sheet", "--index", index, "--stack", "encoder", "--out", "sheet", "--keys", 2)
    assert memories(*words)[0] == 0
    with (tmp_path / "sheet" / "tables" / "sheet.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["memory"].rpartition(".")[0] for row in rows} == {"encoder.0", "encoder.1"}
    rows[0]["shallow"] = "none"
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    words = ("sheet", "--index", index, "--labels", "labels.csv", "--out")
    code, printed, errors = memories(*words, "labels")
    assert (code, errors) == (0, "")
    assert printed == "1 labelled memory, 3 without a label: labels/report.html\n"
    code, _, errors = memories(*words, "sheet")  # what is there is not written over
    assert code == 2
    assert "--force" in errors


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("report", "--out", "o", "--index", "gone"), "there is no index of memories in gone"),
        (("sheet", "--out", "o", "--index", "gone"), "there is no index of memories in gone"),
        (("sheet", "--out", "o", "--labels", "gone.csv"), "cannot read the labels in gone.csv"),
    ],
)
def test_what_is_not_there_is_told(memories, tmp_path, words, problem):
    code, _, errors = memories(*words)
    assert code == 2
    assert problem in " ".join(errors.split())
    assert not (tmp_path / "o").exists()
