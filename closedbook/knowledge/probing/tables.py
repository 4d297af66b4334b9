"""Means of what was measured for each fact: by relation, type and corpus, with intervals.

LAMA's mean over relations is unweighted: each relation's mean counts once, however many facts it
has. Its interval draws whole relations, because facts of one relation stand and fall together.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from closedbook.eval import intervals
from closedbook.knowledge.probing import metrics
from closedbook.tasks.facts.form import Facts

KS = (1, 10)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mean:
    """A mean from 0 to 1 with its 95% interval."""

    value: float
    low: float
    high: float
    facts: int
    relations: int = 1  # that have a value; of P@10 those with more than ten candidates


Means = dict[str, Mean]  # by metric; a metric that is not defined is not there


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """All means of one run.

    Attributes:
        relations: Means over the facts of each relation.
        types: Means over the relations of each type.
        corpora: Means over the relations of each corpus: LAMA's published numbers.
        all: Means over all relations.
        pooled: Means over all facts, their intervals clustered by relation.
    """

    relations: dict[str, Means]
    types: dict[str, Means]
    corpora: dict[str, Means]
    all: Means
    pooled: Means


def measured(
    found: metrics.Places, *, ks: Iterable[int] = KS, ties: metrics.Ties = "pessimistic"
) -> dict[str, np.ndarray]:
    """P@k for each k, and MRR, of each fact: metric -> [facts]."""
    values = {f"P@{k}": metrics.precision(found, k, ties) for k in ks}
    return {**values, "MRR": metrics.reciprocal_rank(found, ties)}


def table(
    values: Mapping[str, np.ndarray],
    relations: Sequence[str],
    *,
    types: Mapping[str, str] | None = None,
    corpora: Mapping[str, str] | None = None,
) -> Table:
    """The means of values between 0 and 1.

    Args:
        values: Metric -> [facts]; NaN where it is not defined. A relation with one NaN has no mean.
        relations: Of each fact.
        types: Relation -> its type; relations without one, or with "", are in no type's mean.
        corpora: Relation -> its corpus, likewise.

    Raises:
        ValueError: There are no facts, or the lengths differ.
    """
    for name, column in values.items():
        if len(column) != len(relations) or not len(column):
            raise ValueError(f"{len(column)} values of {name} for {len(relations)} facts")
    rows: dict[str, list[int]] = {}
    for row, relation in enumerate(relations):
        rows.setdefault(relation, []).append(row)
    columns = {
        metric: {relation: column[rows[relation]] for relation in rows}
        for metric, column in values.items()
    }
    single: dict[str, Means] = {
        relation: {
            metric: mean_of_facts(column[relation])
            for metric, column in columns.items()
            if not np.isnan(column[relation]).any()
        }
        for relation in rows
    }
    return Table(
        relations=single,
        types={key: _over(columns, single, names) for key, names in _groups(rows, types)},
        corpora={key: _over(columns, single, names) for key, names in _groups(rows, corpora)},
        all=_over(columns, single, list(rows)),
        pooled=_pooled(columns, single),
    )


def of_facts(values: Mapping[str, np.ndarray], facts: Facts) -> Table:
    """The table of values of these facts, [facts] each, with the `kinds` of their relations."""
    return table(values, [fact.relation for fact in facts.facts], **kinds(facts))


def kinds(facts: Facts) -> dict[str, dict[str, str]]:
    """For "types" and "corpora": relation -> its own; types are told apart by corpus.

    A type is named "N-1" where there is one corpus, "T-REx N-1" where there are several.
    """
    corpora = {name: each.corpus for name, each in facts.relations.items() if each.corpus}
    several = len({each.corpus for each in facts.relations.values()}) > 1
    types = {
        name: f"{relation.corpus} {relation.type}".strip() if several else relation.type
        for name, relation in facts.relations.items()
        if relation.type
    }
    return {"types": types, "corpora": corpora}


def curve(
    found: metrics.Places,
    relations: Sequence[str],
    ks: Iterable[int],
    *,
    ties: metrics.Ties = "pessimistic",
) -> dict[int, Mean]:
    """P@k over k, each the unweighted mean over the relations with more than k candidates.

    A k for which there is no such relation is left out.
    """
    ks = list(ks)
    values = {f"P@{k}": metrics.precision(found, k, ties) for k in ks}
    means = table(values, relations).all
    return {k: means[f"P@{k}"] for k in ks if f"P@{k}" in means}


def mean_of_facts(values: np.ndarray) -> Mean:
    """The mean of the facts of one relation; Wilson's interval where each is right or wrong."""
    if np.isin(values, (0.0, 1.0)).all():
        low, high = intervals.wilson(float(values.sum()), len(values))
    else:
        low, high = intervals.of_mean(values)
    return Mean(value=float(values.mean()), low=low, high=high, facts=len(values))


def mean_of_relations(means: Sequence[Mean]) -> Mean:
    """The unweighted mean of relations; one alone keeps its interval over facts.

    Two relations or more are drawn with replacement, so that the interval says how the mean would
    change with other relations of the kind.
    """
    if len(means) == 1:
        return means[0]
    values = np.array([mean.value for mean in means])
    low, high = intervals.of_mean(values)
    return Mean(
        value=float(values.mean()),
        low=low,
        high=high,
        facts=sum(mean.facts for mean in means),
        relations=len(means),
    )


def _groups(
    relations: Iterable[str], labels: Mapping[str, str] | None
) -> Iterable[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for relation in relations:
        if label := (labels or {}).get(relation):
            found.setdefault(label, []).append(relation)
    return found.items()


def _over(
    columns: Mapping[str, Mapping[str, np.ndarray]],
    single: Mapping[str, Means],
    relations: Sequence[str],
) -> Means:
    found = {
        metric: [single[relation][metric] for relation in relations if metric in single[relation]]
        for metric in columns
    }
    return {metric: mean_of_relations(means) for metric, means in found.items() if means}


def _pooled(columns: Mapping[str, Mapping[str, np.ndarray]], single: Mapping[str, Means]) -> Means:
    found: Means = {}
    for metric, column in columns.items():
        kept = {name: values for name, values in column.items() if metric in single[name]}
        if not kept:
            continue
        values = np.concatenate(list(kept.values()))
        clusters = [name for name, each in kept.items() for _ in each]
        if len(kept) == 1:
            found[metric] = mean_of_facts(values)
            continue
        low, high = intervals.of_mean(values, clusters=clusters)
        found[metric] = Mean(
            value=float(values.mean()), low=low, high=high, facts=len(values), relations=len(kept)
        )
    return found
