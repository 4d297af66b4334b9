"""The threshold keeps its promise, also where it is hard to keep."""

import numpy as np
import pytest

from closedbook.eval.abstention import splits, thresholds
from closedbook.eval.abstention.thresholds import Scored

RISK = DELTA = 0.1
DRAWS = 300
MOST_BROKEN = 46  # of 300 at 10%: the 99.9% quantile of the binomial distribution


def scored(surety, wrong, questions=None):
    surety = np.asarray(surety, float)
    questions = np.arange(len(surety)) if questions is None else np.asarray(questions)
    return Scored(surety=surety, wrong=np.asarray(wrong, bool), questions=questions)


def broken(draw, true_risk, most=1):
    """How many of many calibrations on new questions end with a threshold of too high a risk."""
    count = 0
    for seed in range(DRAWS):
        found = thresholds.find(
            draw(np.random.default_rng(seed)), risk=RISK, delta=DELTA, most=most, seed=seed
        )
        count += found is not None and true_risk(found.threshold) > RISK
    return count


@pytest.mark.parametrize(("wrong", "given"), [(0, 1), (3, 40), (17, 200), (100, 1000), (400, 9000)])
def test_tail_is_the_binomial_distribution(wrong, given):
    stats = pytest.importorskip("scipy.stats")
    for risk in (0.01, 0.1, 0.5):
        expected = stats.binom.cdf(wrong, given, risk)
        assert thresholds.tail(wrong, given, risk) == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_a_score_that_says_nothing_and_a_risk_just_too_high():
    """Every threshold that passes is a false one, and there are fifty chances for it."""

    def draw(random):
        return scored(random.random(600), random.random(600) < RISK + 1e-6)

    assert broken(draw, lambda threshold: RISK + 1e-6) <= MOST_BROKEN


def test_the_surest_answers_may_be_wrong_the_most_often():
    """Of the surest 3% of answers 40% are wrong, of the next half 3%, of the others 40%."""

    def chance(surety):
        return np.where((surety > 0.97) | (surety < 0.5), 0.4, 0.03)

    def draw(random):
        surety = random.random(600)
        return scored(surety, random.random(600) < chance(surety))

    grid = np.linspace(0, 1, 100_001)
    means = np.cumsum(chance(grid)[::-1])[::-1] / np.arange(len(grid), 0, -1)

    def true_risk(threshold):
        return means[np.searchsorted(grid, max(threshold, 0.0))]

    assert broken(draw, true_risk) <= MOST_BROKEN
    found = thresholds.find(draw(np.random.default_rng(1)), risk=RISK, delta=DELTA, most=1)
    assert found is not None
    assert found.threshold < 0.9  # the high risk at the top did not end the search


def test_the_risk_is_that_of_answers_given_not_of_all_questions():
    """One answer in twenty is sure, and half of those are wrong: but 2.5% of all."""
    random = np.random.default_rng(0)
    sure = random.random(4000) < 0.05
    wrong = np.where(sure, random.random(4000) < 0.5, random.random(4000) < 0.9)
    assert thresholds.find(scored(sure, wrong), risk=RISK, delta=DELTA, most=1) is None


@pytest.mark.parametrize("repeats", [np.full(400, 10), np.where(np.arange(400) % 9 == 0, 10, 1)])
def test_answers_to_one_question_are_no_new_evidence(repeats):
    """All answers to a question are alike, and those of repeated questions more often wrong."""
    chance = np.where(repeats > 1, 0.15, 0.05) if len(set(repeats)) > 1 else np.full(400, 0.1001)
    risk = float((chance * repeats).sum() / repeats.sum())
    assert risk > RISK

    def draw(random):
        surety, wrong = random.random(400), random.random(400) < chance
        return scored(
            np.repeat(surety, repeats),
            np.repeat(wrong, repeats),
            np.repeat(np.arange(400), repeats),
        )

    assert broken(draw, lambda threshold: risk, most=10) <= MOST_BROKEN


def test_equally_sure_answers_are_given_together():
    random = np.random.default_rng(0)
    surety = random.integers(0, 3, 900)
    wrong = random.random(900) < np.array([0.6, 0.04, 0.02])[surety]
    found = thresholds.find(scored(surety, wrong), risk=RISK, delta=DELTA, most=1)
    assert found is not None
    assert found.threshold == 1
    alike = scored(np.zeros(900), wrong)
    assert thresholds.find(alike, risk=RISK, delta=DELTA, most=1) is None


def test_a_model_that_is_good_enough_answers_always():
    found = thresholds.find(scored(np.arange(200), np.zeros(200)), risk=RISK, delta=DELTA, most=1)
    assert found is not None
    assert found.threshold == -np.inf


def test_the_promise_is_held_on_random_halves_of_a_file():
    random = np.random.default_rng(0)
    surety = random.random(1000)
    wrong = random.random(1000) < np.where(surety > 0.5, 0.02, 0.3)
    held = splits.held(scored(surety, wrong), risk=RISK, delta=DELTA, most=1, splits=200)
    assert held.broken.mean <= DELTA
    assert held.found.mean > 0.5  # and it is not held by never answering
