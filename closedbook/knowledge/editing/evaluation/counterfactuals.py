"""False objects for facts that a model knows: what an edit is to put there."""

import hashlib
from collections.abc import Sequence

from closedbook.tasks.facts.form import Fact


def drawn(
    facts: Sequence[Fact], known: Sequence[Fact], number: int, seed: int
) -> list[tuple[Fact, str]]:
    """Facts and false objects of their own relation, drawn without replacement by a hash.

    Args:
        facts: All facts of the data: their objects are what targets are drawn from.
        known: The facts to draw from: those that the model answers right.
        number: How many.
        seed: Others for another seed.
    """
    objects: dict[str, list[str]] = {}
    for fact in facts:
        objects.setdefault(fact.relation, []).append(fact.object)
    found = list[tuple[Fact, str]]()
    for fact in in_turns(known, seed):
        others = sorted(set(objects[fact.relation]) - set(fact.objects))
        if others and len(found) < number:
            found.append((fact, others[_hash(f"{seed}/{fact.id}/target") % len(others)]))
    return found


def in_turns(facts: Sequence[Fact], seed: int) -> list[Fact]:
    """Facts in the order of a hash, where relations take turns, so that small ones are there too.

    Args:
        facts: In any order.
        seed: Another order for another seed.
    """
    groups: dict[str, list[Fact]] = {}
    for fact in sorted(facts, key=lambda each: _hash(f"{seed}/{each.id}")):
        groups.setdefault(fact.relation, []).append(fact)
    longest = max(map(len, groups.values()), default=0)
    return [group[i] for i in range(longest) for group in groups.values() if i < len(group)]


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
