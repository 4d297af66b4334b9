"""Statistics of two systems that answered the same questions; shares from 0 to 1."""

import math
import statistics
from collections.abc import Hashable, Sequence

import numpy as np

from closedbook.eval import intervals
from closedbook.eval.intervals import Estimate


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

    Source: Connor 1987, with the observed share of questions where the two differ.

    >>> round(detectable(200, 200, 4000), 4)
    0.014
    """
    z = statistics.NormalDist().inv_cdf
    return (z(1 - level / 2) + z(power)) * math.sqrt(only_first + only_second) / n


def difference(
    first: np.ndarray,
    second: np.ndarray,
    *,
    clusters: Sequence[Hashable] | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> Estimate:
    """The mean of first - second with its 95% interval, from the paired bootstrap.

    Source: Koehn 2004; Berg-Kirkpatrick, Burkett, Klein 2012.

    >>> difference(np.array([1.0, 1.0]), np.array([0.0, 0.0]))
    Estimate(mean=1.0, low=1.0, high=1.0)
    """
    values = first - second
    low, high = intervals.bootstrap(values, clusters=clusters, resamples=resamples, seed=seed)
    return Estimate(mean=float(values.mean()), low=max(low, -1.0), high=min(high, 1.0))
