"""The tagger that needs no model: dates, numbers with units, and capitalised names."""

import hashlib
import re
from collections.abc import Sequence

from closedbook.corpora.taggers import dates, names, numbers, words
from closedbook.corpora.taggers.base import CharSpan
from closedbook.corpora.taggers.patterns import CAPITALS, FIRST

_RULES = "1"  # goes up with every change of the rules that the pattern and tables do not show

# One alternation for all (`patterns` says why). Dates go before numbers, which go before names.
_PATTERN = re.compile(
    rf"{FIRST}(?<!\w.)(?:"
    rf"(?<=[0-9])(?:(?P<date>{dates.BEHIND_DIGIT})|(?P<number>{numbers.BEHIND_DIGIT})"
    rf"|(?P<name>{names.ORDINAL_RUN})|(?P<year>{dates.YEAR})|(?P<decade>{dates.SHORT_DECADE}))"
    rf"|(?<=[{CAPITALS}])(?:(?P<date_>{dates.BEHIND_CAPITAL})|(?P<month>{dates.MONTH_OR_DAY})"
    rf"|(?P<number_>{numbers.BEHIND_CAPITAL})|(?P<title>{names.TITLE})|(?P<name_>{names.RUN}))"
    rf"|(?P<money>{numbers.BEHIND_SIGN}))"
)

_NOT_ALONE = frozenset(word.capitalize() for word in words.FUNCTION_WORDS)
_MIDDLE = frozenset(",;'’&")


class BuiltinTagger:
    """Dates (DATE), numbers with units (NUMBER), names (NAME) and peoples (NORP).

    Every sentence is read by itself, so that what a call holds beside it changes nothing.
    """

    name = "dates"

    @property
    def version(self) -> str:
        """The rules' number, and a hash of the pattern and of the tables of words."""
        tables = sorted(words.COMMON_WORDS), sorted(words.peoples()), sorted(words.places())
        data = repr((_PATTERN.pattern, *tables)).encode("utf-8", "surrogatepass")
        return f"{_RULES}+{hashlib.sha256(data).hexdigest()[:8]}"

    def tag(self, sentences: Sequence[str]) -> list[list[CharSpan]]:
        """The spans of each sentence, in the order of the text, without overlaps."""
        return [_spans(text) for text in sentences]


def _spans(text: str) -> list[CharSpan]:
    found: list[CharSpan] = []
    for match in _PATTERN.finditer(text):
        start, limit = match.span()
        match match.lastgroup:
            case "name" | "name_":
                _add_name(found, text, start, limit)
            case "number" | "number_" | "money":
                found.append(CharSpan(start, limit, "NUMBER"))
            case "date" | "date_":
                _add_date(found, text, start, limit)
            case "year":
                if dates.is_year(text, start, limit):
                    _add_date(found, text, start, limit)
            case "month":
                if dates.is_month(text, start, limit):
                    found.append(CharSpan(start, limit, "DATE"))
            case "decade":
                if dates.is_decade(text, start):
                    found.append(CharSpan(start, limit, "DATE"))
    return _with_centuries(found, text) if "centur" in text else found


def dates_of(text: str) -> list[CharSpan]:
    """The dates alone."""
    return [span for span in _spans(text) if span.label == "DATE"]


def _add_date(found: list[CharSpan], text: str, start: int, limit: int) -> None:
    if start > 3 and text[start - 1] == " ":
        start = dates.season_start(text, start)
        if found and found[-1].limit > start:  # "Summer" with a capital was taken for a name
            found.pop()
    found.append(CharSpan(start, limit, "DATE"))


def _add_name(found: list[CharSpan], text: str, start: int, limit: int) -> None:
    middle = start > 1 and text[start - 1] == " "
    if not (middle and (text[start - 2].isalnum() or text[start - 2] in _MIDDLE)) and (
        names.at_beginning(text, start)
    ):
        start = names.name_start(text, start, limit)
    name = text[start:limit]
    first, space, _ = name.partition(" ")
    if first in dates.MONTHS_AND_DAYS and dates.before(text, start) in dates.MONTH_BEFORE:
        # "in June Australia won", "In May"
        found.append(CharSpan(start, start + len(first), "DATE"))
        start += len(first) + len(space)
        name = text[start:limit]
    if 1 < len(name) <= names.MOST_CHARACTERS and name not in _NOT_ALONE:
        found.append(CharSpan(start, limit, names.label(name)))


def _with_centuries(found: list[CharSpan], text: str) -> list[CharSpan]:
    for match in dates.CENTURY_IN_WORDS.finditer(text):
        start, limit = match.span()
        found = [span for span in found if span.limit <= start or span.start >= limit]
        found.append(CharSpan(start, limit, "DATE"))
    return sorted(found)
