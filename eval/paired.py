"""Statistics of two systems that answered the same questions; shares from 0 to 1."""

import math
import statistics
from collections.abc import Hashable, Sequence

import numpy as np

from closedbook.eval import intervals
from closedbook.eval.intervals import Estimate, Interval

_ROUNDING = 1e-12  # of means; what lies closer is equal


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided McNemar test: the chance of counts this uneven if both were as good.

        min(1, 2 P(X <= min(b, c))),  X ~ Binomial(b + c, 1/2)

    Source: McNemar 1947; the exact form in Fagerland, Lydersen, Laake 2013.

    Args:
        only_first: Questions that only the first system answers right.
        only_second: Those that only the second does.

    >>> mcnemar(0, 5)
    0.0625
    >>> mcnemar(3, 3), mcnemar(0, 0)
    (1.0, 1.0)
    """
    n, least = only_first + only_second, min(only_first, only_second)
    # Logarithms of C(n, 0), C(n, 1), ...: the numbers themselves leave floats at n = 1030.
    i = np.arange(1, least + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log((n - i + 1) / i))]) - n * math.log(2)
    return min(1.0, float(2 * np.exp(logs).sum()))


def sign_flips(differences: Sequence[int] | np.ndarray) -> float:
    """McNemar's test where several rows share a question: the exact two-sided sign-flip test.

    If both systems were as good, each question's difference might as well have had the other sign;
    p is the share of all choices of signs whose sum lies as far from 0. With one row per question
    it is McNemar's exact test.
    Source: Fisher 1935, section 21; clusters as units: Durkalski et al. 2003.

    Args:
        differences: Per question, rows that only the first system has right less those that only
            the second has.

    >>> sign_flips([-1] * 5) == mcnemar(0, 5), sign_flips([5]), sign_flips([0, 0])
    (True, 1.0, 1.0)
    """
    steps = np.abs(np.asarray(differences, int))
    seen = abs(int(np.sum(differences)))
    chances = np.ones(1)  # of each sum, from -steps.sum() so far to its opposite
    for step in steps[steps > 0]:
        longer = np.zeros(len(chances) + 2 * step)
        longer[: len(chances)] += chances / 2
        longer[2 * step :] += chances / 2
        chances = longer
    sums = np.arange(len(chances)) - len(chances) // 2
    return min(1.0, float(chances[np.abs(sums) >= seen].sum()))


def tango(only_first: float, only_second: float, n: int, *, confidence: float = 0.95) -> Interval:
    """Tango's score interval of a difference of paired shares; never claims certainty.

    It holds every difference d that the score test of (b - c - n d) does not reject. Two equal
    systems get +-z^2 / (n + z^2), not +-0.
    Source: Tango 1998; recommended by Fagerland, Lydersen, Laake 2013.

    Args:
        only_first: Questions that only the first system answers right; need not be whole.
        only_second: Those that only the second does.
        n: All questions.
        confidence: Share of intervals that hold the true difference.

    >>> "%.4f %.4f" % tango(0, 0, 10), "%.4f %.4f" % tango(10, 0, 10)
    ('-0.2775 0.2775', '0.4449 1.0000')
    """
    z = statistics.NormalDist().inv_cdf((1 + confidence) / 2)

    def rejected(d: float) -> float:
        """By how much the test's statistic is beyond z; below 0 where d may be."""
        a, b = 2 * n, -only_first - only_second + (2 * n - only_first + only_second) * d
        c = -only_second * d * (1 - d)
        second = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
        variance = n * max(2 * second + d * (1 - d), 0.0)
        return abs(only_first - only_second - n * d) - z * math.sqrt(variance)

    middle = (only_first - only_second) / n
    ends = []
    for far in (-1.0, 1.0):
        inside, outside = middle, far
        if rejected(far) > 0:
            for _ in range(60):
                d = (inside + outside) / 2
                inside, outside = (inside, d) if rejected(d) > 0 else (d, outside)
        else:
            inside = far
        ends.append(inside)
    return Interval(*ends)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm 1979's correction for many tests: compare each with 0.05 as if it were the only one.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    order = sorted(range(len(p_values)), key=lambda k: p_values[k])
    for rank, k in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[k]))
        corrected[k] = highest
    return corrected


def kappa(both: int, only_first: int, only_second: int, neither: int) -> float | None:
    """Cohen 1960's kappa of who answers right; None where chance alone agrees on all.

    >>> kappa(2, 0, 0, 2), kappa(1, 1, 1, 1), kappa(4, 0, 0, 0)
    (1.0, 0.0, None)
    """
    n = both + only_first + only_second + neither
    first, second = (both + only_first) / n, (both + only_second) / n
    chance = first * second + (1 - first) * (1 - second)
    return None if chance == 1 else ((both + neither) / n - chance) / (1 - chance)


def detectable(
    only_first: int, only_second: int, n: int, *, power: float = 0.8, level: float = 0.05
) -> float:
    """The smallest difference that n such questions would show with this power.

        (z(1 - level/2) + z(power)) sqrt((b + c) / n) / sqrt(n)

    Source: Connor 1987, with the observed share of questions where the two differ; where none do,
    as if one did.

    Args:
        only_first: Questions that only the first system answers right. Where several rows share a
            question, the squares of the questions' differences, summed, stand for both counts.
        only_second: Those that only the second does.
        n: All rows.
        power: The chance of finding it.
        level: Of the test.

    >>> round(detectable(200, 200, 4000), 4)
    0.014
    """
    z = statistics.NormalDist().inv_cdf
    return (z(1 - level / 2) + z(power)) * math.sqrt(max(only_first + only_second, 1)) / n


def difference(
    first: np.ndarray,
    second: np.ndarray,
    *,
    clusters: Sequence[Hashable] | np.ndarray | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> Estimate:
    """The mean of first - second with its 95% interval.

    Shares of right and wrong, one row per question: Tango's interval. Else the paired bootstrap
    (Koehn 2004; Berg-Kirkpatrick, Burkett, Klein 2012) over questions; where all of them differ
    alike it would claim certainty, and Tango's over questions stands in.

    >>> difference(np.array([1.0, 1.0]), np.array([0.0, 0.0])).low < 0.4
    True
    """
    values = np.asarray(first, float) - np.asarray(second, float)
    codes = np.arange(len(values)) if clusters is None else intervals.cluster_codes(clusters)
    sizes = np.bincount(codes)
    means = np.bincount(codes, weights=values) / sizes
    whole = bool(np.isin(first, (0.0, 1.0)).all() and np.isin(second, (0.0, 1.0)).all())
    if len(means) == 1:
        low, high = -1.0, 1.0  # one question says nothing of others
    elif whole and sizes.max() == 1:
        low, high = tango(float((values > 0).sum()), float((values < 0).sum()), len(values))
    elif np.ptp(means) < _ROUNDING:
        low, high = certain(float(means[0]), len(means))
    else:
        low, high = intervals.of_any(values, clusters=clusters, resamples=resamples, seed=seed)
    return Estimate(mean=float(values.mean()), low=max(low, -1.0), high=min(high, 1.0))


def certain(gap: float, n: int) -> Interval:
    """The interval of a difference that is the same for all of n questions."""
    return tango(n * max(gap, 0.0), n * max(-gap, 0.0), n)
