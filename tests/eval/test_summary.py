"""A score carries its protocol, its n and its intervals."""

import json

import pytest

from closedbook.errors import UserError
from closedbook.eval import metrics, predictions, summary
from closedbook.eval.predictions import Prediction


def rows(*pairs):
    return [Prediction(question="q", answers=(a,), prediction=p) for a, p in pairs]


def test_summary_of_hand_counted_rows():
    # Exact match 1 of 4; F1 100, 0, 0 and 2/3 (one of one predicted token, one of two gold).
    given = rows(("Paris", "paris"), ("Rome", "Milan"), ("Oslo", ""), ("New York", "York"))
    result = summary.score_all(given, "squad")
    assert (result.n, result.em, result.protocol) == (4, 25.0, "squad")
    assert result.f1 == pytest.approx((100 + 200 / 3) / 4)
    assert result.em_interval == pytest.approx((4.56, 69.94), abs=0.01)
    assert 0 <= result.f1_interval.low < result.f1 < result.f1_interval.high <= 100


def test_summary_equals_the_corpus_metric_on_golden_rows(shared):
    golden = (shared / "golden/metrics/qa_metrics.jsonl").read_text(encoding="utf-8").split("\n")
    given = [
        Prediction(question="", answers=row["targets"], prediction=row["prediction"])
        for row in map(json.loads, filter(None, golden))
    ]
    result = summary.score_all(given, "trivia_qa")
    expected = metrics.trivia_qa([r.answers for r in given], [r.prediction for r in given])
    assert (result.em, result.f1) == pytest.approx((expected["em"], expected["f1"]))
    assert result.em_interval.high - result.em_interval.low == pytest.approx(4.6, abs=0.1)


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
