"""Hidden knowledge (Gekhman et al. 2025, arXiv 2503.15299): does more lie within than is said?

K of a question is the share of (right, wrong) pairs of answers of which the right one scores
higher. The scores may be the model's own probability of the answer ("external") or a probe's on its
hidden states ("internal"); what the second has above the first is hidden.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from closedbook.eval import intervals, paired
from closedbook.eval.intervals import Interval


@dataclasses.dataclass(frozen=True, kw_only=True)
class Knowledge:
    """Mean of K over questions, and what is known fully, with 95% intervals."""

    k: float
    k_interval: intervals.Interval
    full: float  # share of questions in which every right answer is above every wrong one
    full_interval: intervals.Interval
    questions: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gap:
    """How much K grows from external to internal scores, paired by question."""

    value: float
    interval: intervals.Interval
    relative: float  # to the external mean; infinite where that is 0
    questions: int


def k_of(right: np.ndarray, wrong: np.ndarray) -> float:
    """K of one question; a pair of equals is not ranked right.

    Args:
        right: Scores of its right answers.
        wrong: Scores of its wrong answers.

    Raises:
        ValueError: There are no pairs.

    >>> k_of(np.array([0.5, 0.2]), np.array([0.3, 0.1]))
    0.75
    """
    if not len(right) or not len(wrong):
        raise ValueError("K needs a right and a wrong answer at least")
    below = np.searchsorted(np.sort(wrong), right, side="left")
    return float(below.sum() / (len(right) * len(wrong)))


def of_candidates(scores: Sequence[np.ndarray], right: Sequence[np.ndarray]) -> np.ndarray:
    """K of each question among its candidates, [questions].

    Args:
        scores: For each question [candidates].
        right: For each question the places of the right ones; all others are wrong. NaN where all
            are right.

    >>> of_candidates([np.array([0.1, 0.7, 0.2])], [np.array([2])])
    array([0.5])
    """
    found = []
    for row, places in zip(scores, right, strict=True):
        wrong = np.delete(row, places)
        found.append(k_of(row[places], wrong) if len(wrong) else np.nan)
    return np.array(found)


def knowledge(k: np.ndarray, clusters: Sequence[str] | None = None) -> Knowledge:
    """The means over questions.

    Args:
        k: [questions], as `of_candidates` gives them.
        clusters: One key per question, such as its relation, for the intervals.
    """
    full = (k == 1).astype(np.float64)
    return Knowledge(
        k=float(k.mean()),
        k_interval=intervals.of_mean(k, clusters=clusters),
        full=float(full.mean()),
        full_interval=intervals.of_mean(full, clusters=clusters),
        questions=len(k),
    )


def gap(internal: np.ndarray, external: np.ndarray, clusters: Sequence[str] | None = None) -> Gap:
    """The mean difference of K over the same questions.

    Args:
        internal: [questions].
        external: [questions].
        clusters: As in `knowledge`.

    >>> gap(np.array([1.0, 0.8]), np.array([0.5, 0.3])).relative
    1.25
    """
    difference = internal - external
    mean = float(external.mean())
    found = paired.difference(internal, external, clusters=clusters)
    return Gap(
        value=found.mean,
        interval=Interval(found.low, found.high),
        relative=float(difference.mean()) / mean if mean else float("inf"),
        questions=len(difference),
    )
