"""The numbers of a probe: means with intervals beside the baselines, as the report shows them."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from closedbook.eval.intervals import Estimate
from closedbook.knowledge.probing import agreement, correlation, metrics, tables
from closedbook.knowledge.probing.baselines import (
    Baseline,
    chance_precision,
    chance_reciprocal_rank,
    frequency,
)
from closedbook.knowledge.probing.gold import gold
from closedbook.knowledge.probing.probe import NORMALISATIONS, Row, Settings, places_of
from closedbook.tasks.facts import atlas
from closedbook.tasks.facts.form import Facts

_CURVE = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 70, 100)
# What the atlas's splits mean for a model that fine-tuning asked.
_ATLAS_PARTS = {"train": "asked", "validation": "validation", "test": "held out"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured(Estimate):
    """A mean from 0 to 1 with its 95% interval and what it is a mean of."""

    facts: int
    relations: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point(Measured):
    """P@k for one k."""

    k: int


Estimates = dict[str, Measured]  # by metric


def summarise(
    facts: Facts,
    rows: Sequence[Row],
    settings: Settings,
    *,
    ks: Sequence[int] = tables.KS,
    everything: Facts | None = None,
    baselines: Sequence[Baseline] = (),
) -> dict[str, Any]:
    """All means of a probe, each with n and its 95% interval.

    Args:
        facts: What was asked.
        rows: Of `probe`, in the order of the facts.
        settings: Of the probe.
        ks: Of P@k.
        everything: The facts of which `facts` are a sample, for Freq; `facts` if None.
        baselines: Others; each entry holds them by their names, and "baselines" says what they are.

    Returns:
        Dicts and lists of estimates, of which `plain` makes JSON. "all" and "pooled" are means
        over relations and over facts; "relations",
        "types", "corpora" and "parts" (splits) are lists, each entry with its number of facts
        (and of relations); it holds "model", "freq" and "chance" (no interval: it is exact),
        metric -> estimate. "curve" is P@k over k,
        "normalisations" the model's means under each, "correlations" those of
        `correlation.explained`; "wordings" and "negated" are there where they were asked for.
    """
    found = places_of(rows, settings.normalise)
    columns = {
        "model": tables.measured(found, ks=ks),
        "freq": _frequency(facts, everything or facts, settings, ks),
        "chance": {
            **{f"P@{k}": chance_precision(found.candidates, k) for k in ks},
            "MRR": chance_reciprocal_rank(found.candidates),
        },
        **{each.name: dict(each.values) for each in baselines},
    }
    if settings.generate:
        generated = [row["generated"] for row in rows]
        columns["model"]["exact match"] = np.array([float(each["exact"]) for each in generated])
        columns["model"]["judged right"] = np.array([float(each["judged"]) for each in generated])
    whole = {name: tables.of_facts(values, facts) for name, values in columns.items()}
    summary = {
        "metrics": list(columns["model"]),
        "baselines": [
            {"name": each.name, "label": each.label, "metrics": list(each.values)}
            for each in baselines
        ],
        "all": _entry({name: table.all for name, table in whole.items()}),
        "pooled": _entry({name: table.pooled for name, table in whole.items()}),
        "relations": [
            {
                "name": name,
                "label": relation.label or name,
                "type": relation.type,
                "corpus": relation.corpus,
                "candidates": len(relation.candidates),
                "facts": sum(fact.relation == name for fact in facts.facts),
                **_entry({key: table.relations[name] for key, table in whole.items()}),
            }
            for name, relation in facts.relations.items()
        ],
        **{
            kind: [
                {
                    "name": name,
                    "relations": list(of.values()).count(name),
                    "facts": sum(of.get(fact.relation) == name for fact in facts.facts),
                    **_entry({k: getattr(t, kind)[name] for k, t in whole.items()}),
                }
                for name in getattr(whole["model"], kind)
            ]
            for kind, of in tables.kinds(facts).items()
        },
        "parts": _parts(facts, columns),
        "curve": _curve(facts, found, max(ks)),
        "normalisations": {
            name: _estimates(
                tables.of_facts(tables.measured(places_of(rows, name), ks=ks), facts).all
            )
            for name in NORMALISATIONS
        },
        "correlations": correlation.explained(facts, everything or facts, rows),
    }
    if settings.paraphrases:
        if any("wordings" in row and _asked(row) for row in rows):
            summary["wordings"] = _wordings(facts, rows)
        if (bear := _bear(facts, rows)) is not None:
            summary["templates"] = bear
    if settings.negated and any("negated" in row and _asked(row) for row in rows):
        summary["negated"] = _negated(facts, rows)
    return summary


def _asked(row: Row) -> bool:
    """Whether there was another candidate than the right one; else every answer is right."""
    return bool(row["candidates"] > 1)


def _bear(facts: Facts, rows: Sequence[Row]) -> dict[str, Any] | None:
    """BEAR's score: the mean over templates of the share of facts whose object scores best.

    None unless all facts have equally many wordings. The best candidate is the best of all, other
    right objects among them, and of equals the first: so lm-pub-quiz counts.
    """
    right = [
        [each["answer"] == fact.object for each in row.get("wordings", [])]
        for fact, row in zip(facts.facts, rows, strict=True)
        if _asked(row)
    ]
    facts = facts.keep([f for f, row in zip(facts.facts, rows, strict=True) if _asked(row)])
    if not right:
        return None
    if len(set(map(len, right))) != 1 or not right[0]:
        return None
    found = np.array(right, np.float64)
    _, deviation = agreement.bear_score(found)
    names = [f"{number + 1}" for number in range(found.shape[1])]
    of = tables.of_facts(
        {"mean": found.mean(axis=1), **dict(zip(names, found.T, strict=True))}, facts
    )
    pooled = _estimates(of.pooled)
    return {
        "score": pooled["mean"],
        "deviation": deviation,
        "each": [pooled[name] for name in names],
        "relations": {name: _estimates(each)["mean"] for name, each in of.relations.items()},
    }


def _wordings(facts: Facts, rows: Sequence[Row]) -> dict[str, Any]:
    """ParaRel's measures over the facts that have several wordings."""
    some, chosen = _with(facts, rows, "wordings")
    all_of = [row["wordings"] for row in chosen]
    ranks = [np.array([each["rank"] for each in one]) for one in all_of]
    answers = [np.unique([e["answer"] for e in one], return_inverse=True)[1] for one in all_of]
    values = {
        "P@1, first wording": np.array([float(one[0] == 1) for one in ranks]),
        "P@1, mean of wordings": np.array([float((one == 1).mean()) for one in ranks]),
        "right in all": np.array([float((one == 1).all()) for one in ranks]),
        "consistency": np.array([agreement.consistency(one[None])[0] for one in answers]),
    }
    prompts = sum(map(len, all_of))
    return {**_of_some(some, values, len(facts)), "prompts": prompts}


def _negated(facts: Facts, rows: Sequence[Row]) -> dict[str, Any]:
    """Kassner and Schütze's measures over the facts whose prompt can be denied."""
    some, chosen = _with(facts, rows, "negated")
    denied = [row["negated"] for row in chosen]
    alike = np.array([np.nan if e["correlation"] is None else e["correlation"] for e in denied])
    values = {
        "P@1": np.array([float(row["rank"] == 1) for row in chosen]),
        "P@1, denied": np.array([float(each["rank"] == 1) for each in denied]),
        "same best": np.array([np.nan if e["same"] is None else e["same"] for e in denied], float),
        "rank correlation": (1 + alike) / 2,  # from 0 to 1, as means have it
    }
    found = _of_some(some, values, len(facts))
    for means in (found["all"], found["pooled"], *(each["model"] for each in found["relations"])):
        if (scaled := means.get("rank correlation")) is not None:
            ends = {name: 2 * getattr(scaled, name) - 1 for name in ("mean", "low", "high")}
            means["rank correlation"] = dataclasses.replace(scaled, **ends)
    return {**found, "given": sum(each["given"] for each in denied)}


def _with(facts: Facts, rows: Sequence[Row], key: str) -> tuple[Facts, list[Row]]:
    """The facts whose rows have a key, and these rows; those of one candidate alone left out."""
    kept = [n for n, row in enumerate(rows) if key in row and _asked(row)]
    return facts.keep([facts.facts[n] for n in kept]), [rows[n] for n in kept]


def _of_some(some: Facts, values: Mapping[str, np.ndarray], asked: int) -> dict[str, Any]:
    """Means over the facts to which a measure applies, in all and by relation."""
    table = tables.of_facts(values, some)
    counts = collections.Counter(fact.relation for fact in some.facts)
    return {
        "facts": len(some),
        "left_out": asked - len(some),
        "metrics": list(values),
        "all": _estimates(table.all),
        "pooled": _estimates(table.pooled),
        "relations": [
            {
                "name": name,
                "label": relation.label or name,
                "facts": counts[name],
                "model": _estimates(table.relations[name]),
            }
            for name, relation in some.relations.items()
        ],
    }


def _frequency(
    facts: Facts, everything: Facts, settings: Settings, ks: Sequence[int]
) -> dict[str, np.ndarray]:
    """Freq with the mean over orders of equals: most relations have many objects of one fact."""
    right = gold(facts)
    others = right.others if settings.others == "removed" else None
    places = metrics.places(frequency(facts, everything), right.index, others)
    return tables.measured(places, ks=ks, ties="expected")


def parts_of(facts: Facts) -> dict[str, str]:
    """The splits with their names for people, in the order in which they are shown.

    None where the data has fewer than two.
    """
    splits = list(dict.fromkeys(fact.split for fact in facts.facts if fact.split))
    if len(splits) < 2:
        return {}
    names = _ATLAS_PARTS if facts.source == atlas.NAME else {}
    return {name: names.get(name, name) for name in [n for n in names if n in splits] or splits}


def _parts(facts: Facts, columns: Mapping[str, Mapping[str, np.ndarray]]) -> list[dict[str, Any]]:
    """The splits apart, where the data has several."""
    found = []
    for split, label in parts_of(facts).items():
        rows = [n for n, fact in enumerate(facts.facts) if fact.split == split]
        part = facts.keep([facts.facts[n] for n in rows])
        means = {
            key: tables.of_facts({m: column[rows] for m, column in values.items()}, part)
            for key, values in columns.items()
        }
        found.append(
            {
                "split": split,
                "name": label,
                "facts": len(rows),
                **_entry({key: table.pooled for key, table in means.items()}),
                "relations": {
                    name: _estimates(each) for name, each in means["model"].relations.items()
                },
            }
        )
    return found


def _curve(facts: Facts, found: metrics.Places, largest: int) -> list[Point]:
    relations = [fact.relation for fact in facts.facts]
    ks = sorted({*_CURVE, largest})
    means = tables.curve(found, relations, [k for k in ks if k < found.candidates.max()])
    return [Point(k=k, **vars(_estimate(mean))) for k, mean in means.items()]


def _entry(means: Mapping[str, tables.Means]) -> dict[str, Any]:
    entry: dict[str, Any] = {name: _estimates(each) for name, each in means.items()}
    # Chance is computed, not measured: it has no interval.
    entry["chance"] = {metric: each.mean for metric, each in entry["chance"].items()}
    return entry


def _estimates(means: tables.Means) -> Estimates:
    return {metric: _estimate(mean) for metric, mean in means.items()}


def _estimate(mean: tables.Mean) -> Measured:
    return Measured(
        mean=mean.value,
        low=mean.low,
        high=mean.high,
        facts=mean.facts,
        relations=mean.relations,
    )
