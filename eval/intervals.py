"""Confidence intervals of a mean, so that no score stands without one."""

import dataclasses
import math
import statistics
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

_CHUNK = 1 << 22  # numbers drawn at once by the bootstrap: 32 MiB
_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306)  # t of 97.5%, by freedom
FEW = len(_STUDENT) + 2
"""Clusters from which the bootstrap is used, Student's t under them."""

_DISTINCT = 500  # values above which drawing examples is faster than drawing counts
_MANY = 10_000  # clusters from which a mean of many distinct values is normal to the third digit


class Interval(NamedTuple):
    """The ends of a confidence interval, in the units of the values."""

    low: float
    high: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean with its 95% confidence interval, in the units of the values."""

    mean: float
    low: float
    high: float


UNKNOWN = Estimate(mean=0.0, low=0.0, high=1.0)
"""A share of which nothing is known."""


def wilson(successes: float, n: float, *, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion; stays inside 0 and 1, also for 0 or n successes.

        (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n),  p = successes / n

    Source: Wilson 1927; recommended for small n by Brown, Cai, DasGupta 2001.

    Args:
        successes: Number of successes, 0 to n; an expected number need not be whole.
        n: Number of trials, at least 1.
        confidence: Share of intervals that hold the true proportion.

    Returns:
        The interval from 0 to 1.

    >>> "%.4f %.4f" % wilson(8, 10)
    '0.4902 0.9433'
    >>> "%.4f %.4f" % wilson(0, 10)
    '0.0000 0.2775'
    """
    if not 0 <= successes <= n or n < 1:
        raise ValueError(f"{successes} successes of {n} are no proportion")
    z = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    p = successes / n
    middle = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # At the ends the formula gives 0 and 1 but for rounding.
    low = 0.0 if successes == 0 else (middle - half) / scale
    high = 1.0 if successes == n else (middle + half) / scale
    return Interval(low, high)


def bootstrap(
    values: Sequence[float] | np.ndarray,
    *,
    clusters: Sequence[Hashable] | np.ndarray | None = None,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval of the mean of any values; the same seed, the same interval.

    Examples are drawn with replacement, whole clusters of them where those are given. Only how
    often each distinct value is drawn matters, so the counts come from a multinomial: the same
    distribution, and fast because F1 has few values.
    Source: Efron and Tibshirani 1993, chapter 13; for clusters Cameron, Gelbach, Miller 2008.

    Args:
        values: One value per example, at least one.
        clusters: One key per example; examples of one key stand and fall together, as several
            predictions for one question do. One example or cluster alone says nothing about
            others: its interval is infinite.
        confidence: Share of intervals that hold the true mean.
        resamples: Number of drawn sets of examples.
        seed: Of NumPy's PCG64.

    >>> bootstrap([100.0, 100.0])
    Interval(low=100.0, high=100.0)
    >>> bootstrap([0.0, 0.0, 1.0, 1.0], clusters="aabb")  # only all, half or none can be drawn
    Interval(low=0.0, high=1.0)
    """
    sums, sizes = _of_clusters(np.asarray(values, np.float64), clusters)
    if len(sums) == 1:
        return Interval(-math.inf, math.inf)
    drawn = _means(sums, sizes, resamples, np.random.default_rng(seed))
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(float(low), float(high))


def drawn_means(
    values: np.ndarray,
    *,
    clusters: Sequence[Hashable] | np.ndarray | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> np.ndarray:
    """The bootstrap's means of several values per example, all of the same draws.

    What is drawn is the same for all columns, so that their differences are paired.

    Args:
        values: [examples, columns].
        clusters: As in `bootstrap`.
        resamples: Number of drawn sets of examples.
        seed: Of NumPy's PCG64.

    Returns:
        [resamples, columns]. One example or cluster alone gives the same mean in every draw.
    """
    codes = np.arange(len(values)) if clusters is None else cluster_codes(clusters)
    sizes = np.bincount(codes).astype(np.float64)
    n = len(sizes)
    sums = np.stack([np.bincount(codes, weights=column) for column in values.T], axis=1)
    random = np.random.default_rng(seed)
    rows = max(1, _CHUNK // n)
    means = []
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        places = random.integers(n, size=(size, n)) + n * np.arange(size)[:, None]
        times = np.bincount(places.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)
        means.append((times @ sums) / (times @ sizes)[:, None])
    return np.concatenate(means)


def share(
    hits: Sequence[bool] | np.ndarray,
    *,
    clusters: Sequence[Hashable] | np.ndarray | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> Estimate:
    """The share of rows of which something is true; the rule of every share in a report.

    The interval is Wilson's where every row stands alone. Where rows share a cluster, as several
    predictions for one question do, it is `of_mean`'s, which draws whole clusters.

    Args:
        hits: One truth value per row; of no rows the share is `UNKNOWN`.
        clusters: One key per row.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.

    >>> alone = share([True, True, False, False])
    >>> alone.mean, round(alone.low, 4), round(alone.high, 4)
    (0.5, 0.15, 0.85)
    >>> share([True, True, False, False], clusters="aabb")
    Estimate(mean=0.5, low=0.0, high=1.0)
    """
    values = np.asarray(hits, bool)
    if not len(values):
        return UNKNOWN
    if clusters is None or cluster_codes(clusters).max() + 1 == len(values):
        low, high = wilson(int(values.sum()), len(values))
    else:
        low, high = of_mean(values, clusters=clusters, resamples=resamples, seed=seed)
    return Estimate(mean=float(values.mean()), low=low, high=high)


def of_mean(
    values: Sequence[float] | np.ndarray,
    *,
    top: float = 1.0,
    clusters: Sequence[Hashable] | np.ndarray | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """The 95% interval of the mean of values that lie between 0 and `top`.

    As `of_any` has it; but where all clusters (or examples) have the same mean that would claim to
    be certain, so that it is Wilson's there, with as many trials as clusters.

    >>> "%.4f %.4f" % of_mean([100.0] * 10, top=100.0)
    '72.2467 100.0000'
    >>> "%.4f %.4f" % of_mean([1.0, 0.0, 1.0, 0.0], clusters="aabb")  # both clusters have 0.5
    '0.0945 0.9055'
    """
    found = np.asarray(values, np.float64)
    sums, sizes = _of_clusters(found, clusters)
    means = sums / sizes
    if np.ptp(found) == 0 or (len(means) > 1 and np.allclose(means, means[0], rtol=0, atol=1e-12)):
        low, high = wilson(len(means) * min(means[0], top) / top, len(means))
        return Interval(float(top * low), float(top * high))
    low, high = of_any(found, clusters=clusters, resamples=resamples, seed=seed)
    return Interval(max(low, 0.0), min(high, top))


def of_any(
    values: Sequence[float] | np.ndarray,
    *,
    clusters: Sequence[Hashable] | np.ndarray | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """The 95% interval of the mean of any values: the bootstrap's, or of few clusters Student's.

    Of two or three clusters the bootstrap knows two or three values, and its interval is far too
    narrow. Student's, over the clusters' deviations from the mean, grows as it should. Of ten
    thousand clusters with many distinct values both are the same, and the bootstrap takes seconds.
    Source: Cameron, Gelbach, Miller 2008, section 2; the mean is a ratio of sums.

    >>> "%.3f %.3f" % of_any([0.2, 0.4]), of_any([1.0])
    ('-0.971 1.571', Interval(low=-inf, high=inf))
    """
    found = np.asarray(values, np.float64)
    sums, sizes = _of_clusters(found, clusters)
    n = len(sums)
    if not 1 < n < FEW and (n < _MANY or len(_distinct(sums, sizes)[1]) <= _DISTINCT):
        return bootstrap(found, clusters=clusters, resamples=resamples, seed=seed)
    mean = sums.sum() / sizes.sum()
    error = math.sqrt(n / (n - 1) * ((sums - mean * sizes) ** 2).sum()) / sizes.sum()
    half = student(n - 1) * error
    return Interval(float(mean - half), float(mean + half))


def of_columns(
    values: np.ndarray,
    *,
    clusters: Sequence[Hashable] | np.ndarray | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> list[Interval]:
    """The 95% interval of each column's mean, as `of_any` has it; all are of the same draws.

    Args:
        values: [examples, columns].
        clusters: As in `bootstrap`.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        One per column.
    """
    n = len(values) if clusters is None else cluster_codes(clusters).max() + 1
    if n < FEW:
        return [of_any(column, clusters=clusters) for column in values.T]
    drawn = drawn_means(values, clusters=clusters, resamples=resamples, seed=seed)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return [Interval(float(a), float(b)) for a, b in zip(low, high, strict=True)]


def student(freedom: int) -> float:
    """Student's t of 97.5%; from ten degrees of freedom on by Cornish and Fisher's expansion.

    >>> student(4), round(student(9), 3), round(student(30), 3)
    (2.776, 2.262, 2.042)
    """
    if freedom <= len(_STUDENT):
        return _STUDENT[freedom - 1]
    z = statistics.NormalDist().inv_cdf(0.975)
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def cluster_codes(clusters: Sequence[Hashable] | np.ndarray) -> np.ndarray:
    """The number of each key's cluster, from 0, [rows]."""
    if isinstance(clusters, np.ndarray):
        return np.unique(clusters, return_inverse=True)[1]
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in clusters])


def _of_clusters(
    values: np.ndarray, clusters: Sequence[Hashable] | np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """The sum and the number of the values of each cluster, or of each example."""
    if not len(values):
        raise ValueError("no values to take an interval of")
    if clusters is None:
        return values, np.ones(len(values))
    codes = cluster_codes(clusters)
    return np.bincount(codes, weights=values), np.bincount(codes).astype(np.float64)


def _means(
    sums: np.ndarray, sizes: np.ndarray, resamples: int, random: np.random.Generator
) -> np.ndarray:
    """Means of drawn sets of clusters, [resamples]."""
    n = len(sums)
    distinct, counts = _distinct(sums, sizes)
    many = len(counts) > _DISTINCT
    rows = max(1, _CHUNK // (n if many else len(counts)))
    means = []
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        if many:
            places = random.integers(n, size=(size, n))
            means.append(sums[places].sum(axis=1) / sizes[places].sum(axis=1))
        else:
            drawn = random.multinomial(n, counts / n, size=size)
            means.append(drawn @ distinct.real / (drawn @ distinct.imag))
    return np.concatenate(means)


def _distinct(sums: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct pairs of a sum and a size, as real and imaginary parts, and how often each is.

    Complex numbers are sorted as pairs are, in a tenth of the time.
    """
    return np.unique(sums + 1j * sizes, return_counts=True)
