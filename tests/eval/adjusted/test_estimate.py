"""The adjusted score's interval: the judge's errors are in it, and weak systems count less."""

import dataclasses
import itertools

import numpy as np
import pytest

from closedbook.eval import adjusted, intervals
from closedbook.eval.adjusted import errors as judge_errors
from closedbook.eval.adjusted import estimate
from closedbook.eval.adjusted.errors import JudgeErrors, OfLength

ALARMS, LEAST = 0.1, 0.6
KNOWN = JudgeErrors(
    weights=None,
    systems=10,
    judge=0.08,
    check=0.06,
    lengths=(OfLength(false_alarms=ALARMS, give=0.05, least=LEAST),) * 3,
    longest=100,
)


def score(correct, accepted, n, known=KNOWN, bounds=False, possible=None, flagged=0):
    """Of n rows so many correct ones, then so many accepted ones; the last ones are flagged."""
    place = np.arange(n)
    exact, took = place < correct, (place >= correct) & (place < correct + accepted)
    scored = place < n - flagged
    trust = estimate.trust(
        exact,
        took,
        words=[10] * n,
        possible=took if possible is None else place < possible,
        scored=scored,
        errors=known,
        bounds=bounds,
    )
    return estimate.score(exact, took, scored, trust, clusters=place)


def test_verdicts_are_counted_where_as_many_are_accepted_as_of_a_validated_system():
    assert score(200, 600, 1000).mean == pytest.approx(0.8)


def test_what_false_alarms_alone_would_explain_counts_nothing():
    found = score(0, 80, 1000)  # 8% accepted, of which wrong answers give 10%
    assert (found.mean, found.low) == (0, 0)


def test_between_both_the_score_is_on_a_line_from_nothing_to_all():
    # A million answers, so that the share's upper end is the share: halfway between 0.1 and 0.6
    # three answers in ten are right, of 0.35 that are accepted.
    assert score(0, 350_000, 1_000_000).mean == pytest.approx(0.3, abs=0.002)


def test_a_weak_score_falls_with_every_accepted_answer_less():
    means = [score(100, accepted, 1000).mean for accepted in range(0, 900, 20)]
    assert all(a <= b for a, b in itertools.pairwise(means))


def test_a_handful_of_answers_is_not_corrected_by_its_noise():
    assert score(4, 1, 8).mean == pytest.approx(5 / 8)


def test_the_interval_is_wider_than_that_of_drawing_questions():
    found, drawn = score(200, 600, 1000), intervals.share([True] * 800 + [False] * 200)
    # By hand: 0.08 * 0.8 * sqrt(0.75 * 0.25) = 0.0277, 0.06 * sqrt(0.8 * 0.2) = 0.024.
    half = np.sqrt((0.8 - drawn.low) ** 2 + 0.0277**2 + 0.024**2)
    assert 0.8 - found.low == pytest.approx(half, abs=1e-4)
    assert drawn.low > found.low
    assert drawn.high < found.high


def test_without_answers_that_the_judge_accepts_the_interval_is_narrow_at_nothing():
    found = score(0, 0, 3610)
    assert (found.mean, found.low) == (0, 0)
    assert found.high < 0.0015


def test_of_exact_matches_alone_the_judge_is_not_in_doubt():
    without = dataclasses.replace(KNOWN, check=0.0)
    assert score(500, 0, 500, without) == intervals.share([True] * 500)


def test_errors_that_nobody_measured_are_not_made_up():
    assert score(200, 100, 1000, None) == intervals.share([True] * 300 + [False] * 700)


def test_flagged_rows_leave_the_score():
    assert score(200, 400, 1000, flagged=250).mean == pytest.approx(600 / 750)


def test_bounds_go_from_exact_match_to_all_that_has_anything_in_common():
    found = score(200, 300, 1000, bounds=True, possible=700)
    low = intervals.share([True] * 200 + [False] * 800).low
    high = intervals.share([True] * 700 + [False] * 300).high
    assert (found.low, found.high) == (low, high)
    assert found.low < found.mean < found.high


def test_of_no_rows_nothing_is_known():
    assert score(1, 0, 2, flagged=2) == intervals.UNKNOWN


def test_lengths_begin_anew_after_five_and_twenty_five_words():
    assert judge_errors.places([0, 5, 6, 25, 26, 900]).tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("judge", ["learned", "rules"])
def test_errors_that_ship_are_shares(judge):
    found = adjusted.load(judge)
    assert found.systems >= 5
    assert 0 < found.judge < 0.5
    assert 0 < found.check < 0.5
    for of in found.lengths:
        assert 0 < of.false_alarms < of.least < 1


def test_a_judge_of_ones_own_has_no_measured_errors():
    assert adjusted.load("my_judge:function") is None


def test_students_t_agrees_with_tables():
    # Of 97.5%, from a printed table.
    for freedom, t in ((9, 2.262), (10, 2.228), (15, 2.131), (30, 2.042), (120, 1.980)):
        assert intervals.student(freedom) == pytest.approx(t, abs=0.001)


def test_errors_of_other_weights_are_known_to_be_of_others():
    known = adjusted.load("learned")
    assert adjusted.load("learned", known.weights).current
    assert not adjusted.load("learned", "other").current
