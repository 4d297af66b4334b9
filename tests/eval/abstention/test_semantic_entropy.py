"""Bounds of the entropy of meanings, and what may not be taken for beams."""

import math

import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.eval.abstention import semantic_entropy
from closedbook.eval.equivalence import judges
from closedbook.eval.predictions import Alternative, Prediction


def row(texts, masses, possible=None):
    beams = {"texts": texts, "log_probs": np.log(masses).tolist(), "log_possible": possible}
    return Prediction(
        question="where is it", answers=("x",), prediction=texts[0], extra={"beams": beams}
    )


def test_no_way_to_share_out_the_rest_leaves_the_bounds():
    random = np.random.default_rng(0)
    for _ in range(50):
        found, others = random.integers(1, 6), int(random.integers(1, 6))
        masses = random.dirichlet(np.full(found + 1, 0.7))
        masses, rest = masses[:-1], float(masses[-1])
        low, high = semantic_entropy.bounds(masses, rest, math.log(others))
        entropies = []
        for _ in range(300):
            shares = rest * random.dirichlet(np.full(found + others, random.choice([0.05, 1, 20])))
            entropies.append(semantic_entropy.entropy(np.append(masses, np.zeros(others)) + shares))
        assert low - 1e-9 <= min(entropies)
        assert max(entropies) <= high + 1e-9


def test_bounds_are_attained():
    """By hand: 0.6 0.3 0.1 of the rest; all to the likeliest, or evenly to two others."""
    low, high = semantic_entropy.bounds(np.array([0.6, 0.3]), 0.1, math.log(2))
    assert low == pytest.approx(-(0.7 * math.log(0.7) + 0.3 * math.log(0.3)))
    even = -(0.6 * math.log(0.6) + 0.3 * math.log(0.3) + 2 * 0.05 * math.log(0.05))
    assert high == pytest.approx(even)
    # A meaning that is smaller than an even share takes some too: 0.4 each of three, then 0.2 each.
    _, high = semantic_entropy.bounds(np.array([0.4, 0.0001]), 0.5999, math.log(2))
    assert high == pytest.approx(-(0.4 * math.log(0.4) + 3 * 0.2 * math.log(0.2)))
    # So many possible answers that their number is no float.
    _, high = semantic_entropy.bounds(np.array([0.9]), 0.1, 1300.0)
    assert high == pytest.approx(-0.9 * math.log(0.9) + 0.1 * (1300 - math.log(0.1)))


def test_answers_in_other_words_are_one_meaning():
    texts = ["April 15", "April 15th", "May 3", "15 April"]
    [found] = semantic_entropy.all_of([row(texts, [0.4, 0.2, 0.3, 0.1], math.log(4))])
    assert [(each.text, round(each.mass, 6)) for each in found.meanings] == [
        ("April 15", 0.7),
        ("May 3", 0.3),
    ]
    expected = -(0.7 * math.log(0.7) + 0.3 * math.log(0.3))
    assert found.low == found.value == found.high == pytest.approx(expected)


def test_an_answer_must_mean_the_same_both_ways():
    """A judge that takes what is longer for the same, and not what is shorter."""

    def longer(rows):
        return [len(each.prediction) >= len(each.answers[0]) for each in rows]

    judge = judges.Scored(name="longer", probabilities=longer)
    [found] = semantic_entropy.all_of(
        [row(["north", "north sea", "south"], [0.5, 0.3, 0.1])], judge
    )
    assert [each.text for each in found.meanings] == ["north", "north sea"]
    assert [each.mass for each in found.meanings] == pytest.approx([0.6, 0.3])
    assert found.high is None
    assert found.low < found.value


def test_probabilities_never_pass_one():
    rounded = [0.75, 0.25 + 1e-5]  # as sums of 32 bits may give
    [found] = semantic_entropy.all_of([row(["Rome", "Oslo"], rounded, 300.0)])
    assert found.covered == pytest.approx(1.0, abs=1e-12)
    assert sum(each.mass for each in found.meanings) <= 1
    assert found.low == found.high


def test_alternatives_stand_for_beams_and_a_repeated_one_counts_once():
    """Samples may come twice; then their probabilities must not be added."""
    others = [("Rome", 0.6), ("Oslo", 0.3)]
    given = Prediction(
        question="where is it",
        answers=("Rome",),
        prediction="Rome",
        score=math.log(0.6),
        alternatives=[Alternative(text=text, score=math.log(p)) for text, p in others],
    )
    [found] = semantic_entropy.all_of([given])
    assert found.covered == pytest.approx(0.9)
    assert found.high is None


@pytest.mark.parametrize(
    "beams",
    [
        "Rome",
        {"texts": ["Rome"], "log_probs": []},
        {"texts": ["Rome"], "log_probs": [float("nan")]},
        {"texts": ["Rome"], "log_probs": [True]},
        {"texts": [1], "log_probs": [-1.0]},
        {"texts": ["Rome"], "log_probs": [-1.0], "log_possible": -3},
        {"texts": ["Rome", "Oslo"], "log_probs": [-0.1, -0.2]},  # 1.72 together
        {"texts": ["Rome"], "log_probs": [1e308]},
        {"texts": ["Rome"], "log_probs": [10**400]},
    ],
)
def test_what_is_no_beams_is_refused_by_name(beams):
    faulty = Prediction(
        id="q7", question="", answers=("a",), prediction="b", extra={"beams": beams}
    )
    with pytest.raises(UserError, match="'q7'"):
        semantic_entropy.all_of([faulty])


def test_scores_that_only_rank_are_no_beams():
    others = [Alternative(text="Oslo", score=71.5)]
    ranked = Prediction(
        question="", answers=("a",), prediction="Rome", score=87.0, alternatives=others
    )
    assert semantic_entropy.all_of([ranked]) == [None]


def test_rows_without_beams_have_no_entropy():
    assert semantic_entropy.all_of([Prediction(question="", answers=("a",), prediction="b")]) == [
        None
    ]
