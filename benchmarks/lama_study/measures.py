"""What is measured in a cell beside the table of the probe."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from closedbook.knowledge.probing import metrics, tables
from closedbook.tasks.facts.form import Facts

_SIZES = tuple(2**power for power in range(1, 16))


def expected_precision(found: metrics.Places, size: int) -> np.ndarray:
    """P@1 of each fact, had only so many of its candidates been drawn at random, [facts].

    The right object is always among them. Of n - 1 others of which b are not below it, size - 1
    are drawn; none of the b is with the probability C(n - 1 - b, size - 1) / C(n - 1, size - 1).
    NaN where there are not so many candidates.

    >>> none, three = np.array([0, 0]), np.array([3, 3])
    >>> found = metrics.Places(better=np.array([1, 0]), equal=none, candidates=three)
    >>> expected_precision(found, 2).round(6)
    array([0.5, 1. ])
    """
    drawn = size - 1

    def one(ahead: int, candidates: int) -> float:
        others = candidates - 1
        if drawn > others:
            return math.nan
        if drawn > others - ahead:
            return 0.0
        return math.exp(_log_choose(others - ahead, drawn) - _log_choose(others, drawn))

    ahead = found.better + found.equal
    pairs = zip(ahead.tolist(), found.candidates.tolist(), strict=True)
    return np.array([one(*pair) for pair in pairs])


def by_size(found: metrics.Places, relations: Sequence[str]) -> list[dict[str, Any]]:
    """P@1 for growing sets of candidates, each the mean over the relations that have so many.

    A size that fewer than half of the relations have is left out: its mean would be another thing.
    """
    rows, fewest = [], len(set(relations)) / 2
    for size in _SIZES:
        name = f"{size}"
        means = tables.table({name: expected_precision(found, size)}, relations).all
        if name in means and means[name].relations >= fewest:
            rows.append({"size": size, **estimate(means[name])})
    return rows


def strangers(facts: Facts, everything: Facts, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The share of facts whose best candidate is no object of the relation at all, such as "the".

    Args:
        facts: Those that were asked.
        everything: Those of which they are a sample: their objects are the relation's.
        rows: Of the probe.
    """
    objects: dict[str, set[str]] = {}
    for fact in everything.facts:
        objects.setdefault(fact.relation, set()).update(fact.objects)
    values = [float(row["top"][0]["text"] not in objects[row["relation"]]) for row in rows]
    relations = [fact.relation for fact in facts.facts]
    return estimate(tables.table({"strangers": np.array(values)}, relations).all["strangers"])


def estimate(value: tables.Mean) -> dict[str, Any]:
    """A mean as JSON has it."""
    return {
        "mean": value.value,
        "low": finite(value.low),
        "high": finite(value.high),
        "facts": value.facts,
        "relations": value.relations,
    }


def finite(value: float) -> float | None:
    """A number, or None where it is none: JSON knows no infinity."""
    return value if math.isfinite(value) else None


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
