"""A score carries its protocol, its n and its intervals."""

import dataclasses
import json
import time

import pytest

from closedbook.errors import UserError
from closedbook.eval import metrics, predictions, summary
from closedbook.eval.predictions import Prediction


def rows(*pairs):
    return [
        Prediction(question=f"q{number}", answers=(a,), prediction=p)
        for number, (a, p) in enumerate(pairs)
    ]


def test_summary_of_hand_counted_rows():
    # Exact match 1 of 4; F1 100, 0, 0 and 2/3 (one of one predicted token, one of two gold).
    given = rows(("Paris", "paris"), ("Rome", "Milan"), ("Oslo", ""), ("New York", "York"))
    result = summary.score_all(given, "squad")
    assert (result.n, result.em, result.protocol) == (4, 25.0, "squad")
    assert result.f1 == pytest.approx((100 + 200 / 3) / 4)
    assert result.em_interval == pytest.approx((4.56, 69.94), abs=0.01)
    assert 0 <= result.f1_interval.low < result.f1 < result.f1_interval.high <= 100


def test_summary_equals_the_corpus_metric_on_golden_rows(golden):
    lines = (golden / "metrics/qa_metrics.jsonl").read_text(encoding="utf-8").split("\n")
    given = [
        Prediction(question="", answers=row["targets"], prediction=row["prediction"])
        for row in map(json.loads, filter(None, lines))
    ]
    result = summary.score_all(given, "trivia_qa")
    expected = metrics.trivia_qa([r.answers for r in given], [r.prediction for r in given])
    assert (result.em, result.f1) == pytest.approx((expected["em"], expected["f1"]))
    width = 196 * 2 * (result.em / 100 * (1 - result.em / 100) / result.n) ** 0.5
    assert result.em_interval.high - result.em_interval.low == pytest.approx(width, rel=0.01)


def test_rows_that_share_a_question_are_drawn_together():
    # 50 questions of four rows each, all right or all wrong: as wide as 50 rows, not as 200.
    given = [
        Prediction(question=f" q  {number}", answers=("x",), prediction="xy"[number % 2])
        for number in range(50)
    ]
    alone = summary.score_all(given, "squad")
    again = [dataclasses.replace(row, question=row.question.upper()) for row in given] * 2
    result = summary.score_all(given * 2 + again, "squad")
    assert (result.n, result.questions, result.em) == (200, 50, 50)
    width = result.interval.high - result.interval.low
    assert width == pytest.approx(2 * 196 * (0.5 * 0.5 / 50) ** 0.5, rel=0.06)
    assert width == pytest.approx(alone.interval.high - alone.interval.low, rel=0.06)


def test_one_question_alone_leaves_nearly_every_score_possible():
    result = summary.score_all(rows(("a1", "a1")) * 3, "squad")
    wilson = pytest.approx((20.65, 100), abs=0.01)  # of 1 of 1
    assert (result.em, result.interval, result.f1_interval) == (100, wilson, wilson)
    mixed = summary.score_all([*rows(("a1", "a1")), *rows(("a1", "b1"))], "squad")
    assert (mixed.questions, mixed.em, mixed.interval) == (1, 50, (0, 100))


def test_protocol_without_f1_has_none():
    result = summary.score_all(rows(("Paris", "Paris, France"), ("Rome", "Oslo")), "dpr")
    assert (result.mean, result.f1, result.f1_interval) == (50, None, None)
    assert str(result).startswith("exact match 50.0 [9.5, 90.5]  n 2  (dpr,")
    assert json.loads(json.dumps(result.as_dict()))["f1"] is None


def test_ten_thousand_rows_take_under_two_seconds():
    given = rows(*((f"the answer {n % 977}", f"answer {n % 983}") for n in range(10_000)))
    start = time.process_time()
    summary.score_all(given, "squad")
    assert time.process_time() - start < 2


def test_summary_is_plain_json():
    values = summary.score_all(rows(("a1", "a1")), "nq_open").as_dict()
    assert json.loads(json.dumps(values)) == values
    assert values["em_interval"] == [pytest.approx(20.65, abs=0.01), 100.0]


def test_reading_and_scoring_a_file_needs_no_more_than_its_path(tmp_path):
    path = tmp_path / "predictions.jsonl"
    predictions.write(path, rows(("a1", "a1"), ("b1", "c1")))
    assert summary.score_all(predictions.read(path), "squad").em == 50


def test_nothing_to_score_is_an_error():
    with pytest.raises(UserError, match="no predictions"):
        summary.score_all([], "squad")
