"""Judges behind one interface: who is asked about which rows, and what a judge may answer."""

import json

import pytest

from closedbook.errors import UserError
from closedbook.eval.analysis import analysis
from closedbook.eval.analysis.results import JudgeUsed
from closedbook.eval.equivalence import judged, judges, verdicts
from closedbook.eval.predictions import Prediction


def row(prediction, answers=("Paris",), question="what is the capital of France"):
    return Prediction(question=question, answers=answers, prediction=prediction)


ROWS = [row("Paris"), row("the city of Paris"), row("..."), row("Lyon")]


def scored(*values, **arguments):
    return judges.Scored(name="mine", probabilities=lambda rows: values, **arguments)


def test_shipped_judges_are_the_plain_functions():
    for name in verdicts.MODES:
        judge = judges.named(name)
        assert judge.judge_all(ROWS) == verdicts.judge_all(ROWS, mode=name)
        assert judge.threshold == verdicts.threshold(name)
    assert judges.named("rules").version is None
    assert len(judges.named("learned").version) == 12


def test_a_scored_judge_is_asked_about_open_rows_alone():
    asked = []

    def probabilities(rows):
        asked.extend(row.prediction for row in rows)
        return [0.75, 0.25]

    judge = judges.Scored(name="mine", probabilities=probabilities)
    told = judge.judge_all(ROWS)
    assert asked == ["the city of Paris", "Lyon"]
    assert [(v.equivalent, v.probability, v.reason) for v in told] == [
        (True, verdicts.EXACT, "exact"),
        (True, 0.75, "judge"),
        (False, 1 - verdicts.EXACT, "empty"),
        (False, 0.25, "judge"),
    ]
    assert told[1].evidence == "mine gives 0.75"
    asked.clear()
    assert judge.judge_all([ROWS[0]])[0].equivalent
    assert asked == []


def test_booleans_verdicts_and_thresholds():
    whole = verdicts.Verdict(equivalent=True, probability=0.6, reason="alias", evidence="x")
    assert scored(whole, False).judge_all(ROWS)[1] == whole
    assert not scored(True, False).judge_all(ROWS)[3].equivalent
    strict = scored(0.7, 0.2, threshold=0.8)
    assert not strict.judge_all(ROWS)[1].equivalent


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0.5,), "gave 1 values for 2 rows"),
        ((0.5, 1.5), "gave '1.5'; it must give a probability"),
        ((0.5, float("nan")), "gave 'nan'"),
        ((0.5, "yes"), "gave 'yes'"),
        ((None, 0.5), "gave 'None'"),
    ],
)
def test_a_judge_that_gives_no_probabilities_is_told(values, message):
    with pytest.raises(UserError, match=message):
        scored(*values).judge_all(ROWS)


def test_a_function_of_the_working_directory_judges(tmp_path, monkeypatch):
    (tmp_path / "my_judge.py").write_text(
        "NAME = 'x'\ndef longest(rows):\n    return [len(row.prediction) / 100 for row in rows]\n"
    )
    monkeypatch.chdir(tmp_path)
    told = judges.named("my_judge:longest").judge_all(ROWS)
    assert told[1].probability == 0.17
    for name, message in (
        ("my_judge:shortest", "cannot take the judge my_judge:shortest"),
        ("no_such_module:f", "No module named"),
        ("my_judge:NAME", "must be a function"),
    ):
        with pytest.raises(UserError, match=message):
            judges.named(name)


@pytest.mark.parametrize("name", ["guess", "t5", "t5:somewhere", "cross-encoder:", ":f", ""])
def test_unknown_judges_are_refused(name):
    with pytest.raises(UserError, match="unknown judge"):
        judges.named(name)


def test_an_analysis_takes_a_judge_and_names_it():
    found = analysis.analyze(ROWS, judge=scored(0.9, 0.1, version="7"))
    assert found.meta.judge == JudgeUsed(mode="mine", threshold=0.5, weights="7")
    assert [example.verdict for example in found.examples] == [
        "correct",
        "phrasing",
        "wrong",
        "wrong",
    ]


def test_texts_for_a_t5_are_one_line_and_cut():
    text = judges.pair_text("who\nis it", ["a " * 400] * 20, "x" * 1_000_000)
    assert text.startswith("answer equivalence question: who is it reference: a a")
    assert "\n" not in text
    assert len(text) < 1_600
    assert "candidate: xxx" in text


def test_judged_lines_and_evounas_form_are_read(tmp_path):
    ours = tmp_path / "judged.jsonl"
    line = {"question": "q", "answers": ["7/8", "b"], "prediction": "c", "equivalent": True}
    ours.write_text(json.dumps(line) + "\n")
    (found,) = judged.read(ours)
    assert (found.answers, found.equivalent, found.system) == (("7/8", "b"), True, None)
    theirs = tmp_path / "NQ.json"
    systems = {f"answer_{s}": s for s in judged.SYSTEMS} | {f"judge_{s}": 0 for s in judged.SYSTEMS}
    good = systems | {"question": "q", "golden_answer": "seven/7", "improper": False}
    theirs.write_text(json.dumps([good | {"answer_fid": None}, good | {"improper": True}]))
    rows = judged.read(theirs)
    assert [r.system for r in rows] == list(judged.SYSTEMS[1:])
    assert rows[0].answers == ["seven", "7"]
    assert not rows[0].equivalent


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"question": "q", "answers": ["a"], "prediction": "c"}', r"x:1: \"equivalent\" is null"),
        ('{"question": "q", "answers": ["a"], "prediction": "c", "equivalent": 1}', "is 1; it"),
        ('[{"question": "q"}]', "not in EVOUNA's form: KeyError"),
        ("[", "not in EVOUNA's form"),
        ("", "holds no judged predictions"),
    ],
)
def test_bad_judged_files_get_one_message(tmp_path, text, message):
    path = tmp_path / "x"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        judged.read(path)


def test_a_question_is_in_one_split_whatever_its_spelling():
    parts = [judged.part(f"question {number}") for number in range(2000)]
    assert 0.77 < parts.count("train") / 2000 < 0.83
    assert 0.08 < parts.count("test") / 2000 < 0.12
    for number in range(50):
        assert judged.part(f"Question  {number}?") == parts[number]
