"""How far a model's confidence can be trusted, under strict and under adjusted correctness.

Correctness is exact match over all rows, or what the adjusted score counts over its rows.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from closedbook.errors import UserError
from closedbook.eval import summary
from closedbook.eval.analysis import calibration
from closedbook.eval.intervals import UNKNOWN, Estimate
from closedbook.eval.predictions import Prediction

_RESAMPLES = 500


@dataclasses.dataclass(frozen=True, kw_only=True)
class Confidence:
    """One number per row that has one; larger is surer."""

    values: np.ndarray  # [n], float64
    rows: np.ndarray  # [n], which rows they are of
    source: str  # in words, for reports
    probability: bool  # whether values are probabilities; else they only rank


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measures:
    """Confidence against one notion of correctness; the estimates with the bootstrap's interval.

    Those that need probabilities are None where confidence only ranks.
    """

    ece: Estimate | None  # over bins of equal mass; probabilities
    ece_equal_width: Estimate | None  # probabilities
    macro_ce: Estimate | None  # probabilities; None also where all or none are right
    brier: Estimate | None  # probabilities
    aurc: Estimate | None
    excess_aurc: Estimate | None
    coverage_at_90: Estimate | None
    bins: Sequence[calibration.Bin] | None  # of equal mass; probabilities
    bins_equal_width: Sequence[calibration.Bin] | None  # probabilities
    risk_coverage: Sequence[calibration.Point]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reliability:
    """Calibration and selective prediction of a predictions file."""

    source: str  # of the confidence, in words
    probability: bool  # whether it is a probability; else it only ranks
    n: int  # rows that state one
    missing: int  # rows that do not
    strict: Measures
    adjusted: Measures | None  # over the rows that the adjusted score counts


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
    counted: np.ndarray | None = None,
    bins: int = calibration.BINS,
    seed: int = 0,
) -> Reliability | None:
    """Calibration and selective prediction of a predictions file.

    Args:
        rows: The predictions.
        correct: Per row whether it is right, 0 or 1.
        adjusted: Per row whether, or how surely, it is right although exact match says no, 0 to 1.
        counted: Rows that the adjusted score counts, bool, [rows]; all if None.
        bins: Number of calibration bins.
        seed: Of the bootstrap.

    Returns:
        None where the rows state no confidence.
    """
    found = read(rows)
    if found is None:
        return None
    numbers: dict[str | int, int] = {}
    keys = [numbers.setdefault(key, len(numbers)) for key in summary.question_keys(rows)]
    questions = np.array(keys)[found.rows]

    def against(vector: Sequence[float] | np.ndarray, kept: np.ndarray) -> Measures:
        if len(vector) != len(rows):
            raise ValueError(f"{len(vector)} values of correctness for {len(rows)} rows")
        return measure(
            found.values[kept],
            np.asarray(vector, np.float64)[found.rows][kept],
            probability=found.probability,
            bins=bins,
            clusters=questions[kept],
            seed=seed,
        )

    every = np.ones(len(found.rows), bool)
    kept = every if counted is None else counted[found.rows]

    return Reliability(
        source=found.source,
        probability=found.probability,
        n=len(found.values),
        missing=len(rows) - len(found.values),
        strict=against(correct, every),
        adjusted=None if adjusted is None or kept.sum() < 2 else against(adjusted, kept),
    )


def measure(
    confidence: np.ndarray,
    correct: np.ndarray,
    *,
    probability: bool = True,
    bins: int = calibration.BINS,
    clusters: np.ndarray | None = None,
    seed: int = 0,
) -> Measures:
    """All measures of one vector of confidence and one of correctness, each [n].

    Rows of one number in `clusters`, [n], are drawn together by the bootstrap.
    """
    statistics: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
        "aurc": calibration.aurc,
        "excess_aurc": calibration.excess_aurc,
        "coverage_at_90": calibration.coverage_at,
    }
    if probability:
        statistics |= {
            "ece": lambda p, c: calibration.ece(p, c, bins=bins),
            "ece_equal_width": lambda p, c: calibration.ece(p, c, bins=bins, equal_mass=False),
            "macro_ce": calibration.macro_ce,
            "brier": calibration.brier,
        }
    found = with_intervals(confidence, correct, statistics, clusters, seed)
    even, wide = (
        calibration.calibration_bins(confidence, correct, bins=bins, equal_mass=mass)
        if probability
        else None
        for mass in (True, False)
    )
    return Measures(
        ece=found.get("ece"),
        ece_equal_width=found.get("ece_equal_width"),
        macro_ce=found.get("macro_ce"),
        brier=found.get("brier"),
        aurc=found["aurc"],
        excess_aurc=found["excess_aurc"],
        coverage_at_90=found["coverage_at_90"],
        bins=even,
        bins_equal_width=wide,
        risk_coverage=calibration.risk_coverage(confidence, correct),
    )


def with_intervals(
    confidence: np.ndarray,
    correct: np.ndarray,
    statistics: Mapping[str, Callable[[np.ndarray, np.ndarray], float]],
    clusters: np.ndarray | None,
    seed: int,
) -> dict[str, Estimate | None]:
    """Each statistic with its 95% percentile interval over drawn rows, or clusters of rows.

    `confidence` is [n], or [n, columns] for statistics that compare several; rows of one number in
    `clusters`, [n], are drawn together. None where a statistic is not finite.

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
    # Statistics sort by confidence, which takes no time where the sample is sorted already.
    surest = np.argsort(-(confidence if confidence.ndim == 1 else confidence[:, 0]), kind="stable")
    place = np.empty(n, int)
    place[surest] = np.arange(n)
    sizes = np.bincount(numbers)
    first = np.cumsum(sizes) - sizes
    for _ in range(resamples):
        drawn_clusters = random.integers(len(sizes), size=len(sizes))
        size = sizes[drawn_clusters]
        within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        rows = by_cluster[np.repeat(first[drawn_clusters], size) + within]
        rows = np.repeat(surest, np.bincount(place[rows], minlength=n))
        sample = confidence[rows], correct[rows]
        for name, function in statistics.items():
            drawn[name].append(function(*sample))
    result: dict[str, Estimate | None] = {}
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
        alone = (UNKNOWN.low, UNKNOWN.high)
        low, high = np.quantile(values, [0.025, 0.975]) if len(sizes) > 1 else alone
        result[name] = Estimate(mean=float(mean), low=float(low), high=float(high))
    return result
