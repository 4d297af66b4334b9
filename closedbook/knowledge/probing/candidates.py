"""Which candidates are ranked: another closed set than the data's own, with what it costs in facts.

LAMA ranks the words of a vocabulary, or the single tokens that all models compared have in common.
A fact whose object is no candidate any more is left out and counted.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from closedbook.errors import UserError
from closedbook.eval.files import text_files
from closedbook.eval.report import numbers
from closedbook.knowledge.probing.families.protocol import Spelling
from closedbook.tasks.facts.form import Facts, Relation


def read(path: pathlib.Path) -> tuple[str, ...]:
    """The candidates of a file: one per line, each once; empty lines do not count.

    Raises:
        UserError: It cannot be read, or names fewer than two.
    """
    lines = text_files.lines(path, what="candidates", remedy="give a text file, one per line")
    names = tuple(dict.fromkeys(line.strip() for _, line in lines if line.strip()))
    if len(names) < 2:
        few = numbers.counted(len(names), "candidate")
        raise UserError(f"{path} names {few}; give two or more, one per line")
    return names


def of_all(facts: Facts, names: Sequence[str], source: str) -> Facts:
    """The same candidates for every relation.

    Raises:
        UserError: No object is among them.
    """
    return _with(facts, dict.fromkeys(facts.relations, tuple(names)), f"object not in {source}")


def single_tokens(facts: Facts, promptings: Sequence[Spelling]) -> Facts:
    """Those candidates that are one known piece in the vocabularies of all models.

    Raises:
        UserError: No object is.
    """
    kept = {}
    for name, relation in facts.relations.items():
        flags = [prompting.single(relation.candidates) for prompting in promptings]
        together = zip(*flags, strict=True)
        kept[name] = _only(relation, [all(each) for each in together])
    return _with(facts, kept, "object not a single token")


def spelled(facts: Facts, prompting: Spelling) -> Facts:
    """Those candidates that the vocabulary can write; of several that it writes alike the first.

    Raises:
        UserError: It can write no object.
    """
    kept = {}
    for name, relation in facts.relations.items():
        flags, seen = [], set[tuple[int, ...]]()
        for candidate, pieces in prompting.spelled(relation.candidates):
            flags.append(prompting.knows(candidate, pieces) and pieces not in seen)
            seen.add(pieces)
        kept[name] = _only(relation, flags)
    return _with(facts, kept, "object not to be written, or written like another")


def first_facts(facts: Facts, limit: int) -> Facts:
    """The first facts of each relation; all candidates, and what is right, stay the same."""
    counts: dict[str, int] = {}
    kept = []
    # Other facts of the same subject may go; their objects are right all the same.
    for fact in facts.with_all_right().facts:
        counts[fact.relation] = counts.get(fact.relation, 0) + 1
        if counts[fact.relation] <= limit:
            kept.append(fact)
    return facts.keep(kept)


def _only(relation: Relation, flags: Sequence[bool]) -> tuple[str, ...]:
    return tuple(c for c, keep in zip(relation.candidates, flags, strict=True) if keep)


def _with(facts: Facts, candidates: Mapping[str, tuple[str, ...]], reason: str) -> Facts:
    sets = {name: set(each) for name, each in candidates.items()}
    left = [fact for fact in facts.facts if fact.object in sets[fact.relation]]
    if not left:
        raise UserError(
            f"{facts.source}: no fact is left, for all {len(facts):,} have an {reason}; give "
            "candidates that hold their objects, or another model"
        )
    kept = facts.keep(left, {reason: len(facts) - len(left)})
    relations = {
        name: dataclasses.replace(relation, candidates=candidates[name])
        for name, relation in kept.relations.items()
    }
    return dataclasses.replace(kept, relations=relations)
