"""Works of one series that a number tells apart: Toy Story and Toy Story 2, Rocky and Rocky IV."""

import re
from collections.abc import Sequence

from closedbook.eval.equivalence.bounds.case import Bounds, Case, against
from closedbook.eval.equivalence.evidence import names, text, words
from closedbook.eval.equivalence.evidence.answer import Answer
from closedbook.eval.equivalence.evidence.forenames import COMMON
from closedbook.eval.equivalence.reasons import Reason

_FIRST, _LAST = 2, 20  # numbers of sequels
_ROMAN = {
    numeral: str(value)
    for value, numeral in enumerate(
        "ii iii iv v vi vii viii ix x xi xii xiii xiv xv xvi xvii xviii xix xx".split(), _FIRST
    )
}
_SPELLED = {
    word: str(value)
    for value, word in enumerate("two three four five six seven eight nine ten".split(), _FIRST)
}
_DIGITS = frozenset(map(str, range(_FIRST, _LAST + 1)))
_PARTS = frozenset("part chapter volume vol episode book".split())
# Where a number is a finer place in the expected thing, or a count of something else.
_PLACED = re.compile(
    r"\b(?:bible|verse|scripture|testament|gospel|quran|psalms?|who|whom|whose|when|"
    r"how (?:many|much|long|old))\b",
    re.I,
)


def find(case: Case) -> Bounds | None:
    """A title with another number than the expected one, or with one where none is expected."""
    gold, given = case.gold, case.given
    if not (gold.flags | given.flags) & text.NUMBER:
        return None
    if gold.dates or given.dates or len(gold.words) > 8 or _PLACED.search(case.question.raw):
        return None
    title, number = _parted(gold)
    if not _is_title(gold, title):
        return None
    known = [other for other in case.golds if other is not gold]
    if any(_parted(other)[0] == title and _parted(other)[1] != number for other in known):
        return None
    if number and any(_numeral((word,), 0, True) == number for word in case.question.words):
        return None  # the question tells which
    found = _numbers_behind(title, given)
    if not found or number in found or (found == {""} and not case.short):
        return None
    return against(Reason.NAME_CONFLICT)


def _parted(answer: Answer) -> tuple[tuple[str, ...], str]:
    """A title without its article, and the number at its end; "" without one."""
    bare = _bare(answer.words)
    number = _numeral(bare, len(bare) - 1, answer.capital[-1]) if len(bare) > 1 else ""
    if not number:
        return bare, ""
    end = len(bare) - (2 if bare[-2] in _PARTS and len(bare) > 2 else 1)
    return bare[:end], number


def _bare(found: tuple[str, ...]) -> tuple[str, ...]:
    return found[1:] if found[:1] in (("the",), ("a",), ("an",)) else found


def _numeral(found: Sequence[str], place: int, capital: bool) -> str:
    """The number that a word is as the end of a title: 2, II, Part Two; "" for other words."""
    word = found[place]
    parted = place > 0 and found[place - 1] in _PARTS
    if word.isdigit():
        return word if word in _DIGITS else ""
    if capital and (len(word) > 1 or parted) and word in _ROMAN:
        return _ROMAN[word]
    return _SPELLED.get(word, "") if parted or capital else ""


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


def _apart(given: Answer, place: int) -> bool:
    """Whether a sign parts a word from a title, or it counts what is next: "Rocky, 2 Oscars"."""
    if not {",", "("}.isdisjoint(given.gaps[place]):
        return True
    after = place + 1
    if after == len(given.words) or given.gaps[after] != " ":
        return False
    return not given.capital[after] and given.words[after] not in words.STOP


def _numbers_behind(title: tuple[str, ...], given: Answer) -> set[str]:
    """The numbers behind each mention of a title; "" where none stands there."""
    said = given.words
    numbers = set()
    for place in range(len(said) - len(title) + 1):
        end = place + len(title)
        if said[place:end] == title:
            at = end + 1 if said[end : end + 1] and said[end] in _PARTS else end
            told = at < len(said) and not _apart(given, at)
            numbers.add(_numeral(said, at, given.capital[at]) if told else "")
    return numbers
