"""How far a model's confidence can be trusted, under strict and under adjusted correctness.

Correctness is a number from 0 to 1 a row: exact match, or the probability that the prediction is
right although exact match says no. Every formula takes either.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from closedbook.errors import UserError
from closedbook.eval import summary
from closedbook.eval.predictions import Prediction

BINS = 10
ACCURACY = 0.9  # of the answered questions, for coverage at accuracy
_RESAMPLES = 500
_POINTS = 200  # of a risk-coverage curve that is written out


@dataclasses.dataclass(frozen=True, kw_only=True)
class Confidence:
    """One number a row that has one; larger is surer."""

    values: np.ndarray  # [n], float64
    rows: np.ndarray  # [n], which rows they are of
    source: str  # in words, for reports
    probability: bool  # whether values are probabilities; else they only rank


def read(rows: Sequence[Prediction]) -> Confidence | None:
    """The confidence of each row that states one; None where fewer than two do.

    A key "confidence" (beside the others or in meta) is taken if any row has it, else exp(score):
    `score` is the log-probability of the prediction. Scores above 0 are no log-probabilities: they
    rank, and calibration is not measured.

    Raises:
        UserError: A "confidence" is not a number from 0 to 1.
    """
    given = [_given(row, number) for number, row in enumerate(rows, start=1)]
    if any(value is not None for value in given):
        source, probability = "the rows' key confidence", True
    else:
        given = [row.score for row in rows]
        probability = all(score is None or score <= 0 for score in given)
        source = "exp(score)" if probability else "score, which only ranks: some are above 0"
        if probability:
            given = [None if score is None else math.exp(score) for score in given]
    present = [number for number, value in enumerate(given) if value is not None]
    if len(present) < 2:
        return None
    return Confidence(
        values=np.array([given[number] for number in present], np.float64),
        rows=np.array(present),
        source=source,
        probability=probability,
    )


def _given(row: Prediction, number: int) -> float | None:
    value = row.extra.get("confidence", row.meta.get("confidence"))
    if value is None:
        return None
    # bool is an int to Python; NaN is not between 0 and 1.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise UserError(
            f'"confidence" of row {row.id or number} is {str(value)[:80]!r}; it must be a number '
            "from 0 to 1, or leave the key out"
        )
    return float(value)


def assess(
    rows: Sequence[Prediction],
    correct: Sequence[float] | np.ndarray,
    adjusted: Sequence[float] | np.ndarray | None = None,
    *,
    bins: int = BINS,
    seed: int = 0,
) -> dict[str, Any] | None:
    """Calibration and selective prediction of a predictions file.

    Args:
        rows: The predictions.
        correct: Per row whether it is right, 0 or 1.
        adjusted: Per row how surely it is right, 0 to 1.
        bins: Number of calibration bins.
        seed: Of the bootstrap.

    Returns:
        {"source", "probability", "n", "missing", "strict", "adjusted"}; the last two as `measure`
        gives. None where the rows state no confidence.
    """
    found = read(rows)
    if found is None:
        return None
    numbers: dict[str | int, int] = {}
    keys = [numbers.setdefault(key, len(numbers)) for key in summary.question_keys(rows)]
    questions = np.array(keys)[found.rows]
    result: dict[str, Any] = {
        "source": found.source,
        "probability": found.probability,
        "n": len(found.values),
        "missing": len(rows) - len(found.values),
    }
    for name, vector in (("strict", correct), ("adjusted", adjusted)):
        if vector is None:
            result[name] = None
            continue
        if len(vector) != len(rows):
            raise ValueError(f"{len(vector)} values of correctness for {len(rows)} rows")
        chosen = np.asarray(vector, np.float64)[found.rows]
        result[name] = measure(
            found.values,
            chosen,
            probability=found.probability,
            bins=bins,
            clusters=questions,
            seed=seed,
        )
    return result


def measure(
    confidence: np.ndarray,
    correct: np.ndarray,
    *,
    probability: bool = True,
    bins: int = BINS,
    clusters: np.ndarray | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """All measures of one vector of confidence and one of correctness, each [n].

    Rows of one number in `clusters`, [n], are drawn together by the bootstrap.

    Returns:
        bins (equal mass), bins_equal_width, risk_coverage, and as {"mean", "low", "high"} with the
        bootstrap's 95% interval: ece, ece_equal_width, macro_ce, brier, aurc, excess_aurc,
        coverage_at_90. What needs probabilities is None without them, and macro_ce where all or
        none are right.
    """
    statistics: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
        "aurc": aurc,
        "excess_aurc": excess_aurc,
        "coverage_at_90": coverage_at,
    }
    if probability:
        statistics |= {
            "ece": lambda p, c: ece(p, c, bins=bins),
            "ece_equal_width": lambda p, c: ece(p, c, bins=bins, equal_mass=False),
            "macro_ce": macro_ce,
            "brier": brier,
        }
    result: dict[str, Any] = dict.fromkeys(("ece", "ece_equal_width", "macro_ce", "brier"))
    result |= _with_intervals(confidence, correct, statistics, clusters, seed)
    calibration = {"bins": True, "bins_equal_width": False}
    result |= {
        key: calibration_bins(confidence, correct, bins=bins, equal_mass=mass)
        if probability
        else None
        for key, mass in calibration.items()
    }
    result["risk_coverage"] = risk_coverage(confidence, correct)
    return result


def calibration_bins(
    confidence: np.ndarray, correct: np.ndarray, *, bins: int = BINS, equal_mass: bool = True
) -> list[dict[str, float]]:
    """Bins of confidence: {"low", "high", "n", "confidence", "accuracy"}; empty ones are left out.

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
        {
            "low": float(edges[k - 1]) if k else 0.0,
            "high": float(edges[k]),
            "n": int(n[k]),
            "confidence": float(sure[k] / n[k]),
            "accuracy": float(right[k] / n[k]),
        }
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
    total = sum(b["n"] * abs(b["accuracy"] - b["confidence"]) for b in found)
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


def _risks(confidence: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Risk when the k surest are answered, k = 1 to n; equally sure rows count as their mean."""
    _, place, n = np.unique(-confidence, return_inverse=True, return_counts=True)
    wrong = np.bincount(place, weights=1 - correct)
    # Whole groups of ties, then the line between their ends: the mean over all their orders.
    ends = np.cumsum(n)
    k = np.arange(1, len(confidence) + 1)
    total = np.interp(k, np.concatenate([[0], ends]), np.concatenate([[0.0], np.cumsum(wrong)]))
    return total / k


def risk_coverage(confidence: np.ndarray, correct: np.ndarray) -> list[dict[str, float]]:
    """The share of wrong answers by the share answered, surest first; at most 200 points.

    >>> risk_coverage(np.array([0.9, 0.1]), np.array([1, 0]))
    [{'coverage': 0.5, 'risk': 0.0}, {'coverage': 1.0, 'risk': 0.5}]
    """
    risks = _risks(confidence, correct)
    n = len(risks)
    kept = np.unique(np.linspace(0, n - 1, min(n, _POINTS)).round().astype(int))
    return [{"coverage": float((k + 1) / n), "risk": float(risks[k])} for k in kept]


def aurc(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Area under the risk-coverage curve: the mean risk over all coverages 1/n, 2/n, ..., 1.

    Source: Geifman, Uziel, El-Yaniv 2019.

    >>> aurc(np.array([0.9, 0.1]), np.array([1, 0]))  # risks 0 and 1/2
    0.25
    """
    return float(_risks(confidence, correct).mean())


def excess_aurc(confidence: np.ndarray, correct: np.ndarray) -> float:
    """What AURC exceeds that of a confidence that ranks every right answer first (E-AURC).

    >>> excess_aurc(np.array([0.9, 0.5, 0.1]), np.array([1, 1, 0]))
    0.0
    """
    return aurc(confidence, correct) - aurc(correct.astype(np.float64), correct)


def coverage_at(confidence: np.ndarray, correct: np.ndarray, accuracy: float = ACCURACY) -> float:
    """The largest share of questions that can be answered, surest first, at this accuracy.

    Only thresholds of confidence count: of equally sure rows all are answered or none.

    >>> coverage_at(np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 1, 0, 0]), 0.6)
    0.75
    """
    _, n = np.unique(-confidence, return_counts=True)
    ends = np.cumsum(n)
    risks = _risks(confidence, correct)[ends - 1]
    reached = ends[risks <= 1 - accuracy + 1e-12]
    return float(reached.max() / len(confidence)) if len(reached) else 0.0


def _with_intervals(
    confidence: np.ndarray,
    correct: np.ndarray,
    statistics: Mapping[str, Callable[[np.ndarray, np.ndarray], float]],
    clusters: np.ndarray | None,
    seed: int,
) -> dict[str, dict[str, float] | None]:
    """Each statistic with its 95% percentile interval over drawn rows, or clusters of rows.

    ECE of a drawn set is larger than of all rows (its bins are noisier), so its interval is moved
    back by the mean of that excess.
    """
    n = len(confidence)
    # Sorting so many samples of more rows takes too long for a report.
    resamples = max(100, min(_RESAMPLES, 2_000_000 // n))
    random = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {name: [] for name in statistics}
    numbers = np.arange(n) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    by_cluster = np.argsort(numbers, kind="stable")
    sizes = np.bincount(numbers)
    first = np.cumsum(sizes) - sizes
    for _ in range(resamples):
        drawn_clusters = random.integers(len(sizes), size=len(sizes))
        size = sizes[drawn_clusters]
        within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        rows = by_cluster[np.repeat(first[drawn_clusters], size) + within]
        sample = confidence[rows], correct[rows]
        for name, function in statistics.items():
            drawn[name].append(function(*sample))
    result: dict[str, dict[str, float] | None] = {}
    for name, function in statistics.items():
        mean = function(confidence, correct)
        values = np.array(drawn[name])
        values = values[np.isfinite(values)]
        if not math.isfinite(mean) or not len(values):
            result[name] = None
            continue
        if name.startswith("ece"):
            values = np.clip(values - (values.mean() - mean), 0, 1)
        # One question alone says nothing of others.
        low, high = np.quantile(values, [0.025, 0.975]) if len(sizes) > 1 else (0.0, 1.0)
        result[name] = {"mean": float(mean), "low": float(low), "high": float(high)}
    return result
