"""What each fact is worth in bits, and what a code without a model would say of it.

What a model holds of facts is at least their entropy less the bits that it takes to tell them to
somebody who has the model. So the entropy must not be counted too large, or bits would go to
guessing. Three rules see to that.

**Prior.** "uniform": each object was drawn from its relation's candidates by a fair die, as in
made-up data; a fact is worth log2 of its candidates. "marginal": of facts that exist nobody drew
the objects, so that both sides are told how often each object is right, and a fact tells only
*which* subject has it. n facts with n_c of object c can be arranged in n! / prod n_c! ways, and the
relation is worth log2 of that (the type class of Cover and Thomas 2006, chapter 11). It is less
than n times the entropy of the shares, and far less than n log2 of the candidates: the last of 49
capitals is no news to one who knows the other 48. Each part of the data (`split`) is told apart, as
its weight is fitted apart: else a part in which one object is common would give bits to whoever
always names it. Candidates that are right for nobody of a part are not asked there.

**Several right objects.** Under the marginal prior one fact of a subject and relation counts, which
a hash chooses; that others are right too does not show in the candidates. Under the uniform one
they are told one after the other, in an order that a hash makes, each without the objects told
before it (the chain rule) and without the other names of its own. The order is told too, and no
model knows it: it is worth the bits that a model must spend on it. A fact that is told again is
worth nothing under either (`counted_once`).
"""

import dataclasses
import hashlib
import math
from collections.abc import Iterable
from typing import Literal, get_args

import numpy as np

from closedbook.errors import UserError
from closedbook.knowledge.probing.gold import gold
from closedbook.tasks.facts.form import Facts, subject_key

Prior = Literal["marginal", "uniform"]
PRIORS: tuple[Prior, ...] = get_args(Prior)
_NOTHING = 1e-9  # bits, but for rounding
TOLD_BEFORE: dict[Prior, str] = {
    "marginal": "another fact of its subject and relation counts",
    "uniform": "the same fact again",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Priors:
    """Of all facts, in their order.

    Attributes:
        index: [facts], the place of each fact's object among its relation's candidates.
        excluded: For each fact the places of candidates that are not asked.
        candidates: [facts], how many are left, the object among them.
        log2: [facts], of the prior probability of the object among what is left.
        bits: [facts], what the fact is worth; the sum over a relation is its entropy.
    """

    index: np.ndarray
    excluded: list[np.ndarray]
    candidates: np.ndarray
    log2: np.ndarray
    bits: np.ndarray


def counted_once(facts: Facts, kind: Prior) -> Facts:
    """The facts that count, each once; what goes is counted in `dropped`.

    Args:
        facts: All of them.
        kind: Under "marginal" a subject has one fact of each relation, under "uniform" all with
            different objects.
    """
    ids = {fact.id: fact for fact in facts.facts}
    seen: set[tuple[object, ...]] = set()
    kept: set[str] = set()
    for fact in (ids[name] for name in hashed_order(ids)):
        key = subject_key(fact) if kind == "marginal" else (*subject_key(fact), fact.object)
        if key not in seen:
            seen.add(key)
            kept.add(fact.id)
    left = [fact for fact in facts.facts if fact.id in kept]
    gone = len(facts) - len(left)
    return facts.keep(left, {TOLD_BEFORE[kind]: gone} if gone else None)


def priors(facts: Facts, kind: Prior) -> Priors:
    """What facts are worth.

    Args:
        facts: All that are asked, from `counted_once`; the candidates are those of their relations.
        kind: Where objects come from.

    Raises:
        UserError: A fact's object is not among the candidates of its relation, a relation has one
            candidate, or the facts are worth nothing.
    """
    right = gold(facts)
    for relation in facts.relations.values():
        if len(relation.candidates) < 2:
            raise UserError(
                f"{facts.source}: {relation.name} has one candidate, {relation.candidates[0]!r}: "
                "what can be answered in one way alone holds no bits; give more "
                '"candidates", or leave the relation out (--relations)'
            )
    if kind == "marginal":
        return _marginal(facts, right.index)
    excluded = _excluded(facts, right.index, right.others)
    sizes = [len(facts.relations[fact.relation].candidates) for fact in facts.facts]
    left = np.array([n - len(gone) for n, gone in zip(sizes, excluded, strict=True)], np.int64)
    return Priors(
        index=right.index,
        excluded=excluded,
        candidates=left,
        log2=-np.log2(left),
        bits=np.log2(left),
    )


def _marginal(facts: Facts, index: np.ndarray) -> Priors:
    """Each relation and part by how often its objects are right there."""
    places: dict[tuple[str, str], list[int]] = {}
    for number, fact in enumerate(facts.facts):
        places.setdefault((fact.relation, fact.split), []).append(number)
    log2, bits = np.empty(len(facts)), np.empty(len(facts))
    candidates = np.empty(len(facts), np.int64)
    excluded: list[np.ndarray] = [np.empty(0, np.int64)] * len(facts)
    for (relation, _), own in places.items():
        size = len(facts.relations[relation].candidates)
        counts = np.bincount(index[own], minlength=size)
        some, never = counts[counts > 0], np.flatnonzero(counts == 0)
        # By how much the shares' entropy is above that of the arrangements, per fact.
        extra = (-(some * np.log2(some / len(own))).sum() - arrangements(some)) / len(own)
        log2[own] = np.log2(counts[index[own]] / len(own))
        bits[own] = -log2[own] - extra
        candidates[own] = len(some)
        for number in own:
            excluded[number] = never
    if bits.sum() < _NOTHING:
        raise UserError(
            f"{facts.source}: the facts are worth no bits to one who knows how often each object "
            "is right: in each relation (and part of it) all have the same object, or there is one "
            "fact alone; give more facts (or a higher --limit), or --prior uniform if a fair die "
            "drew the objects"
        )
    return Priors(
        index=index,
        excluded=excluded,
        candidates=candidates,
        log2=log2,
        bits=bits,
    )


def arrangements(counts: Iterable[float]) -> float:
    """log2 of the number of ways to give n things their n_c of each kind: n! / prod n_c!.

    >>> round(2 ** arrangements([1, 1, 1])), round(2 ** arrangements([2, 1]))
    (6, 3)
    """
    numbers = [int(each) for each in counts]
    nats = math.lgamma(sum(numbers) + 1) - sum(math.lgamma(each + 1) for each in numbers)
    return max(nats / math.log(2), 0.0)


def hashed_order(names: Iterable[str]) -> list[str]:
    """Names in an order that says nothing of them, the same always.

    >>> hashed_order(["a", "b", "c"]) == hashed_order(["c", "b", "a"])
    True
    """
    return sorted(
        set(names), key=lambda name: hashlib.sha256(name.encode(errors="replace")).digest()
    )


def _excluded(facts: Facts, index: np.ndarray, others: list[np.ndarray]) -> list[np.ndarray]:
    """Aliases, and what the facts of the same subject that are told before have for object."""
    of_subject: dict[tuple[str, str], list[int]] = {}
    for number, fact in enumerate(facts.facts):
        of_subject.setdefault(subject_key(fact), []).append(number)
    found = list(others)
    for numbers in of_subject.values():
        if len(numbers) == 1:
            continue
        ids = {facts.facts[number].id: number for number in numbers}
        order = [ids[name] for name in hashed_order(ids)]
        for told, number in enumerate(order):
            later = {int(index[each]) for each in order[told + 1 :]}
            found[number] = np.array([p for p in others[number] if p not in later], np.int64)
    return found
