"""What is measured in a cell beside the table of the probe."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from closedbook.knowledge.probing import agreement, baselines, metrics, tables
from closedbook.knowledge.probing.gold import gold
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


def frequency(facts: Facts, everything: Facts, *, others_ranked: bool) -> dict[str, Any]:
    """Freq's means over relations: the commonest objects of all facts first, not of the sample.

    Args:
        facts: Those that were asked.
        everything: Those of which they are a sample, with the same candidates.
        others_ranked: Whether other right objects are ranked against a fact's own.
    """
    right = gold(facts)
    places = metrics.places(
        baselines.frequency(facts, everything),
        right.index,
        None if others_ranked else right.others,
    )
    table = tables.of_facts(tables.measured(places, ties="expected"), facts)
    return {name: estimate(each) for name, each in table.all.items()}


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


def consistency(
    facts: Facts, wordings: Sequence[Sequence[Mapping[str, Any]]]
) -> dict[str, dict[str, Any]]:
    """ParaRel's measures over the relations that have several wordings.

    Args:
        facts: Those that were asked.
        wordings: The rows of the probe in each wording; of a fact that has fewer, none.

    Returns:
        "consistency" and "consistent and right" -> a mean over relations; none where no relation
        has several wordings.
    """
    answers: dict[str, list[str]] = {fact.id: [] for fact in facts.facts}
    for rows in wordings:
        for row in rows:
            answers[row["id"]].append(row["top"][0]["text"])
    several = [fact for fact in facts.facts if len(answers[fact.id]) > 1]
    if not several:
        return {}
    agreeing, right = [], []
    for fact in several:
        names = {name: number for number, name in enumerate([fact.object, *answers[fact.id]])}
        numbers = np.array([[names[name] for name in answers[fact.id]]])
        agreeing.append(agreement.consistency(numbers)[0])
        own = np.array([names[fact.object]])
        right.append(agreement.consistent_and_right(numbers, own)[0])
    values = {"consistency": np.array(agreeing), "consistent and right": np.array(right)}
    means = tables.table(values, [fact.relation for fact in several]).all
    prompts = sum(len(answers[fact.id]) for fact in several)
    return {name: estimate(each) | {"prompts": prompts} for name, each in means.items()}


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
