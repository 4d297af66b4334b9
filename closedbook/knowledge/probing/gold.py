"""Which candidates are right for each fact, as places in its relation's answer space."""

import dataclasses

import numpy as np

from closedbook.errors import UserError
from closedbook.tasks.facts.form import Facts, subject_key


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gold:
    """The right candidates of each fact.

    Attributes:
        index: [facts], the place of the fact's own object among its relation's candidates.
        others: For each fact the places of the other right ones: aliases that are candidates too,
            and objects of other facts of the same relation and subject.
    """

    index: np.ndarray
    others: list[np.ndarray]


def gold(facts: Facts) -> Gold:
    """The right candidates of all facts, in their order.

    Raises:
        UserError: A fact's object is not among the candidates of its relation.
    """
    places = {
        name: {candidate: place for place, candidate in enumerate(relation.candidates)}
        for name, relation in facts.relations.items()
    }
    right = facts.right()
    index: list[int] = []
    others: list[np.ndarray] = []
    for fact in facts.facts:
        of = places[fact.relation]
        if fact.object not in of:
            raise UserError(
                f"{facts.source}: {fact.object!r}, the object of fact {fact.id}, is not among the "
                f"candidates of {fact.relation}; add it, or leave the fact out"
            )
        index.append(of[fact.object])
        also = {of[name] for name in right[subject_key(fact)] if name in of} - {of[fact.object]}
        others.append(np.array(sorted(also), np.int64))
    return Gold(index=np.array(index, np.int64), others=others)
