"""Where the right object stands among the candidates: rank, P@k, MRR.

Two conventions are explicit here. **Other right objects** of the same subject (Germany borders
nine countries): LAMA ranks each fact alone and counts them against it; with `others` they are taken
out first ("filtered", as in link prediction, Bordes et al. 2013). **Ties**: a model that gives
everything the same score knows nothing, and "pessimistic" (the default) puts the right object
behind its equals; "expected" is the mean over all orders of the equals, "optimistic" puts it first.
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np

Ties = Literal["pessimistic", "expected", "optimistic"]
Scores = Sequence[np.ndarray] | np.ndarray  # for each fact [candidates]; the higher the better


@dataclasses.dataclass(frozen=True, kw_only=True)
class Places:
    """What stands before each fact's object; all arrays are [facts], int64.

    Attributes:
        better: Candidates that score higher.
        equal: Other candidates that score the same.
        candidates: Candidates in the ranking, the object included.
    """

    better: np.ndarray
    equal: np.ndarray
    candidates: np.ndarray


def places(
    scores: Scores, index: Sequence[int] | np.ndarray, others: Sequence[np.ndarray] | None = None
) -> Places:
    """Counts what stands before the object of each fact.

    Args:
        scores: For each fact the scores of its candidates; minus infinity for one that the model
            never gives.
        index: [facts], the place of the object among the candidates.
        others: For each fact the places of other right candidates, which are then not ranked;
            default: they are, as in LAMA.

    Raises:
        ValueError: A score is not a number, or the lengths differ.

    >>> places(np.array([[0.1, 0.7, 0.2], [0.5, 0.5, 0.1]]), [2, 0])
    Places(better=array([1, 0]), equal=array([0, 1]), candidates=array([3, 3]))
    >>> places([np.array([0.1, 0.7, 0.2])], [2], [np.array([1])]).better
    array([0])
    """
    if len(scores) != len(index) or (others is not None and len(others) != len(index)):
        raise ValueError(f"{len(scores)} rows of scores for {len(index)} facts")
    counts = np.zeros((3, len(index)), np.int64)
    for number, (row, place) in enumerate(zip(scores, index, strict=True)):
        if np.isnan(row).any():
            raise ValueError(f"scores of fact {number} are not numbers")
        own = row[place]
        ranked = np.ones(len(row), bool)
        if others is not None:
            ranked[others[number]] = False
        ranked[place] = False
        counts[:, number] = (
            (row[ranked] > own).sum(),
            (row[ranked] == own).sum(),
            ranked.sum() + 1,
        )
    return Places(better=counts[0], equal=counts[1], candidates=counts[2])


def joined(parts: Sequence[Places]) -> Places:
    """The places of several groups of facts, one after the other.

    Scores over a whole vocabulary are large; taken relation by relation they need not be kept.
    """
    return Places(
        better=np.concatenate([part.better for part in parts]),
        equal=np.concatenate([part.equal for part in parts]),
        candidates=np.concatenate([part.candidates for part in parts]),
    )


def rank(found: Places, ties: Ties = "pessimistic") -> np.ndarray:
    """The rank of each object from 1, [facts]; with expected ties the mean rank.

    >>> tied = places([np.array([0.5, 0.5, 0.5])], [0])
    >>> [float(rank(tied, ties)[0]) for ties in ("pessimistic", "expected", "optimistic")]
    [3.0, 2.0, 1.0]
    """
    behind = {"pessimistic": found.equal, "expected": found.equal / 2, "optimistic": 0}
    return np.asarray(found.better + behind[_checked(ties)] + 1, np.float64)


def precision(found: Places, k: int, ties: Ties = "pessimistic") -> np.ndarray:
    """P@k of each fact: whether its object is among the k best, [facts].

    With expected ties it is the share of the orders of equals in which it is. NaN where k is not
    below the number of candidates: among six continents every answer is one of the ten best.

    >>> found = places(np.array([[0.1, 0.7, 0.2], [0.5, 0.5, 0.1]]), [2, 0])
    >>> precision(found, 1), precision(found, 1, "expected"), precision(found, 3)
    (array([0., 0.]), array([0. , 0.5]), array([nan, nan]))
    """
    if k < 1:
        raise ValueError(f"k is {k}; it must be at least 1")
    if _checked(ties) == "expected":
        hit = np.clip((k - found.better) / (found.equal + 1), 0, 1)
    else:
        hit = (rank(found, ties) <= k).astype(np.float64)
    return np.where(found.candidates > k, hit, np.nan)


def reciprocal_rank(found: Places, ties: Ties = "pessimistic") -> np.ndarray:
    """1 / rank of each object, whose mean is MRR, [facts].

    With expected ties the mean of 1 / rank over the orders of equals. NaN where the object is the
    only candidate, so that nothing was asked.

    >>> tied = places([np.array([0.5, 0.5])], [0])
    >>> reciprocal_rank(tied), reciprocal_rank(tied, "expected")
    (array([0.5]), array([0.75]))
    """
    if _checked(ties) != "expected":
        return np.where(found.candidates > 1, 1 / rank(found, ties), np.nan)
    last = found.better + found.equal + 1
    most = int(last.max(initial=0))
    sums = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, most + 1))])  # harmonic numbers
    mean = (sums[last] - sums[found.better]) / (found.equal + 1)
    return np.where(found.candidates > 1, mean, np.nan)


def best(scores: Scores, k: int = 1) -> np.ndarray:
    """The k candidates with the highest scores, [facts, k]; of equals the first ones.

    >>> best(np.array([[0.1, 0.7, 0.2]]), 2)
    array([[1, 2]])
    """
    return np.stack([np.argsort(-row, kind="stable")[:k] for row in scores])


def _checked(ties: Ties) -> Ties:
    if ties not in ("pessimistic", "expected", "optimistic"):
        raise ValueError(f"ties are {ties!r}; choose pessimistic, expected or optimistic")
    return ties
