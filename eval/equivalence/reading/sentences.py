"""Sentences and clauses of a text, as places in it."""

import functools
import re
from collections.abc import Iterator

from closedbook.eval.equivalence.evidence import places

_STRAIGHT = str.maketrans("‘’ʼ`´“”–—−‑‒\u00a0\u202f\u2009", "'''''\"\"-----   ")
_END = re.compile(r"[.!?]+[\"')\]]*(?=\s|$)|\n+|;")
BOUNDARY = re.compile(r",(?!\d)|[;:!?()\n]|\s-+\s|\.{2,}|\.(?=\s|$)")
"""Where a clause may end, inside a sentence."""

# A full stop behind one of these ends no sentence; nor does one behind a single letter, or behind
# a number with a small letter next.
_ABBREVIATION = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|st|mt|ft|sr|jr|prof|gen|col|capt|lt|sgt|gov|sen|rep|rev|hon|no|vol|vs|"
    r"etc|inc|ltd|co|corp|approx|ca|fig|op|ave|dept|est|jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|"
    r"nov|dec|e\.g|i\.e|a\.m|p\.m|b\.c|a\.d)|(?<![^\W_])[a-z])\Z",
    re.I,
)
_LONGEST = 8  # characters before a full stop that are looked at
_NUMBERED = re.compile(r"(?<![\d.])\d{1,2}\Z")
_GOES_ON = re.compile(r"\s+\S|,")
_SMALL = re.compile(r"\s+[a-z]")
_EXCLAIMED = re.compile(r"[!?](?=\s+[a-z])")
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\w*"
_DATE_COMMA = re.compile(
    rf"\b{_MONTH}\.? \d{{1,2}}(?:st|nd|rd|th)?(,) ?\d{{3,4}}\b|"
    r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)day(,) |"
    rf"\b{_MONTH}(,) \d{{4}}\b",
    re.I,
)
_TITLE_COMMA = re.compile(
    r",(?=\s*(?:inc|ltd|llc|jr|sr|phd|ph\.d|m\.?d|esq|ii|iii|iv|co|u\.?s\.?a?)\b)", re.I
)
_PLACES_COMMA = re.compile(
    r"([A-Z][\w'-]*(?: [A-Z][\w'-]*){0,3}), (?=([A-Z][\w'-]*(?: [A-Z][\w'-]*){0,3}))"
)
_YEAR_BEHIND = re.compile(r", ?\d{3}")
_NAME_BEHIND = re.compile(", [A-Z]")
_HIDDEN = {",": "\x1c", ".": "\x1d", "!": "\x1e", "?": "\x1f"}
_SHOWN = {ord(mark): sign for sign, mark in _HIDDEN.items()}


def holds(text: str, marks: tuple[str, ...]) -> bool:
    """Whether a text holds any of some parts of words.

    >>> holds("the larynx", ("ar", "or")), holds("the larynx", ("or",))
    (True, False)
    """
    for mark in marks:  # noqa: SIM110 - any() would take twice the time
        if mark in text:
            return True
    return False


def straight(text: str) -> str:
    """The text with quotes, dashes and blanks of one shape, each in its place."""
    return text if text.isascii() else text.translate(_STRAIGHT)


@functools.lru_cache(maxsize=1 << 8)
def hidden(text: str) -> str:
    """The text with marks in place of the commas and stops that part nothing; see `shown`.

    >>> for text in ("On May 1, 1990, in Bonn, Germany, by W. S. Hill", "not Lyon, Paris"):
    ...     print(hidden(text).replace(chr(28), "_").replace(chr(29), "_"))
    On May 1_ 1990, in Bonn_ Germany, by W_ S_ Hill
    not Lyon, Paris
    """
    if "," in text:
        if _YEAR_BEHIND.search(text) or "day, " in text:
            text = _DATE_COMMA.sub(lambda match: match[0].replace(",", _HIDDEN[","]), text)
        text = _TITLE_COMMA.sub(_HIDDEN[","], text)
        if _NAME_BEHIND.search(text):
            text = _PLACES_COMMA.sub(_held, text)
    place = text.find(".")
    while 0 <= place < len(text) - 1:
        if _parts_nothing(text, place):
            text = f"{text[:place]}{_HIDDEN['.']}{text[place + 1 :]}"
        place = text.find(".", place + 1)
    if "!" in text:
        text = _EXCLAIMED.sub(lambda match: _HIDDEN[match[0]], text)
    return text


def _parts_nothing(text: str, place: int) -> bool:
    """Whether the full stop at a place belongs to an abbreviation or to a number."""
    before = text[max(0, place - _LONGEST) : place]
    if _GOES_ON.match(text, place + 1) and _ABBREVIATION.search(before):
        return True
    return bool(_SMALL.match(text, place + 1) and _NUMBERED.search(before))


def _held(match: re.Match[str]) -> str:
    """A comma between a place and what holds it."""
    larger = match[2].lower()
    if not places.chain([match[1].lower(), larger]):
        return match[0]
    return f"{match[1]}{_HIDDEN[',']} "


def shown(text: str) -> str:
    """What `hidden` made of a text, as it was."""
    return text.translate(_SHOWN)


def split(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence; semicolons and ends of lines part them too.

    >>> text = hidden("It was J. R. Smith. Not Dr. No; no?")
    >>> [shown(text[start:end]) for start, end in split(text)]
    ['It was J. R. Smith.', ' Not Dr. No;', ' no?']
    """
    start = 0
    for match in _END.finditer(text):
        if match.end() > start:
            yield start, match.end()
        start = match.end()
    if text[start:].strip():
        yield start, len(text)
