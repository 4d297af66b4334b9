"""What answers without a model: frequency, chance, and triples extracted from text."""

from collections.abc import Iterable

import numpy as np

from closedbook.knowledge.probing.gold import Gold
from closedbook.tasks.facts.form import Facts
from closedbook.tasks.facts.triples import Triple


def frequency(facts: Facts, counted: Facts | None = None) -> list[np.ndarray]:
    """LAMA's Freq: a candidate scores how often it is the object of its relation.

    It sees the answers of the test data, so it says what one gains by knowing their distribution
    alone. Facts of one relation share one array.

    Args:
        facts: Those that are asked.
        counted: Those whose objects are counted, of which `facts` may be a sample; `facts` if None.

    Returns:
        For each fact the scores of its relation's candidates, float64.
    """
    counts: dict[str, dict[str, int]] = {name: {} for name in facts.relations}
    for fact in (counted or facts).facts:
        if (of := counts.get(fact.relation)) is not None:
            of[fact.object] = of.get(fact.object, 0) + 1
    scores = {
        name: np.array([counts[name].get(each, 0) for each in relation.candidates], np.float64)
        for name, relation in facts.relations.items()
    }
    return [scores[fact.relation] for fact in facts.facts]


def chance_precision(candidates: np.ndarray, k: int) -> np.ndarray:
    """Expected P@k of a random order, k / candidates, [facts]; NaN where k is not below them.

    >>> chance_precision(np.array([4, 20]), 10)
    array([nan, 0.5])
    """
    return np.where(candidates > k, k / candidates, np.nan)


def chance_reciprocal_rank(candidates: np.ndarray) -> np.ndarray:
    """Expected 1 / rank of a random order of n candidates, (1 + 1/2 + ... + 1/n) / n, [facts].

    NaN where there is one candidate alone.

    >>> chance_reciprocal_rank(np.array([1, 2]))
    array([ nan, 0.75])
    """
    sums = np.cumsum(1 / np.arange(1, int(candidates.max(initial=1)) + 1))
    return np.where(candidates > 1, sums[candidates - 1] / candidates, np.nan)


def extracted(
    facts: Facts, triples: Iterable[Triple], gold: Gold | None = None
) -> list[np.ndarray]:
    """LAMA's RE: a candidate scores the confidence of the triple that says it.

    RE_n links by exact strings: a triple counts for a fact if subject and relation are equal, and
    for the candidate that equals its object. RE_o has an oracle beside that: whatever triple of the
    right relation was extracted from the sentence of a fact (`Triple.fact`), its subject and object
    are taken for those of the fact. Rank both with pessimistic ties: what was not extracted scores
    minus infinity.

    Args:
        facts: The facts.
        triples: The extractions; of several that say the same the most confident counts.
        gold: The right candidates, for RE_o; default: RE_n.

    Returns:
        For each fact the scores of its relation's candidates, float64.
    """
    said: dict[tuple[str, str], dict[str, float]] = {}
    linked: dict[tuple[str, str], float] = {}
    for triple in triples:
        objects = said.setdefault((triple.relation, triple.subject), {})
        objects[triple.object] = max(triple.score, objects.get(triple.object, -np.inf))
        if triple.fact is not None:
            key = (triple.relation, triple.fact)
            linked[key] = max(triple.score, linked.get(key, -np.inf))
    places = {
        name: {candidate: place for place, candidate in enumerate(relation.candidates)}
        for name, relation in facts.relations.items()
    }
    found = []
    for number, fact in enumerate(facts.facts):
        of = places[fact.relation]
        scores = np.full(len(of), -np.inf)
        for object_, score in said.get((fact.relation, fact.subject), {}).items():
            if object_ in of:
                scores[of[object_]] = score
        if gold is not None:
            own = gold.index[number]
            scores[own] = max(scores[own], linked.get((fact.relation, fact.id), -np.inf))
        found.append(scores)
    return found
