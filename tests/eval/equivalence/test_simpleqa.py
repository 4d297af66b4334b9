"""SimpleQA's shares and F1, computed by hand, and where they are shown."""

import json

import pytest
from typer.testing import CliRunner

from closedbook.cli.closedbook import app
from closedbook.errors import UserError
from closedbook.eval import analyze, compare, metrics, score
from closedbook.eval.equivalence import judges, simpleqa
from closedbook.eval.equivalence.reasons import Grade

SAID = ("Paris", "It is Paris.", "Lyon", "I don't know.", "Paris or Lyon", "")
ROWS = [
    {"question": f"capital of province {n}", "answers": ["Paris"], "prediction": SAID[n % 6]}
    for n in range(60)
]


def test_shares_and_f1_by_hand():
    # 20 of 60 right, 20 wrong, 20 silent: C = 1/3, A = 1/2, F1 = 2 C A / (C + A) = 2/5.
    found = score(ROWS, protocol="simpleqa")
    assert found.n == found.questions == 60
    values = [estimate.mean for _, estimate in found.shares()]
    assert values == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1 / 2, 2 / 5])
    assert all(0 < each.low < each.mean < each.high < 1 for _, each in found.shares())
    assert str(found).startswith("Correct 33.3 [")
    assert found.as_dict()["f1"]["mean"] == pytest.approx(0.4)


def test_nothing_attempted_and_all_right_are_the_ends():
    silent = simpleqa.of_grades([Grade.NOT_ATTEMPTED] * 30, range(30))
    assert (silent.f1.mean, silent.not_attempted.mean, silent.f1.low) == (0, 1, 0)
    assert silent.attempted_correct.high == 1
    right = simpleqa.of_grades([Grade.CORRECT] * 30, range(30))
    assert (right.f1.mean, right.f1.high) == (1, 1)
    assert right.f1.low < 1


def test_one_question_asked_often_is_one_question():
    alone = simpleqa.of_grades([Grade.CORRECT, Grade.INCORRECT] * 20, range(40))
    often = simpleqa.of_grades([Grade.CORRECT, Grade.INCORRECT] * 20, [0] * 40)
    assert often.questions == 1
    assert often.f1.high - often.f1.low > 2 * (alone.f1.high - alone.f1.low)


def test_as_a_headline_the_judge_says_what_is_correct():
    found = analyze(ROWS, protocol="simpleqa")
    assert found.meta.protocol == found.protocols[0].protocol == "simpleqa"
    assert found.taxonomy.em.mean == pytest.approx(1 / 3)
    assert found.grades == score(ROWS, protocol="simpleqa")
    assert [row.protocol for row in found.protocols][1:] == [
        row.protocol for row in analyze(ROWS).protocols
    ]
    assert {row.grade for row in found.examples} == set(Grade)
    assert found.examples[3].as_dict()["grade"] == "not_attempted"


def test_systems_are_compared_by_it():
    other = [row | {"prediction": "It is Paris."} for row in ROWS]
    found = compare({"ours": ROWS, "theirs": other}, protocol="simpleqa")
    assert [score.em.mean for score in found.protocols[0].scores] == pytest.approx([1 / 3, 1])


def test_one_prediction_alone_has_no_question_and_says_so():
    with pytest.raises(UserError, match=r"needs the question.*closedbook\.eval\.score"):
        metrics.score("Paris", ["Paris"], "simpleqa")
    with pytest.raises(UserError, match="simpleqa"):
        metrics.score("Paris", ["Paris"], "simple")
    with pytest.raises(UserError, match="no predictions"):
        simpleqa.score_all([])


def test_other_judges_tell_refusals_too():
    judge = judges.Scored(name="never", probabilities=lambda rows: [0.0] * len(rows))
    found = analyze_with(judge)
    assert (found.incorrect.mean, found.not_attempted.mean) == pytest.approx((1 / 2, 1 / 3))


def analyze_with(judge):
    from closedbook.eval import predictions
    from closedbook.eval.analysis import analysis

    return analysis.analyze(predictions.of_rows(ROWS).rows, judge=judge).grades


def test_the_command_prints_them(tmp_path):
    path = tmp_path / "predictions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    given = ["analyze", str(path), "--out", str(tmp_path / "out"), "--protocol", "simpleqa"]
    told = CliRunner().invoke(app, given)
    assert told.exit_code == 0, told.output
    assert "Not attempted        33.3%" in told.output
    assert "F1                   40.0%" in told.output
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert summary["grades"]["not_attempted"]["mean"] == pytest.approx(1 / 3)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Correct, incorrect, not attempted" in page
