"""What the evidence of one phrase says for certain: spellings, dates, numbers, a second answer."""

from collections.abc import Sequence

from closedbook.eval.equivalence.bounds import names
from closedbook.eval.equivalence.bounds.case import FREE, Bounds, Case
from closedbook.eval.equivalence.evidence import dates, text
from closedbook.eval.equivalence.evidence.answer import Answer, Question
from closedbook.eval.equivalence.evidence.codes import Dates, Stands
from closedbook.eval.equivalence.reasons import Reason


def find(case: Case) -> Bounds:
    """The bounds of a short prediction; (0, 1) for most."""
    question, golds, gold, given, pair = case[:5]
    digits = (gold.flags | given.flags) & text.NUMBER
    if gold.plain == given.plain or (not digits and _joined(gold) == _joined(given)):
        return Bounds(0.97, 1.0, Reason.SPELLING)
    if pair.antonym:
        return Bounds(0.0, 0.2, Reason.NEGATION)
    if pair.date == Dates.SAME and not pair.rest and not pair.given_rest:
        return Bounds(0.95, 1.0, Reason.DATE)
    if pair.date >= Dates.COARSER and _finer_conflict(golds, given):
        return Bounds(0.0, 0.3, Reason.DATE_CONFLICT)
    if pair.date == Dates.FINER and not pair.rest and not pair.given_rest:
        return Bounds(0.75, 1.0, Reason.DATE_FINER)
    if pair.acronym and _initials(gold, given):
        return Bounds(0.8, 1.0, Reason.ACRONYM)
    if pair.date == Dates.NONE and not pair.rest and not pair.given_rest:
        if pair.number == 1 and not pair.number_extra:
            return Bounds(0.95, 1.0, Reason.NUMBER)
        near = _near(gold, pair.number_ratio)
        alike = len(gold.numbers) == len(given.numbers)  # 5 ft 6 in and 5 ft 5 in
        if 0 <= pair.number < 1 and alike and not near and pair.contained < Stands.STEMS:
            return Bounds(0.0, 0.2, Reason.NUMBER_CONFLICT)
    if pair.other_forename and question.kind == "who" and len(gold.person) == 2 and not pair.comma:
        return Bounds(0.0, 0.2, Reason.NAME_CONFLICT)
    if names.other_forename(case):
        return Bounds(0.0, 0.2, Reason.NAME_CONFLICT)
    if _second_answer(question, golds, gold, given):
        return Bounds(0.0, 0.35, Reason.SECOND_ANSWER)
    return FREE


def _near(gold: Answer, ratio: float) -> bool:
    """Whether one number may be the other, rounded: 2.18 and 2.2 billion."""
    if len(gold.numbers) != 1:
        return False
    return ratio <= 0.01 or (ratio <= 0.05 and abs(gold.numbers[0].value) >= 1000)


def _joined(answer: Answer) -> str:
    return answer.plain.replace(" ", "")


def _initials(gold: Answer, given: Answer) -> bool:
    """Whether one is a single word of capitals, made of the first letters of the other's words."""
    short, long = sorted((gold, given), key=lambda answer: len(answer.words))
    return len(short.words) == 1 and short.raw.isupper() and short.plain in long.initials


def _finer_conflict(golds: Sequence[Answer], given: Answer) -> bool:
    """A day is given in an expected year, but another expected answer names a day of that year,
    in another month: the year alone must not excuse it."""
    days = [date for gold in golds for date in gold.dates if date.grain == "day" and date.year]
    found = [date for date in given.dates if date.grain == "day" and date.year]
    if not days or not found:
        return False
    return not any(
        dates.relation(date, day) == Dates.SAME or date.month == day.month
        for date in found
        for day in days
    ) and any(date.year == day.year for date in found for day in days)


def _second_answer(
    question: Question, golds: Sequence[Answer], gold: Answer, given: Answer
) -> bool:
    """One of two parts around "and" is the expected answer, the other stands nowhere else."""
    if len(given.items) != 2 or "and" not in given.words or len(gold.items) > 1:
        return False
    if gold.keys not in given.items:
        return False
    if any(other.keys.isdisjoint(gold.keys) for other in golds):  # a question for a list
        return False
    second = given.items[1 - given.items.index(gold.keys)]
    known = question.keys.union(*[other.keys for other in golds])
    return second.isdisjoint(known)
