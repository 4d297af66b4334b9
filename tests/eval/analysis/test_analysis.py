"""The analysis of a predictions file as plain data, and the directory that it is written to."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections import Counter

import pytest

from closedbook.errors import UserError
from closedbook.eval import predictions
from closedbook.eval.analysis import analysis
from closedbook.eval.analysis.comparison import compare
from closedbook.eval.analysis.kinds import Kind
from closedbook.eval.analysis.results import RowScore
from closedbook.eval.files.gold import Gold
from closedbook.eval.predictions import Prediction
from closedbook.eval.report import outputs

ROWS = [
    Prediction(question="who wrote dracula", answers=("Bram Stoker",), prediction="bram stoker"),
    Prediction(question="when did it open", answers=("April 15",), prediction="April 15th"),
    Prediction(question="name a gas", answers=("argon",), prediction="neon"),
    Prediction(
        question="who is the current prime minister of japan",
        answers=("Yoshihide Suga",),
        prediction="Shinzo Abe",
    ),
]
KEYS = {
    "scores",
    "correct",
    "verdict",
    "probability",
    "reason",
    "evidence",
    "flag",
    "flag_reason",
    "candidate",
    "slices",
}


def analyzed(rows=ROWS, **arguments):
    return analysis.analyze(rows, judge="rules", **arguments)


def test_everything_is_plain_json():
    found = analyzed()
    for value in (found.to_json(), [row.as_dict() for row in found.examples]):
        assert json.loads(json.dumps(value, allow_nan=False)) == value
    assert "examples" not in found.to_json()


def test_each_example_keeps_its_row_and_gets_a_verdict():
    also = {"other": [Prediction(question="Name a gas", answers=("argon",), prediction="Neon")]}
    found = analyzed(also=also)
    assert [row.verdict for row in found.examples] == [
        "correct",
        "phrasing",
        "incomplete?",
        "unanswerable",
    ]
    assert [row.id for row in found.examples] == ["1", "2", "3", "4"]
    for row, example in zip(ROWS, found.examples, strict=True):
        assert example.as_dict().keys() >= KEYS | row.as_dict().keys()
        assert example.as_dict()["prediction"] == row.prediction
    assert found.examples[1].reason == "date"
    assert found.examples[1].scores["squad"] == RowScore(em=0.0, f1=0.5)
    assert found.examples[3].flag == "time_dependent"
    assert found.candidates[0].id == "3"
    assert found.examples[2].candidate == found.candidates[0].score > 0


def test_the_headline_is_the_chosen_protocols():
    rows = [Prediction(question="", answers=("St. Paul's",), prediction="St. Paul’s")]
    for protocol, em in (("squad", 0.0), ("trivia_qa", 1.0)):
        found = analyzed(rows, protocol=protocol)
        assert found.taxonomy.em.mean == em
        assert found.meta.protocol == found.protocols[0].protocol == protocol
    assert {line.protocol for line in found.protocols} >= {"squad", "nq_open", "dpr", "lm_eval"}


def test_protocols_and_taxonomy_agree_on_the_headline():
    found = analyzed(ROWS * 3)  # rows that share questions have wider intervals
    assert found.meta.n_questions == 4
    assert found.taxonomy.em.mean == found.protocols[0].em.mean == 0.25
    assert found.taxonomy.em.high >= analyzed().taxonomy.em.high - 0.3


def test_labels_decide_before_the_judge():
    labels = {"2": Kind.TRUE_NEGATIVE, "3": Kind.INCOMPLETE, "4": Kind.UNANSWERABLE}
    found = analyzed(labels=labels)
    assert found.taxonomy.labelled
    assert found.taxonomy.adjusted.mean == pytest.approx((1 + 1) / (4 - 1))
    assert [row.verdict for row in found.examples][1:] == [
        "wrong",
        "incomplete?",
        "unanswerable",
    ]
    assert [row.label for row in found.examples][:2] == [None, "true negative"]


def test_flags_of_rows_that_share_a_question_are_no_more_certain():
    [alone] = analyzed().answerability
    [shared] = analyzed(ROWS * 50).answerability
    assert (alone.share, shared.share) == (0.25, 0.25)
    assert shared.high - shared.low > 0.7


def test_confidence_and_training_make_slices():
    rows = [
        Prediction(question=f"who is {n}", answers=("Ann",), prediction="ann", score=-float(n))
        for n in range(10)
    ]
    found = analyzed(rows, train=[Gold(question="who is 3", answers=("Ann",))])
    named = {line.slice for line in found.slices}
    assert named >= {"confidence", "met in training"}
    assert found.confidence.strict.aurc.mean == 0
    assert analyzed().confidence is None


def test_progress_goes_through_the_steps_to_the_end():
    told = []
    analyzed(progress=lambda step, done, total: told.append((step, done / total)))
    assert list(dict.fromkeys(step for step, _ in told)) == list(analysis.STEPS)
    assert [share for _, share in told] == sorted(share for _, share in told)
    assert told[-1][1] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"protocol": "squat"}, "unknown protocol 'squat'.*squad"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"threshold": float("nan")}, "threshold is nan"),
        ({"labels": {"9": Kind.PHRASING}}, "1 of 1 labels have an id that no prediction has"),
        ({"labels": {"1": Kind.PHRASING}}, "none of the labels is of a wrong prediction"),
        ({"also": {"b": ROWS[:1]}, "rows": ROWS[1:]}, "b has no question in common"),
        ({"rows": []}, "no predictions"),
        ({"other_gold": [Gold(question="?", answers=("a",))]}, "other gold has no question in"),
        (
            {"rows": [dataclasses.replace(ROWS[0], id="2"), ROWS[1]]},
            "row 2 has no id, and its number is the id of row 1",
        ),
    ],
)
def test_mistakes(arguments, message):
    with pytest.raises(UserError, match=message):
        analyzed(**arguments)


def test_an_unknown_judge_lists_the_known_ones():
    with pytest.raises(UserError, match=r"unknown judge 'rule'.*rules"):
        analysis.analyze(ROWS, judge="rule")


def test_the_threshold_moves_the_verdict():
    assert analyzed(threshold=1.0).examples[1].verdict != "phrasing"
    assert analyzed(threshold=0.0).examples[2].verdict == "phrasing"


@pytest.mark.parametrize(
    "text", ["a" * 1_000_000, "1 " * 500_000, "(" * 1_000_000, "\u202e<script>" * 100_000, "", "\0"]
)
def test_hostile_texts_are_fast(text):
    started = time.process_time()  # of this process alone: the machine may be busy
    analyzed([Prediction(question=text, answers=(text, "x"), prediction=text + "y")] * 2)
    assert time.process_time() - started < 20


def test_real_predictions_have_the_published_exact_match(judged):
    rows = predictions.read(judged / "judged/openqa_eval/model_outputs/NQ_FiD.jsonl")
    found = analyzed(rows)
    assert round(100 * found.taxonomy.em.mean, 2) == 46.48
    assert 0.55 < found.taxonomy.adjusted.mean < 0.65
    assert sum(row.count for row in found.taxonomy.rows) == 1932
    told = Counter(row.verdict for row in found.examples)
    assert told["phrasing"] == found.taxonomy.rows[1].count  # one number under one name


def test_the_adjusted_score_holds_what_people_say_of_the_same_predictions(judged):
    """Marks of EVOUNA's annotators, on the questions that they did not call improper.

    They marked right answers by the gold, so incomplete annotations do not count for them either.
    The judge has learned from four in five of these marks or more.
    """
    data = json.loads((judged / "judged/evouna/NQ.json").read_text(encoding="utf-8"))
    for system in ("fid", "gpt35", "chatgpt", "gpt4", "newbing"):
        kept = [
            row
            for row in data
            if row["golden_answer"]
            and not row["improper"]
            and row[f"answer_{system}"] is not None
            and row[f"judge_{system}"] is not None
        ]
        rows = [
            Prediction(
                question=row["question"],
                answers=row["golden_answer"].split("/"),
                prediction=row[f"answer_{system}"],
            )
            for row in kept
        ]
        found = analysis.analyze(rows)
        people = [
            row[f"judge_{system}"] or example.correct
            for row, example in zip(kept, found.examples, strict=True)
        ]
        adjusted = found.taxonomy.adjusted
        assert adjusted.low < sum(people) / len(people) < adjusted.high, system


def test_importing_needs_nothing_heavy():
    code = (
        "import sys, closedbook.eval.analysis, closedbook.eval.report.outputs\n"
        "import closedbook.cli.closedbook\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    environment = os.environ | {"PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    heavy = {"jax", "tensorflow", "pandas", "sklearn", "scipy", "plotly", "vl_convert", "flax"}
    assert not heavy & set(done.stdout.split())


def test_the_report_directory_appears_whole(tmp_path):
    out = outputs.write_analysis(analyzed(), tmp_path / "new" / "report")
    names = {path.name for path in out.iterdir()}
    assert names >= {"summary.json", "examples.jsonl", "candidates.jsonl", "figures"}
    assert names >= {"report.html", "report.md", "report.tex"}
    assert json.loads((out / "summary.json").read_text())["meta"]["n"] == 4
    read = predictions.read(out / "examples.jsonl")  # passes through the reader again
    assert [row.prediction for row in read] == [row.prediction for row in ROWS]
    assert [path.name for path in out.parent.iterdir()] == ["report"]


def test_only_a_report_is_replaced_and_only_by_force(tmp_path):
    found = analyzed()
    out = tmp_path / "report"
    out.mkdir()  # an empty folder is free
    outputs.write_analysis(found, out)
    with pytest.raises(UserError, match="--force"):
        outputs.write_analysis(found, out)
    outputs.write_analysis(found, out, force=True)
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter.tex").write_text("precious")
    with pytest.raises(UserError, match="no report of ours"):
        outputs.write_analysis(found, other, force=True)
    with pytest.raises(UserError, match="no folder"):
        outputs.check_target(other / "chapter.tex", force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report", "thesis"]


def test_what_others_put_into_a_report_is_kept_when_it_is_replaced(tmp_path):
    out = outputs.write_analysis(analyzed(), tmp_path / "report")
    (out / "labels.jsonl").write_text("an hour's work")
    (out / "figures" / "mine").mkdir()
    (out / "figures" / "mine" / "plot.svg").write_text("my plot")
    (out / "figures" / "calibration.svg").write_text("of a former analysis")
    outputs.write_analysis(analyzed(), out, force=True)
    assert (out / "labels.jsonl").read_text() == "an hour's work"
    assert (out / "figures" / "mine" / "plot.svg").read_text() == "my plot"
    assert not (out / "figures" / "calibration.svg").exists()


def test_a_report_that_another_run_finished_meanwhile_is_not_replaced(tmp_path, monkeypatch):
    found, out, write_lines = analyzed(), tmp_path / "report", outputs.write_lines

    def slow(path, rows):
        out.mkdir(exist_ok=True)
        (out / "summary.json").write_text("the other's")
        write_lines(path, rows)

    monkeypatch.setattr(outputs, "write_lines", slow)
    with pytest.raises(UserError, match="--force"):
        outputs.write_analysis(found, out)
    assert (out / "summary.json").read_text() == "the other's"
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_all_files_of_a_report_are_known_as_ours(tmp_path):
    rows = [dataclasses.replace(row, score=-1.0 - n) for n, row in enumerate(ROWS)]
    found = outputs.write_analysis(analyzed(rows), tmp_path / "a")
    pair = compare({"a": ROWS, "b": ROWS[:2]})
    other = outputs.write_comparison(pair, tmp_path / "b")
    names = {
        path.relative_to(folder).as_posix()
        for folder in (found, other)
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert names == outputs._OURS


@pytest.mark.parametrize("inside", [".", "deeper"])
def test_the_working_directory_is_not_replaced(tmp_path, monkeypatch, inside):
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / inside)
    for out in (".", tmp_path):
        with pytest.raises(UserError, match="working directory"):
            outputs.write_analysis(analyzed(), out)


def test_a_failure_leaves_the_former_report_and_nothing_else(tmp_path, monkeypatch):
    found = analyzed()
    out = outputs.write_analysis(found, tmp_path / "report")
    before = (out / "summary.json").read_bytes()

    def broken(path, rows):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outputs, "write_lines", broken)
    with pytest.raises(UserError, match="No space left"):
        outputs.write_analysis(found, out, force=True)
    assert (out / "summary.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
