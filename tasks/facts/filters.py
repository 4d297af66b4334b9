"""LAMA's filters, and those of LAMA-UHN, each with a count of what it dropped."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from closedbook.errors import UserError
from closedbook.eval.files.json_lines import place
from closedbook.tasks.facts import fields
from closedbook.tasks.facts.form import Fact, Facts, subject_key

MOST_WORDS = 100  # of a sentence, as in LAMA's runs

Names = Mapping[tuple[str, str], AbstractSet[str]]  # (relation, name) -> objects it tells
_Filter = Callable[[Sequence[Fact]], list[Fact]]


def lama(
    facts: Facts,
    *,
    vocabulary: AbstractSet[str] | None = None,
    most_words: int = MOST_WORDS,
    uhn: bool = False,
    names: Names | None = None,
) -> Facts:
    """The facts that LAMA would ask about.

    In LAMA's order: sentences over `most_words` words; objects that are not in the vocabulary;
    facts that more raters denied than affirmed ("skip" counts as a denial, as in LAMA's code; the
    published files have none left); the second of two facts with one relation, subject and object.
    After them the filters of Poerner et al. 2020 (LAMA-UHN).

    Args:
        facts: Any facts.
        vocabulary: The names that are one token each in all models compared; relations keep those
            of their candidates. Default: all names.
        most_words: Most words between spaces of a prompt with its subject.
        uhn: Whether to drop facts whose subject's name contains the object's.
        names: As `read_names` gives them: drops facts whose object a part of the subject's name
            tells.

    Returns:
        What is left, with a count for every filter in `dropped`, zeros included.

    Raises:
        UserError: Nothing is left.
    """
    steps: dict[str, _Filter] = {f"over {most_words} words": lambda rows: short(rows, most_words)}
    if vocabulary is not None:
        steps["object not in the vocabulary"] = lambda rows: [
            fact for fact in rows if fact.object in vocabulary
        ]
    steps["denied by raters"] = affirmed
    steps["said before"] = distinct
    if uhn or names is not None:
        steps |= _unhelpful(uhn, names)
    found = _filtered(facts, steps)
    return found if vocabulary is None else found.with_candidates(vocabulary)


def unhelpful_names(facts: Facts, names: Names | None = None) -> Facts:
    """LAMA-UHN: the facts whose object the subject's name does not tell.

    What is right for the subjects of facts that stay does not change.

    Args:
        facts: Any facts.
        names: As `read_names` gives them; without them only objects within the subject's name
            are told by it.

    Returns:
        What is left, with a count for both filters in `dropped`, zeros included.

    Raises:
        UserError: Nothing is left.
    """
    return _filtered(facts.with_all_right(), _unhelpful(True, names))


def _unhelpful(within: bool, names: Names | None) -> dict[str, _Filter]:
    steps: dict[str, _Filter] = {}
    if within:
        steps["object within the subject's name"] = not_in_name
    if names is not None:
        steps["object told by a name"] = lambda rows: not_told(rows, names)
    return steps


def _filtered(facts: Facts, steps: Mapping[str, _Filter]) -> Facts:
    left, dropped = list(facts.facts), {}
    for reason, step in steps.items():
        before = len(left)
        left = step(left)
        dropped[reason] = before - len(left)
    if not left:
        told = ", ".join(f"{reason}: {n}" for reason, n in dropped.items() if n)
        raise UserError(
            f"{facts.source}: no fact passes LAMA's filters ({told}); give a larger vocabulary, "
            "or other facts"
        )
    return facts.keep(left, dropped)


def short(facts: Sequence[Fact], most_words: int = MOST_WORDS) -> list[Fact]:
    """Facts whose prompt with its subject has at most so many words."""
    return [fact for fact in facts if len(fact.asked().split()) <= most_words]


def affirmed(facts: Sequence[Fact]) -> list[Fact]:
    """Facts that not more raters denied than affirmed; those without raters stay."""

    def denied(fact: Fact) -> bool:
        given = fact.meta.get("judgments")
        judgments = given if isinstance(given, list) else []  # a user's field may be anything
        yes = judgments.count("yes")
        return len(judgments) - yes > yes

    return [fact for fact in facts if not denied(fact)]


def distinct(facts: Sequence[Fact]) -> list[Fact]:
    """The first fact of each relation, subject, object and prompt."""
    first: dict[tuple[str, ...], Fact] = {}
    for fact in facts:
        first.setdefault((*subject_key(fact), fact.object, fact.prompt), fact)
    return list(first.values())


def not_in_name(facts: Sequence[Fact]) -> list[Fact]:
    """Facts whose object is not part of the subject's name, whatever the case.

    "Apple Watch is made by Apple" is dropped. Source: Poerner, Waltinger, Schütze 2020 (E-BERT).
    """
    return [fact for fact in facts if fact.object.lower() not in fact.subject.lower()]


def not_told(facts: Sequence[Fact], names: Names) -> list[Fact]:
    """Facts whose object no part of the subject's name suggests, by the lists that are given."""

    def told(fact: Fact) -> bool:
        return any(
            fact.object.lower() in names.get((fact.relation, word.lower()), ())
            for word in fact.subject.split()
        )

    return [fact for fact in facts if not told(fact)]


def read_names(path: pathlib.Path) -> dict[tuple[str, str], frozenset[str]]:
    """Lists of what names suggest: JSON lines of `{"relation", "name", "objects": [...]}`.

    They come of asking a masked language model for "[X] is a common name in the following city:
    [MASK]." and the like, as LAMA-UHN did with each first and last name.

    Returns:
        (Relation, name) -> objects, names and objects in small letters.

    Raises:
        UserError: A row is malformed.
    """
    found: dict[tuple[str, str], frozenset[str]] = {}
    for where, row in fields.rows(path):
        with place(where):
            key = fields.text(row, "relation"), fields.text(row, "name").lower()
            objects = frozenset(each.lower() for each in fields.several(row, "objects"))
            found[key] = found.get(key, frozenset()) | objects
    return found
