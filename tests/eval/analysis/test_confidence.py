"""Calibration and selective prediction, by hand and against plain loops."""

import math

import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.eval.analysis import calibration, confidence
from closedbook.eval.predictions import Prediction


def rows(*values, **keys):
    return [
        Prediction(question=f"q{n}", answers=("a",), prediction="a", **{**keys, "score": value})
        for n, value in enumerate(values)
    ]


P = np.array([0.9, 0.8, 0.6, 0.3, 0.1])
C = np.array([1.0, 1.0, 0.0, 1.0, 0.0])


def test_measures_of_five_rows_by_hand():
    assert calibration.brier(P, C) == pytest.approx((0.01 + 0.04 + 0.36 + 0.49 + 0.01) / 5)
    # Right answers lack 0.1, 0.2 and 0.7; wrong ones have 0.6 and 0.1.
    assert calibration.macro_ce(P, C) == pytest.approx((1 / 3 + 0.35) / 2)
    # Risks 0, 0, 1/3, 1/4, 2/5; best ranking 0, 0, 0, 1/4, 2/5.
    assert calibration.aurc(P, C) == pytest.approx((1 / 3 + 1 / 4 + 2 / 5) / 5)
    assert calibration.excess_aurc(P, C) == pytest.approx((1 / 3) / 5)
    assert calibration.coverage_at(P, C, 0.9) == 0.4
    assert calibration.coverage_at(P, C, 0.75) == 0.8
    # Equal width, two bins: {.9 .8 .6} mean .7667 accuracy .6667, {.3 .1} mean .2 accuracy .5.
    assert calibration.ece(P, C, bins=2, equal_mass=False) == pytest.approx((0.3 + 0.6) / 5)


def test_equal_mass_bins_hold_the_same_number_and_keep_ties_together():
    found = calibration.calibration_bins(np.repeat([0.1, 0.5, 0.9], [2, 5, 1]), np.ones(8), bins=4)
    assert [(b.high, b.n) for b in found] == [(0.1, 2), (0.5, 5), (0.9, 1)]
    even = calibration.calibration_bins(np.linspace(0, 1, 50), np.zeros(50), bins=10)
    assert [b.n for b in even] == [5] * 10


def test_ends_of_equal_width_bins_belong_below():
    p = np.array([0.0, 0.5, 0.51, 1.0])
    found = calibration.calibration_bins(p, np.ones(4), bins=2, equal_mass=False)
    assert [(b.low, b.high, b.n) for b in found] == [(0.0, 0.5, 2), (0.5, 1.0, 2)]


def test_ties_count_as_the_mean_over_their_orders():
    p, c = np.array([0.9, 0.5, 0.5]), np.array([0.0, 1.0, 0.0])
    orders = [calibration.aurc(np.array([3, 2, 1]), c[[0, i, 3 - i]]) for i in (1, 2)]
    assert calibration.aurc(p, c) == pytest.approx(np.mean(orders))
    assert calibration.aurc(p, c) == calibration.aurc(p[::-1], c[::-1])
    assert calibration.coverage_at(p, 1 - c, 0.6) == 1.0


def test_soft_correctness_takes_the_place_of_zero_and_one():
    soft = np.array([0.8, 0.2])
    assert calibration.macro_ce(np.array([1.0, 0.0]), soft) == pytest.approx(0.2)
    assert calibration.aurc(np.array([0.9, 0.1]), soft) == pytest.approx((0.2 + 0.5) / 2)
    assert calibration.excess_aurc(np.array([0.9, 0.1]), soft) == 0


def test_log_probabilities_become_probabilities_and_rows_without_stay_out():
    found = confidence.assess(rows(math.log(0.8), None, math.log(0.2)), [1, 1, 0])
    assert (found.source, found.n, found.missing) == ("exp(score)", 2, 1)
    assert found.strict.brier.mean == pytest.approx(0.04)
    assert found.adjusted is None


@pytest.mark.parametrize("where", ["extra", "meta"])
def test_key_confidence_goes_before_the_score(where):
    given = [*rows(-1.0, **{where: {"confidence": 0.7}}), *rows(-1.0, **{where: {"confidence": 0}})]
    found = confidence.read(given)
    assert (found.source, found.values.tolist()) == ("the rows' key confidence", [0.7, 0.0])


def test_scores_that_are_no_log_probabilities_only_rank():
    found = confidence.assess(rows(3.5, -1.0), [1, 0], [1, 0.5])
    assert not found.probability
    assert found.strict.ece is None
    assert found.strict.bins is None
    assert found.strict.aurc.mean == pytest.approx(0.25)
    assert found.adjusted.aurc.mean == pytest.approx(0.125)


def test_file_without_confidence_has_none():
    assert confidence.assess(rows(None, None), [1, 0]) is None


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan"), "0.5", True, [0.5]])
def test_confidence_that_is_no_probability_names_the_row(value):
    given = [*rows(None), *rows(None, extra={"confidence": value})]
    with pytest.raises(UserError, match=r'"confidence" of row 2 is .* from 0 to 1'):
        confidence.read(given)


def test_intervals_hold_the_estimate_and_are_seeded_and_plain():
    random = np.random.default_rng(0)
    p = random.random(400)
    c = (random.random(400) < p).astype(float)
    found = confidence.measure(p, c)
    for name in ("ece", "ece_equal_width", "macro_ce", "brier", "aurc", "coverage_at_90"):
        value = getattr(found, name)
        assert 0 <= value.low <= value.mean <= value.high <= 1, name
    assert found == confidence.measure(p, c)


def test_all_right_has_no_macro_calibration_error():
    found = confidence.measure(np.array([0.9, 0.8]), np.ones(2))
    assert found.macro_ce is None
    assert found.coverage_at_90.mean == 1.0


def test_curve_of_many_rows_has_at_most_200_points_and_ends_at_the_error_rate():
    random = np.random.default_rng(1)
    c = (random.random(5000) < 0.4).astype(float)
    curve = calibration.risk_coverage(random.random(5000), c)
    assert len(curve) <= 200
    assert (curve[-1].coverage, curve[-1].risk) == (1.0, pytest.approx(1 - c.mean()))


def test_rows_of_one_question_are_drawn_together():
    random = np.random.default_rng(5)
    sure = random.random(100)
    right = (random.random(100) < sure).astype(float)
    alone = confidence.measure(sure, right)
    copies = np.repeat(np.arange(100), 4)
    together = confidence.measure(sure[copies], right[copies], clusters=copies)
    for name in ("brier", "macro_ce"):  # four copies say no more than one
        one, four = getattr(alone, name), getattr(together, name)
        assert four.mean == pytest.approx(one.mean)
        assert four.high - four.low == pytest.approx(one.high - one.low, rel=0.15)


def test_a_predictions_file_with_several_rows_per_question_has_no_narrower_intervals():
    once = [
        Prediction(question=f"q{n}", answers=("a",), prediction="a", score=-0.1 * n)
        for n in range(40)
    ]
    right = [float(n % 3 != 0) for n in range(40)]
    found, more = confidence.assess(once, right), confidence.assess(once * 5, right * 5)
    for name in ("brier", "aurc"):
        one, five = (getattr(made.strict, name) for made in (found, more))
        assert five.high - five.low == pytest.approx(one.high - one.low, rel=0.25)


def test_one_question_alone_leaves_every_value_possible():
    once = [Prediction(question="q", answers=("a",), prediction="a", score=-n) for n in range(9)]
    found = confidence.assess(once, [float(n % 2) for n in range(9)]).strict
    for name in ("ece", "brier", "aurc", "coverage_at_90", "macro_ce"):
        assert (getattr(found, name).low, getattr(found, name).high) == (0.0, 1.0)


def test_adjusted_measures_are_of_the_rows_that_the_adjusted_score_counts():
    rows = [
        Prediction(question=f"q{n}", answers=("a",), prediction="a", extra={"confidence": 0.5})
        for n in range(4)
    ]
    counted = np.array([True, True, False, False])
    found = confidence.assess(rows, [1, 0, 0, 0], [1, 1, 0, 0], counted=counted)
    assert [one.accuracy for one in found.adjusted.bins] == [1.0]
    assert [one.accuracy for one in found.strict.bins] == [0.25]
    assert found.adjusted.bins[0].n == 2
