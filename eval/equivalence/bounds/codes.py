"""Codes, letters and numbers that tell one of a series from another: B12, Apollo 11, Henry VIII."""

import functools
import re

from closedbook.eval.equivalence.bounds.case import Bounds, Case, against, agreeing
from closedbook.eval.equivalence.evidence import text
from closedbook.eval.equivalence.evidence.answer import Answer
from closedbook.eval.equivalence.reasons import Reason

_CODE = re.compile(
    r"(?<![\w.-])(?!(?:mid|pre|post|no|vol|age|top|non)-?\d)[A-Za-z]{1,4}(?:-?\d{1,4}[A-Za-z]{0,3})+(?![\w])",
    re.I,
)
_SPACE = re.compile("-")
_DIGITS = re.compile(r"\d+")
_AFTER_LETTER = re.compile(r"\W*[A-Za-z]\s?[.):\]-]")
_HEADS = frozenset("option choice answer letter".split())


@functools.lru_cache(maxsize=1 << 14)
def codes(folded: str) -> frozenset[str]:
    """The codes of a text, without dashes.

    >>> sorted(codes("the H1N1 and F-16")), sorted(codes("15th of May"))
    (['f16', 'h1n1'], [])
    """
    return frozenset(_SPACE.sub("", match[0]).lower() for match in _CODE.finditer(folded))


def find(case: Case) -> Bounds | None:
    """Another code of the same letters, another letter or another number of the same series."""
    gold, given = case.gold, case.given
    if (gold.flags | given.flags) & (text.NUMBER | text.CODE):
        if _other_code(gold, given):
            return against(Reason.NUMBER_CONFLICT)
        if _other_number(case):
            return against(Reason.NUMBER_CONFLICT)
        if case.short and _same_number(gold, given):
            return agreeing(Reason.NUMBER, 0.9)
    lettered = bool(gold.words) and len(gold.words[-1]) == 1 and not gold.numbers
    if lettered and _other_letter(gold, given, case.short):
        return against(Reason.HEAD_CONFLICT)
    return None


def _other_code(gold: Answer, given: Answer) -> bool:
    if len(gold.words) > 6:
        return False
    expected = codes(gold.folded) if gold.flags & (text.NUMBER | text.CODE) else frozenset()
    if not expected:
        if len(gold.words) != 1 or not gold.raw.isupper():
            return False
        return any(_DIGITS.sub("", code) == gold.words[0] for code in codes(given.folded))
    found = codes(given.folded)
    for code in expected - found:
        if code in given.words:
            continue
        kind = _DIGITS.sub("#", code)
        if any(_DIGITS.sub("#", other) == kind for other in found):
            return True
        letters = _DIGITS.sub("", code)
        if len(letters) > 1 and letters in given.words and code not in given.plain.replace(" ", ""):
            return True
    return False


def _other_number(case: Case) -> bool:
    """The same words beside another number: Apollo 13, Henry VII, World War One."""
    gold, given = case.gold, case.given
    if not gold.numbers or not given.numbers or gold.dates or len(gold.words) > 6:
        return False
    if any(n.kind or n.value > 5000 or n.value % 1 for n in gold.numbers):
        return False
    expected = {number.value for number in gold.numbers}
    if expected & {number.value for number in given.numbers}:
        return False
    taken = {place for number in gold.numbers for place in range(number.start, number.after)}
    beside = {gold.stems[place] for place in gold.content if place not in taken}
    beside -= case.question.keys
    if not beside:
        return False
    for number in given.numbers:
        near = set(given.stems[max(0, number.start - 3) : number.after + 2])
        if beside <= near:
            return True
    return False


def _same_number(gold: Answer, given: Answer) -> bool:
    """The same words beside the same number in another form: 5th Avenue, Fifth Avenue."""
    if len(gold.numbers) != 1 or len(given.numbers) != 1 or gold.dates or given.dates:
        return False
    a, b = gold.numbers[0], given.numbers[0]
    if a.kind or b.kind or a.value != b.value:
        return False
    first = {gold.stems[place] for place in gold.content if not a.start <= place < a.after}
    second = {given.stems[place] for place in given.content if not b.start <= place < b.after}
    return bool(first) and first == second


def _other_letter(gold: Answer, given: Answer, short: bool) -> bool:
    """Hepatitis B for hepatitis A, or hepatitis alone."""
    letter = gold.words[-1]
    if not letter.isalpha() or not (gold.capital[-1] or len(gold.words) > 1):
        return False
    if len(gold.words) == 1:
        return _other_option(gold, given)
    before = gold.words[-2]
    for place, word in enumerate(given.words):
        if word != before:
            continue
        following = given.words[place + 1] if place + 1 < len(given.words) else ""
        if following == letter:
            return False
        lettered = len(following) == 1 and following.isalpha()
        if lettered and (given.capital[place + 1] or following not in "ais"):
            return True
        if short and not following:
            return True
    return False


def option(gold: Answer, given: Answer) -> Bounds | None:
    """Whether the expected letter stands before or behind the word for it: Option A; A. Paris."""
    if len(gold.words) != 1 or len(gold.plain) != 1 or not gold.plain.isalpha():
        return None
    if not given.words or len(given.words) > 12:
        return None
    heads = _HEADS.isdisjoint(given.words[:-1])
    if given.words[-1] == gold.plain and not heads and given.capital[-1]:
        return agreeing(Reason.CONTAINED)
    first = given.words[0] == gold.plain and given.capital[0]
    if first and _AFTER_LETTER.match(given.raw):
        return agreeing(Reason.CONTAINED)
    return None


def _other_option(gold: Answer, given: Answer) -> bool:
    """Another letter of several: "A. Paris" where C is expected."""
    first = 1 if len(given.words) > 1 and given.words[0] in _HEADS else 0
    if len(given.words) <= first:
        return False
    letter = given.words[first]
    return (
        len(letter) == 1 and letter.isalpha() and given.capital[first] and letter != gold.words[0]
    )
