"""The facts of a cell: filtered, with the candidates that its kind asks for, and a fixed sample."""

import hashlib
import os
import pathlib

from benchmarks.lama_study.plan import DATA_SETS
from closedbook.knowledge.probing import candidates, wordings
from closedbook.knowledge.probing.prompts import Prompting, style_of
from closedbook.tasks.facts import atlas, filters, read_facts
from closedbook.tasks.facts.form import Fact, Facts

_BEFORE = "It is"  # a piece after it is one inside of a text


def read(data: str, place: pathlib.Path | None, prompting: Prompting) -> Facts:
    """The facts of a data set that can be put to a model, with the candidates of its kind.

    Args:
        data: Of `DATA_SETS`.
        place: Its file or folder; None for the atlas.
        prompting: Of the model.
    """
    style = style_of(prompting.way) if place is None else None
    facts = read_facts(os.fspath(place) if place else atlas.NAME, style=style)
    kind = DATA_SETS[data].kind
    if kind == "first token":
        return facts
    facts = filters.lama(facts)
    facts = wordings.askable(facts, prompting)
    if kind == "words":
        return candidates.of_all(facts, words(prompting), "the vocabulary's words")
    if kind == "paraphrases":
        facts = candidates.single_tokens(facts, [prompting])
    return candidates.spelled(facts, prompting)


def words(prompting: Prompting) -> tuple[str, ...]:
    """The pieces of a vocabulary that are whole words of letters, which LAMA ranks."""
    vocabulary = prompting.vocabulary
    before = vocabulary.encode(_BEFORE)
    said = (vocabulary.decode([*before, piece]) for piece in range(vocabulary.vocab_size))
    names = (text.removeprefix(f"{_BEFORE} ") for text in said if text.startswith(f"{_BEFORE} "))
    found = list(dict.fromkeys(name for name in names if name.isalpha()))
    kept = prompting.single(found)
    return tuple(name for name, keep in zip(found, kept, strict=True) if keep)


def sample(facts: Facts, limit: int | None) -> Facts:
    """At most so many facts of each relation, chosen by a hash: neither the first nor the easiest.

    All candidates stay, and so does what is right.
    """
    if limit is None:
        return facts
    ordered = sorted(facts.facts, key=_hash)
    return candidates.first_facts(facts.keep(ordered), limit)


def _hash(fact: Fact) -> str:
    key = "\0".join((fact.relation, fact.subject, fact.object, fact.id))
    return hashlib.sha256(key.encode()).hexdigest()
