"""The tagger that needs no model: dates, numbers with units, and capitalised names."""

import functools
import hashlib
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from closedbook.corpora.taggers import dates, names, numbers, words
from closedbook.corpora.taggers.base import CharSpan
from closedbook.corpora.taggers.patterns import CAPITALS, CURRENCIES

_RULES = "1"  # goes up with every change of the rules that the pattern and tables do not show

# Finds where a span may begin; if a capital stands there, the whole run of capitalised words. The
# pattern begins with a set of characters, because Python's `re` then passes over text without such
# a character at 60 MB/s. A pattern that begins with alternatives or a word boundary makes it 15
# to 25 MB/s.
_CANDIDATE = re.compile(
    rf"[{CAPITALS}0-9{CURRENCIES}](?<!\w[^{CURRENCIES}])"
    r"(?<!\d[.,]\d)(?<!\d @[.,]@ \d)"  # within a number
    # Behind a word and a space a capital says "name"; elsewhere the place may be its cause.
    rf"(?:(?<=[{CAPITALS}])(?:(?<=[\w,;&] .)({names.RUN})|({names.RUN}))|)"
)
_DIGIT, _INSIDE = None, 1  # `lastindex` of a match of it
# Dates go before numbers, which go before names.
_FROM_DIGIT = re.compile(
    rf"(?P<date>{dates.FROM_DIGIT})|(?P<number>{numbers.FROM_DIGIT}|{numbers.FROM_SIGN})"
    rf"|(?P<name>{names.ORDINAL_RUN})|(?P<year>{dates.YEAR})|(?P<decade>{dates.SHORT_DECADE})"
)
_FROM_CAPITAL = re.compile(
    rf"(?P<date>{dates.FROM_CAPITAL})|(?P<month>{dates.MONTH_OR_DAY})"
    rf"|(?P<number>{numbers.FROM_CAPITAL})|(?P<title>{names.TITLE})"
)
# What `_FROM_CAPITAL` begins with: only these runs are worth another look.
_LONGER = frozenset(
    word[:3]
    for word in (
        *(*dates.MONTHS, *dates.WEEKDAYS, *numbers.CODES),
        *(f"{word} " for word in (*dates.BEFORE_YEAR, *words.TITLES)),
        *(f"{title}." for title in words.TITLES),
    )
)
_NOT_ALONE = frozenset(word.capitalize() for word in words.FUNCTION_WORDS)
_span = functools.partial(tuple.__new__, CharSpan)  # twice as fast as CharSpan()


class BuiltinTagger:
    """Dates (DATE), numbers with units (NUMBER), names (NAME) and peoples (NORP).

    Every sentence is read by itself, so that what a call holds beside it changes nothing.
    """

    name = "dates"

    @property
    def version(self) -> str:
        """The rules' number, and a hash of the pattern and of the tables of words."""
        patterns = _CANDIDATE, _FROM_DIGIT, _FROM_CAPITAL, dates.CENTURY_IN_WORDS
        tables = sorted(words.COMMON_WORDS), sorted(words.peoples()), sorted(words.places())
        data = repr((*(pattern.pattern for pattern in patterns), *tables)).encode(
            "utf-8", "surrogatepass"
        )
        return f"{_RULES}+{hashlib.sha256(data).hexdigest()[:8]}"

    def tag(self, sentences: Sequence[str]) -> list[list[CharSpan]]:
        """The spans of each sentence, in the order of the text, without overlaps."""
        return [_spans(text) for text in sentences]


_Value = TypeVar("_Value")
_DATE = "date?"  # the label of a run that may begin a date


class _Memory(dict[str, _Value]):
    """Remembers the values of a function of runs of capitalised words, up to 100,000 of them."""

    def __init__(self, function: Callable[[str], _Value]):
        super().__init__()
        self._function = function

    def __missing__(self, run: str) -> _Value:
        value = self._function(run)
        if len(self) < 100_000 and len(run) <= names.MOST_CHARACTERS:
            self[run] = value
        return value


def _label(run: str) -> str:
    if run[:3] in _LONGER or f"{run} " in _LONGER:
        return _DATE
    if run in _NOT_ALONE or not 1 < len(run) <= names.MOST_CHARACTERS:
        return ""
    return "NORP" if names.is_people(run) else "NAME"


_labels = _Memory(_label)  # of runs that do not begin a sentence
_skipped = _Memory(names.skipped)  # of runs that do


def _spans(text: str) -> list[CharSpan]:
    found: list[CharSpan] = []
    resume = -2  # behind the last span (or title) that is longer than its candidate
    for match in _CANDIDATE.finditer(text):
        place = match.lastindex
        if place is _DIGIT:
            start = match.start()
            special = _FROM_DIGIT.match(text, start) if start >= resume else None
            if special is not None:
                resume = special.end()
                _add(found, text, start, resume, special.lastgroup)
            continue
        run = match[0]
        label = _labels[run]
        if not label:
            continue
        start, limit = match.span()
        if start < resume:
            continue
        if label is _DATE:
            special = _FROM_CAPITAL.match(text, start)
            if special is not None:
                resume = special.end()
                _add(found, text, start, resume, special.lastgroup)
                continue
            start, label = _behind_month(found, text, start, run)
        inside = place is _INSIDE or start == resume + 1
        if not inside and (start == 0 or names.at_beginning(text, start)):
            skip = _skipped[run]
            if skip is None and not names.acts(text, limit):
                continue
            if skip:
                start, label = start + skip, _rest_label(text, start + skip, limit)
        if label:
            found.append(_span((start, limit, label)))
    return _with_centuries(found, text) if "centur" in text else found


def _behind_month(found: list[CharSpan], text: str, start: int, run: str) -> tuple[int, str]:
    """Adds the month that a run begins with ("in June Australia won"): what is left of the run."""
    first, _, rest = run.partition(" ")
    if first in dates.MONTHS_AND_DAYS and dates.is_month_of(text, start):
        found.append(CharSpan(start, start + len(first), "DATE"))
        return start + len(run) - len(rest), _labels[rest]
    return start, "NAME"


def _rest_label(text: str, start: int, limit: int) -> str:
    rest = text[start:limit]
    if rest in dates.AMBIGUOUS:
        return "DATE" if dates.is_month_of(text, start) else ""  # "In May"
    label = _labels[rest]
    return "NAME" if label is _DATE else label


def _add(found: list[CharSpan], text: str, start: int, limit: int, kind: str | None) -> None:
    match kind:
        case "number":
            if text[start] == "$":
                start = numbers.dollar_start(text, start)
                if found and found[-1].limit > start:  # the country's letters were taken for a name
                    found.pop()
            found.append(CharSpan(start, limit, "NUMBER"))
        case "name":
            found.append(CharSpan(start, limit, "NAME"))
        case "date":
            _add_date(found, text, start, limit)
        case "year" if dates.is_year(text, start, limit):
            _add_date(found, text, start, limit)
        case "month" if dates.is_month(text, start, limit):
            found.append(CharSpan(start, limit, "DATE"))
        case "decade" if dates.is_decade(text, start):
            found.append(CharSpan(start, limit, "DATE"))


def dates_of(text: str) -> list[CharSpan]:
    """The dates alone."""
    return [span for span in _spans(text) if span.label == "DATE"]


def _add_date(found: list[CharSpan], text: str, start: int, limit: int) -> None:
    start = dates.season_start(text, start)
    if found and found[-1].limit > start:  # "Summer" with a capital was taken for a name
        found.pop()
    found.append(CharSpan(start, limit, "DATE"))


def _with_centuries(found: list[CharSpan], text: str) -> list[CharSpan]:
    for match in dates.CENTURY_IN_WORDS.finditer(text):
        start, limit = match.span()
        found = [span for span in found if span.limit <= start or span.start >= limit]
        found.append(CharSpan(start, limit, "DATE"))
    return sorted(found)
