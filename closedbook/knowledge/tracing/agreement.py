"""How well estimated maps agree with measured ones: correlations, recall of the highest cells."""

from collections.abc import Mapping

import numpy as np

from closedbook.knowledge.probing import correlation

TOP = 10


def agreement(exact: np.ndarray, estimated: np.ndarray) -> Mapping[str, float | None] | None:
    """Of one fact's map; None where the exact one has one value everywhere.

    Args:
        exact: Measured effects, [tokens, layers].
        estimated: Estimated ones, in any unit.

    Returns:
        "pearson", "spearman", and "recall": the share of the exact map's `TOP` highest cells that
        are among the `TOP` highest estimates; None where the map has no more cells than those.
    """
    a, b = exact.ravel(), estimated.ravel()
    if np.ptp(a) == 0:
        return None
    best, found = (set(np.argsort(-each, kind="stable")[:TOP].tolist()) for each in (a, b))
    constant = np.ptp(b) == 0  # such an estimate says nothing
    return {
        "pearson": 0.0 if constant else correlation.pearson(a, b),
        "spearman": 0.0 if constant else correlation.spearman(a, b),
        "recall": len(best & found) / TOP if len(a) > TOP else None,
    }
