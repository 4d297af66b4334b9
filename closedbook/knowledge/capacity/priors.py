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
capitals is no news to one who knows the other 48.

**Aliases.** A candidate that is another name of a fact's own object is taken out of its candidates.

**Several right objects.** The facts of one subject and relation are told one after the other, in an
order that a hash makes, each without the objects told before it (the chain rule). The order is told
too, and no model knows it: it is worth the bits that a model must spend on it.
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


def priors(facts: Facts, kind: Prior) -> Priors:
    """What facts are worth.

    Args:
        facts: All that are asked; the candidates are those of their relations.
        kind: Where objects come from.

    Raises:
        UserError: A fact's object is not among the candidates of its relation, or the facts are
            worth nothing.
    """
    right = gold(facts)
    weights = {name: np.ones(len(each.candidates)) for name, each in facts.relations.items()}
    if kind == "marginal":
        weights = {name: np.zeros(len(each)) for name, each in weights.items()}
        for fact, place in zip(facts.facts, right.index, strict=True):
            weights[fact.relation][place] += 1
    excluded = _excluded(facts, right.index, right.others)
    log2 = np.empty(len(facts))
    left = np.empty(len(facts), np.int64)
    for number, (fact, place) in enumerate(zip(facts.facts, right.index, strict=True)):
        of = weights[fact.relation].copy()
        of[excluded[number]] = 0
        excluded[number] = np.flatnonzero(of == 0)
        left[number] = np.count_nonzero(of)
        log2[number] = math.log2(of[place] / of.sum())
    bits = -log2
    if kind == "marginal":
        bits = bits - _too_much(facts, weights)
    if bits.sum() < _NOTHING:
        raise _worth_nothing(facts)
    return Priors(index=right.index, excluded=excluded, candidates=left, log2=log2, bits=bits)


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


def _worth_nothing(facts: Facts) -> UserError:
    only = next(iter(facts.relations.values()))
    if all(len(relation.candidates) < 2 for relation in facts.relations.values()):
        others = ", and so have all other relations" if len(facts.relations) > 1 else ""
        return UserError(
            f"{facts.source}: {only.name} has one candidate, {only.candidates[0]!r}{others}: what "
            'can be answered in one way alone holds no bits; give more "candidates", or other facts'
        )
    return UserError(
        f"{facts.source}: all facts of a relation have the same object, so that they are worth no "
        "bits to one who knows how often each is right; give more facts, or --prior uniform if a "
        "fair die drew the objects"
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


def _too_much(facts: Facts, weights: dict[str, np.ndarray]) -> np.ndarray:
    """By how much the shares' entropy is above that of the arrangements, per fact, [facts]."""
    extra = {}
    for name, counts in weights.items():
        n = counts.sum()
        some = counts[counts > 0]
        extra[name] = (-(some * np.log2(some / n)).sum() - arrangements(some)) / n
    return np.array([extra[fact.relation] for fact in facts.facts])
