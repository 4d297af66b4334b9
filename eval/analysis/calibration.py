"""Formulas of calibration and selective prediction, from confidence and correctness.

Both are arrays of one length, [n], from 0 to 1. Correctness need not be 0 or 1: a row that is
right with probability 1/2 counts as half a right one.
"""

import dataclasses
import math

import numpy as np

BINS = 10
ACCURACY = 0.9  # of the answered questions, for coverage at accuracy
_POINTS = 200  # of a risk-coverage curve that is written out


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bin:
    """Rows of similar confidence."""

    low: float  # confidence above which the bin begins
    high: float  # and its end, which is in it
    n: int
    confidence: float  # mean
    accuracy: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """A point of the risk-coverage curve."""

    coverage: float  # share of the questions that are answered, the surest first
    risk: float  # share of wrong ones among these


def calibration_bins(
    confidence: np.ndarray, correct: np.ndarray, *, bins: int = BINS, equal_mass: bool = True
) -> list[Bin]:
    """Bins of confidence; empty ones are left out.

    With equal mass each bin holds as many rows as the next, but rows of one confidence stay
    together. With equal width bins are (0, 1/k], (1/k, 2/k], ..., and 0 falls into the first.
    """
    if equal_mass:
        order = np.sort(confidence)
        ends = {round(len(order) * k / bins) for k in range(1, bins + 1)} - {0}
        edges = sorted({float(order[end - 1]) for end in ends})
    else:
        edges = [k / bins for k in range(1, bins + 1)]
    which = np.searchsorted(edges, confidence, side="left")
    n = np.bincount(which, minlength=len(edges))
    sure = np.bincount(which, weights=confidence, minlength=len(edges))
    right = np.bincount(which, weights=correct, minlength=len(edges))
    return [
        Bin(
            low=float(edges[k - 1]) if k else 0.0,
            high=float(edges[k]),
            n=int(n[k]),
            confidence=float(sure[k] / n[k]),
            accuracy=float(right[k] / n[k]),
        )
        for k in range(len(edges))
        if n[k]
    ]


def ece(
    confidence: np.ndarray, correct: np.ndarray, *, bins: int = BINS, equal_mass: bool = True
) -> float:
    """Expected calibration error: the mean distance of confidence and accuracy over bins.

        sum_b n_b / n |accuracy_b - confidence_b|

    Source: Naeini, Cooper, Hauskrecht 2015; equal mass: Nguyen and O'Connor 2015.

    >>> ece(np.array([0.75, 0.75, 0.25, 0.25]), np.array([1, 0, 0, 0]), bins=2)
    0.25
    """
    found = calibration_bins(confidence, correct, bins=bins, equal_mass=equal_mass)
    total = sum(b.n * abs(b.accuracy - b.confidence) for b in found)
    return total / len(confidence)


def macro_ce(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Macro-average calibration error: right answers should have confidence 1, wrong ones 0.

        (mean over right of 1 - p + mean over wrong of p) / 2

    Unlike ECE it does not reward one mediocre confidence for all. NaN where all or none are right.
    Source: Si, Zhao, Min, Boyd-Graber 2022, section 3.

    >>> macro_ce(np.array([0.75, 0.25, 0.25]), np.array([1, 0, 0]))
    0.25
    """
    right, wrong = correct.sum(), (1 - correct).sum()
    if not right or not wrong:
        return math.nan
    surprised = (correct * (1 - confidence)).sum() / right
    fooled = ((1 - correct) * confidence).sum() / wrong
    return float(surprised + fooled) / 2


def brier(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Brier 1950's score: the mean squared distance of confidence and correctness.

    >>> brier(np.array([1.0, 0.5]), np.array([1, 0]))
    0.125
    """
    return float(np.mean((confidence - correct) ** 2))


def _ties(confidence: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many rows are equally sure, the surest first, and the share of wrong ones among them."""
    order = np.argsort(-confidence, kind="stable")  # of sorted rows, as most samples are, at once
    sure = confidence[order]
    starts = np.flatnonzero(np.concatenate([[True], sure[1:] != sure[:-1]]))
    n = np.diff(np.concatenate([starts, [len(sure)]]))
    return n, np.add.reduceat(1.0 - correct[order], starts) / n


def _risks(n: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Risk when the k surest are answered, k = 1 to the sum of n; what `_ties` gives is needed.

    Equally sure rows count as their mean, which is the mean over all their orders.
    """
    return np.cumsum(np.repeat(wrong, n)) / np.arange(1, n.sum() + 1)


def risk_coverage(confidence: np.ndarray, correct: np.ndarray) -> list[Point]:
    """The share of wrong answers by the share answered, surest first; at most 200 points.

    >>> curve = risk_coverage(np.array([0.9, 0.1]), np.array([1, 0]))
    >>> [(point.coverage, point.risk) for point in curve]
    [(0.5, 0.0), (1.0, 0.5)]
    """
    risks = _risks(*_ties(confidence, correct))
    n = len(risks)
    kept = np.unique(np.linspace(0, n - 1, min(n, _POINTS)).round().astype(int))
    return [Point(coverage=float((k + 1) / n), risk=float(risks[k])) for k in kept]


def aurc(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Area under the risk-coverage curve: the mean risk over all coverages 1/n, 2/n, ..., 1.

    Source: Geifman, Uziel, El-Yaniv 2019.

    >>> aurc(np.array([0.9, 0.1]), np.array([1, 0]))  # risks 0 and 1/2
    0.25
    """
    return float(_risks(*_ties(confidence, correct)).mean())


def excess_aurc(confidence: np.ndarray, correct: np.ndarray) -> float:
    """By how much AURC exceeds that of a confidence that ranks every right answer first (E-AURC).

    >>> excess_aurc(np.array([0.9, 0.5, 0.1]), np.array([1, 1, 0]))
    0.0
    """
    best = np.sort(correct.astype(np.float64))[::-1]
    return aurc(confidence, correct) - aurc(best, best)


def auroc(confidence: np.ndarray, correct: np.ndarray) -> float:
    """The chance that a right answer is surer than a wrong one, ties counted as half.

    NaN where all or none are right. Source: Mann and Whitney 1947; Hanley and McNeil 1982.

    >>> auroc(np.array([0.9, 0.5, 0.5, 0.1]), np.array([1, 1, 0, 0]))
    0.875
    """
    values, place = np.unique(confidence, return_inverse=True)
    right = np.bincount(place, weights=correct, minlength=len(values))
    wrong = np.bincount(place, weights=1 - correct, minlength=len(values))
    if not right.sum() or not wrong.sum():
        return math.nan
    below = np.cumsum(wrong) - wrong / 2
    return float((right * below).sum() / (right.sum() * wrong.sum()))


def coverage_at(confidence: np.ndarray, correct: np.ndarray, accuracy: float = ACCURACY) -> float:
    """The largest share of questions that can be answered, surest first, at this accuracy.

    Only thresholds of confidence count: of equally sure rows all are answered or none.

    >>> coverage_at(np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 1, 0, 0]), 0.6)
    0.75
    """
    n, wrong = _ties(confidence, correct)
    ends = np.cumsum(n)
    risks = np.cumsum(n * wrong) / ends
    reached = ends[risks <= 1 - accuracy + 1e-12]
    return float(reached.max() / len(confidence)) if len(reached) else 0.0
