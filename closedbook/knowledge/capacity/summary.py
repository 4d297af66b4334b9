"""The numbers of a measurement: bits by relation, by part of the data and in all, per parameter."""

import dataclasses
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from closedbook.knowledge.capacity import bits
from closedbook.knowledge.capacity.bits import Bits, Coded
from closedbook.knowledge.capacity.priors import Priors
from closedbook.knowledge.capacity.sizes import Parameters
from closedbook.knowledge.probing.kept_rows import Row
from closedbook.knowledge.probing.summary import parts_of
from closedbook.tasks.facts.form import Facts

PHRASINGS = {
    "best": "each relation in the phrasing that is best for other facts of it",
    "mean": "the mean over phrasings",
    "first": "the first phrasing alone",
}


def code_lengths(facts: Facts, rows: Sequence[Row], priors: Priors) -> Coded:
    """Code lengths of all facts, [facts]; weights and phrasings are of their relation and part.

    A fact that lacks a phrasing which others have is asked in its first one.

    Args:
        facts: What was asked.
        rows: Of `asking.ask`.
        priors: Of the facts.
    """
    relations: dict[str, list[int]] = {}
    for number, fact in enumerate(facts.facts):
        relations.setdefault(fact.relation, []).append(number)
    whole = {field.name: np.zeros(len(facts)) for field in dataclasses.fields(Coded)}
    for places in relations.values():
        most = max(len(rows[place]["log2"]) for place in places)
        model = np.array([_filled(rows[place]["log2"], most) for place in places]).T
        fold = bits.dealt([subject_of(facts, place) for place in places])
        parts = [facts.facts[place].split for place in places]
        found = bits.coded(model, priors.log2[places], fold, parts)
        for name, values in whole.items():
            values[places] = getattr(found, name)
    return Coded(**{**whole, "phrasing": whole["phrasing"].astype(np.int64)})


def summarise(
    facts: Facts, lengths: Coded, priors: Priors, parameters: Parameters, *, seed: int = 0
) -> dict[str, Any]:
    """All bits, each with its interval.

    Args:
        facts: What was asked.
        lengths: Of `code_lengths`.
        priors: Of the facts.
        parameters: Of the model.
        seed: Of the bootstrap.

    Returns:
        "all": by phrasing (`PHRASINGS`) the bits in all; "relations" and "parts" (the splits, where
        there are several): lists whose entries hold "best", "mean" and "first" too. The bits in
        all are the sum of those of the relations. "per_parameter": "all" and "without embeddings".
    """
    relations = [fact.relation for fact in facts.facts]
    whole = _held(facts, range(len(facts)), lengths, priors, relations, seed)
    found: dict[str, Any] = {
        "all": {name: total for name, (_, total) in whole.items()},
        "relations": [
            {
                "name": name,
                "label": relation.label or name,
                "type": relation.type,
                "candidates": len(relation.candidates),
                "facts": relations.count(name),
                **{key: each[name] for key, (each, _) in whole.items()},
            }
            for name, relation in facts.relations.items()
        ],
        "parts": [],
        "parameters": {**dataclasses.asdict(parameters), "total": parameters.total},
    }
    for split, label in parts_of(facts).items():
        places = [number for number, fact in enumerate(facts.facts) if fact.split == split]
        part = _held(facts, places, lengths, priors, relations, seed)
        found["parts"].append(
            {
                "split": split,
                "name": label,
                "facts": len(places),
                **{key: total for key, (_, total) in part.items()},
                "relations": {name: part["best"][0][name] for name in part["best"][0]},
            }
        )
    best = found["all"]["best"]
    found["per_parameter"] = {
        "without embeddings": _over(best, parameters.others),
        "all": _over(best, parameters.total),
    }
    return found


def subject_of(facts: Facts, number: int) -> str:
    """What a fact is about; a fact without a subject stands alone."""
    fact = facts.facts[number]
    return fact.subject or f"\0{fact.id}"


def _held(
    facts: Facts,
    places: Sequence[int],
    lengths: Coded,
    priors: Priors,
    relations: Sequence[str],
    seed: int,
) -> dict[str, tuple[Mapping[Hashable, Bits], Bits]]:
    """By phrasing the bits of each relation and in all, of some of the facts."""
    of = list(places)
    groups = [relations[place] for place in of]
    subjects = [subject_of(facts, place) for place in of]
    return {
        name: bits.held(priors.bits[of], getattr(lengths, name)[of], groups, subjects, seed=seed)
        for name in PHRASINGS
    }


def _over(value: Bits, parameters: int) -> Bits:
    """Bits per parameter."""
    return Bits(**{name: number / parameters for name, number in vars(value).items()})


def _filled(values: Sequence[float], most: int) -> list[float]:
    return [*values, *[values[0]] * (most - len(values))]
