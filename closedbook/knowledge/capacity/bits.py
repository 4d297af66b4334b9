"""Bits that a model holds: the formulas, pure functions of numbers.

**Raw memory** (Morris et al. 2025, arXiv 2505.24832, section 3): of data whose entropy is known,
memorised bits are the entropy less the model's code length, -log2 of the probability that the model
gives, summed over strings and clipped at 0 once for the whole.

**Facts** (after Allen-Zhu and Li 2024, arXiv 2404.05405, who bound bits by the loss on values): a
fact tells which candidate is right. It is worth bits (`priors`); a model that gives the right
candidate the probability p(o), among those that are asked, spends

    -log2( (1 - w) p(o) + w prior(o) )

of them. The mixing weight w, fitted on *other* facts, is what one pays for a model that is sure and
wrong; a model that knows nothing gets w = 1 and spends what the fact is worth. Gains are summed
over a relation first and clipped at 0 once: clipped fact by fact, lucky guesses would count and
unlucky ones not.
"""

import dataclasses
from collections.abc import Hashable, Sequence

import numpy as np

from closedbook.eval import intervals
from closedbook.eval.intervals import cluster_codes
from closedbook.knowledge.capacity.priors import hashed_order

FOLDS = 5  # of subjects; the weight of one is fitted on the others
FEWEST = 8  # facts that a weight is fitted on, where there are so many
RESAMPLES = 2_000  # of the bootstrap
_LEAST = 0.01  # of a group's worth that a draw must have for its share to be one
# Mixing weights that are tried. The least one costs 0.0014 bits of a fact that is known, and keeps
# a sure and wrong answer from costing more than 10 bits above the prior.
WEIGHTS = np.concatenate([np.geomspace(2**-10, 0.9, 30), [0.95, 1.0]])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bits:
    """Bits held, with their 95% interval.

    Attributes:
        bits: Clipped at 0; in a sum over relations each of them is.
        low: Of the interval, not below 0.
        high: Of the interval, not above `entropy`.
        unclipped: Entropy less code length, below 0 where the model is worse than the prior.
        entropy: What could be held.
    """

    bits: float
    low: float
    high: float
    unclipped: float
    entropy: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Coded:
    """Code lengths of facts in bits, [facts] each.

    Attributes:
        first: In the first phrasing.
        mean: The mean over phrasings.
        best: In the phrasing that is best for other facts.
        phrasing: Which that is, from 0.
        weight: Of the prior in it.
    """

    first: np.ndarray
    mean: np.ndarray
    best: np.ndarray
    phrasing: np.ndarray
    weight: np.ndarray


def dealt(subjects: Sequence[str], folds: int = FOLDS) -> np.ndarray:
    """The fold of each fact, [facts]: whole subjects, dealt out in an order that a hash makes.

    Args:
        subjects: Of each fact.
        folds: How many; fewer where there are fewer subjects.
    """
    order = {name: place for place, name in enumerate(hashed_order(subjects))}
    return np.array([order[name] % folds for name in subjects], np.int64)


def coded(
    model: np.ndarray, prior: np.ndarray, fold: np.ndarray, parts: Sequence[Hashable] | None = None
) -> Coded:
    """Code lengths of facts whose weight and phrasing were chosen by facts of other folds.

    To take the best of several phrasings by the facts themselves would give bits to chance; by
    other facts it is a choice that the code of these facts does not have to tell. They are those of
    other folds in the same part of the data, because a model that was asked about one part in its
    training holds the parts differently; where these are fewer than `FEWEST`, those of all parts.

    Args:
        model: log2 of the model's probability of the right candidate, [phrasings, facts].
        prior: log2 of its prior probability, [facts].
        fold: Of each fact, as `dealt` has them. Where there is one alone there are no other facts,
            and the weight is 1.
        parts: Of each fact; None where the data has none.
    """
    phrasings, n = model.shape
    # [weights, phrasings, facts]; a model's probability may be 0.
    mixed = np.logaddexp2(
        _log2(1 - WEIGHTS)[:, None, None] + model, _log2(WEIGHTS)[:, None, None] + prior
    )
    found = {name: -prior.astype(np.float64) for name in ("first", "mean", "best")}
    weight, phrasing = np.ones(n), np.zeros(n, np.int64)
    part = np.zeros(n, np.int64) if parts is None else cluster_codes(parts)
    for number, of in sorted({*zip(fold.tolist(), part.tolist(), strict=True)}):
        own, others = np.flatnonzero((fold == number) & (part == of)), fold != number
        if (others & (part == of)).sum() >= FEWEST:
            others &= part == of
        if not others.any():
            continue
        sums = mixed[:, :, others].sum(axis=2)  # [weights, phrasings]
        chosen = sums.argmax(axis=0)
        each = -mixed[chosen, np.arange(phrasings)][:, own]  # [phrasings, own]
        best = int(sums.max(axis=0).argmax())
        found["first"][own], found["mean"][own] = each[0], each.mean(axis=0)
        found["best"][own], phrasing[own], weight[own] = each[best], best, WEIGHTS[chosen[best]]
    return Coded(**found, phrasing=phrasing, weight=weight)


def held(
    entropies: np.ndarray,
    lengths: np.ndarray,
    groups: Sequence[Hashable],
    clusters: Sequence[Hashable] | np.ndarray,
    *,
    seed: int = 0,
) -> tuple[dict[Hashable, Bits], Bits]:
    """Bits of each group, clipped once, and their sum.

    Intervals draw whole clusters: a percentile bootstrap, or where a group has fewer than ten
    Student's t, and Wilson's of equal values (`eval.intervals`). They say how the bits would change
    with other facts of the kind, at as many of them; weights are not fitted again.

    Args:
        entropies: What each fact or string is worth, [facts].
        lengths: What it costs with the model, [facts].
        groups: Of each fact: its relation, or one for all.
        clusters: Of each fact: its subject.
        seed: Of the bootstrap.

    Returns:
        By group in the order in which they first occur, and in all.
    """
    gains = entropies - lengths
    codes = cluster_codes(groups)
    names = list(dict.fromkeys(groups))
    of = (codes[:, None] == np.arange(len(names))).astype(np.float64)  # [facts, groups]
    drawn = intervals.drawn_means(
        np.concatenate([gains[:, None] * of, entropies[:, None] * of], axis=1),
        clusters=clusters,
        resamples=RESAMPLES,
        seed=seed,
    )
    sums, drawn_worth = np.split(drawn, 2, axis=1)  # of each draw
    totals, worth = gains @ of, entropies @ of
    # What share of its worth a draw holds, of the worth of all: facts are worth more or less, and
    # how many of which a draw has says nothing of the model.
    sums = np.divide(
        sums * worth,
        drawn_worth,
        out=np.broadcast_to(totals, sums.shape).copy(),
        where=drawn_worth > _LEAST * worth / len(gains),
    )
    clipped = np.clip(sums, 0, worth)  # [draws, groups]
    clusters_of = np.asarray(cluster_codes(clusters))
    found = {}
    for number, name in enumerate(names):
        own = codes == number
        ends = np.quantile(clipped[:, number], [0.025, 0.975])
        if len(np.unique(clusters_of[own])) < intervals.FEW:
            ends = _of_few(gains[own], entropies[own], clusters_of[own])
        found[name] = _bits(totals[number], worth[number], ends)
    # What is clipped in each draw and then summed lies above 0 by chance, where the model knows
    # nothing of many relations: the low end is of draws that are summed first.
    low = np.quantile(sums.sum(axis=1), 0.025)
    high = np.quantile(clipped.sum(axis=1), 0.975)
    if len(np.unique(clusters_of)) < intervals.FEW:
        low, high = _of_few(gains, entropies, clusters_of)
    whole = sum(each.bits for each in found.values())
    most = float(sum(each.entropy for each in found.values()))
    return found, Bits(
        bits=whole,
        low=float(min(max(low, 0.0), whole)),
        high=float(max(min(high, most), whole)),
        unclipped=float(gains.sum()),
        entropy=most,
    )


def memorised(entropies: np.ndarray, lengths: np.ndarray, *, seed: int = 0) -> Bits:
    """Raw memory: bits of strings that a model holds, clipped once for the data set.

    Args:
        entropies: Of each string, [strings], in bits.
        lengths: The model's code length of each, [strings], in bits: -log2 of its probability.
        seed: Of the bootstrap over strings.

    >>> memorised(np.array([8.0] * 10), np.array([1.0] * 10)).bits
    70.0
    >>> memorised(np.array([8.0] * 10), np.array([9.0] * 10)).bits
    0.0
    """
    _, whole = held(entropies, lengths, ["all"] * len(lengths), np.arange(len(lengths)), seed=seed)
    return whole


def _of_few(gains: np.ndarray, entropies: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Both ends of a sum over fewer than ten subjects; equal gains are not certain either."""
    top = float(entropies.max())
    several = len(np.unique(clusters)) > 1
    if several and np.ptp(gains) < 1e-12 and 0 <= gains[0] <= top:
        return len(gains) * np.array(intervals.of_mean(gains, top=top, clusters=clusters))
    return len(gains) * np.array(intervals.of_any(gains, clusters=clusters))


def _bits(total: float, entropy: float, ends: np.ndarray) -> Bits:
    low, high = np.clip(ends, 0, max(entropy, 0.0))
    bits = max(float(total), 0.0)
    return Bits(
        bits=bits,
        low=min(float(low), bits),
        high=max(float(high), bits),
        unclipped=float(total),
        entropy=max(float(entropy), 0.0),
    )


def _log2(values: np.ndarray) -> np.ndarray:
    """With minus infinity for 0."""
    with np.errstate(divide="ignore"):
        return np.log2(values)
