"""Plain facts about two answers that no weight outvotes.

Human judgements are too few for some plain facts about text ("7" is "seven", "indirect rule" is
not "direct rule", 5 °C are not 5 °F), so these are not left to learning. They hold in both modes:
each leaves the probability a least and a greatest value.
"""

from collections.abc import Sequence

from closedbook.eval.equivalence.bounds import (
    aliases,
    codes,
    denied,
    names,
    notes,
    opposites,
    places,
    plain,
    polarity,
    quantities,
    scripts,
    sequels,
    several,
    signs,
    times,
)
from closedbook.eval.equivalence.bounds.case import FREE, PHRASE, Bounds, Case, against
from closedbook.eval.equivalence.evidence import text
from closedbook.eval.equivalence.evidence.answer import Answer, Question
from closedbook.eval.equivalence.evidence.features import SHORT, Row
from closedbook.eval.equivalence.reading.alternatives import NONE, Alternatives
from closedbook.eval.equivalence.reasons import Reason

__all__ = ["Bounds", "find"]


def find(
    question: Question,
    golds: Sequence[Answer],
    given: Answer,
    row: Row,
    alternatives: Alternatives = NONE,
) -> Bounds:
    """The bounds of a row; (0, 1) for most.

    Args:
        question: The question.
        golds: The expected answers.
        given: What the prediction asserts.
        row: Their evidence.
        alternatives: The answers among which the prediction does not choose.
    """
    for gold in golds:
        told = None
        if gold.flags & text.POLAR:
            told = polarity.find(question, gold, given)
        elif not gold.raw.isascii():
            told = scripts.find(gold, given, alternatives)
        if told is not None:
            return told
    if row.values is None:
        return _without_words(question, golds, given, row)
    short = len(given.words) <= SHORT
    case = Case(question, golds, golds[row.best], given, row.pair, short, alternatives)
    if alternatives.items:
        told = several.find(case)
        if told is not None:
            return told
    for check in _CHECKS if len(given.words) <= PHRASE else _OF_SENTENCES:
        told = check(case)
        if told is not None:
            return told
    return plain.find(case) if short else FREE


_TIMED = text.CLOCK | text.DATE


def _without_words(question: Question, golds: Sequence[Answer], given: Answer, row: Row) -> Bounds:
    """What is certain although no word is shared: other names of one thing, times, letters."""
    for gold in golds:
        both = gold.flags & given.flags
        told = notes.find(question, gold, given)
        if told is None and both & text.ALIAS:
            told = aliases.find(gold, given)
        if told is None and both & _TIMED:
            told = times.find(Case(question, golds, gold, given, row.pair, True))
        if told is None and len(gold.plain) == 1:
            told = codes.option(gold, given)
        if told is not None:
            return told
    return FREE


def _signs(case: Case) -> Bounds | None:
    gold, given = case.gold, case.given
    if signs.conflict(gold.folded, given.folded) or signs.negated(gold.numbers, given.numbers):
        return against(Reason.SIGN_CONFLICT)
    return None


def _note(case: Case) -> Bounds | None:
    return notes.find(case.question, case.gold, case.given)


def _alias(case: Case) -> Bounds | None:
    return aliases.find(case.gold, case.given)


_CHECKS = (
    denied.find,
    _note,
    _signs,
    quantities.find,
    quantities.ranges,
    times.find,
    _alias,
    names.find,
    places.find,
    codes.find,
    sequels.find,
    opposites.find,
)
"""In this order; the first that says anything decides."""
_OF_SENTENCES = (quantities.find, times.find, names.find, codes.find, opposites.find)
"""Those of them that also look at longer predictions."""
