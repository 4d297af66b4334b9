"""Works of one series that a number tells apart: Toy Story and Toy Story 2, Rocky and Rocky IV."""

import re
from collections.abc import Sequence

from closedbook.eval.equivalence.bounds.case import Bounds, Case, against
from closedbook.eval.equivalence.evidence import names, text
from closedbook.eval.equivalence.evidence.answer import Answer
from closedbook.eval.equivalence.evidence.forenames import COMMON
from closedbook.eval.equivalence.reasons import Reason

_NUMERALS = frozenset(
    "ii iii iv v vi vii viii ix x xi xii xiii xiv xv xvi xvii xviii xix xx".split()
) | frozenset(map(str, range(2, 21)))
_WORDS = frozenset("two three four five six seven eight nine ten".split())
_PARTS = frozenset("part chapter volume vol episode book".split())
_LONGEST = 12  # words of a prediction that is read for a title
# Where a number is a finer place in the expected thing, or a count of something else.
_PLACED = re.compile(
    r"\b(?:bible|verse|scripture|testament|gospel|quran|psalms?|who|whom|whose|when|"
    r"how (?:many|much|long|old))\b",
    re.I,
)


def find(case: Case) -> Bounds | None:
    """A title with another number than the expected one, or with one where none is expected."""
    gold, given = case.gold, case.given
    if not (gold.flags | given.flags) & text.NUMBER or len(given.words) > _LONGEST:
        return None
    if gold.dates or given.dates or len(gold.words) > 8 or _PLACED.search(case.question.raw):
        return None
    title, number = _parted(gold)
    if not _is_title(gold, title):
        return None
    known = [other for other in case.golds if other is not gold]
    if any(_parted(other)[0] == title and _parted(other)[1] != number for other in known):
        return None
    asked = case.question.words
    if number in asked or any(word in asked for word in _spelled(number)):
        return None  # the question tells which
    found = _numbers_behind(title, given)
    if not found or number in found or (found == {""} and not case.short):
        return None
    return against(Reason.NAME_CONFLICT)


def _parted(answer: Answer) -> tuple[tuple[str, ...], str]:
    """A title without its article, and the number at its end; "" without one."""
    words = _bare(answer.words)
    if len(words) < 2:
        return words, ""
    number = _numeral(words, len(words) - 1, answer.capital[-1])
    if not number:
        return words, ""
    end = len(words) - (2 if words[-2] in _PARTS and len(words) > 2 else 1)
    return words[:end], number


def _bare(words: tuple[str, ...]) -> tuple[str, ...]:
    return words[1:] if words[:1] in (("the",), ("a",), ("an",)) else words


_VALUES = {
    numeral: str(value)
    for value, numeral in enumerate(
        "i ii iii iv v vi vii viii ix x xi xii xiii xiv xv xvi xvii xviii xix xx".split(), start=1
    )
} | {
    word: str(value)
    for value, word in enumerate("two three four five six seven eight nine ten".split(), start=2)
}


def _numeral(words: Sequence[str], place: int, capital: bool) -> str:
    """The number that a word is as the end of a title: 2, II, Part Two; "" for other words."""
    word = words[place]
    parted = place > 0 and words[place - 1] in _PARTS
    if word.isdigit():
        return word if word in _NUMERALS else ""
    if word in _NUMERALS and capital and (len(word) > 1 or parted):
        return _VALUES[word]
    return _VALUES[word] if word in _WORDS and (parted or capital) else ""


def _spelled(number: str) -> list[str]:
    return [word for word, value in _VALUES.items() if value == number]


def _is_title(gold: Answer, title: tuple[str, ...]) -> bool:
    """Whether words are a work's title, or another name that is no person's."""
    if (
        not title
        or not title[-1].isalpha()
        or title[0] in COMMON
        or title[0] in names.TITLES
        or title[-1] in COMMON
    ):
        return False
    return all(gold.capital[place] for place in gold.content if not gold.words[place].isdigit())


def _numbers_behind(title: tuple[str, ...], given: Answer) -> set[str]:
    """The numbers behind each mention of a title; "" where none stands there."""
    words = given.words
    count = len(title)
    found = set()
    for place in range(len(words) - count + 1):
        if words[place : place + count] != title:
            continue
        end = place + count
        number = ""
        for at in (end, end + 1):
            if at < len(words) and not number:
                if at == end + 1 and words[end] not in _PARTS:
                    break
                number = _numeral(words, at, given.capital[at])
                if number and "(" in given.gaps[at]:
                    number = ""
        found.add(number)
    return found
