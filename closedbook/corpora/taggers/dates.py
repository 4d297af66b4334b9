"""Dates: patterns, and what their surroundings decide.

A date is a day, month, year, decade or century of the calendar, or a range of them, without the
preposition before it: "12 June 2007", "September 26", "1981–82", "the 5th century BC". Lengths of
time are numbers with a unit ("60 years"); what needs another date to be understood is neither
("the next day").
"""

import re

from closedbook.corpora.taggers.patterns import CAPITALS, DASH, HYPHEN, one_of

MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
_SHORT = ("Jan", "Feb", "Mar", "Apr", "Jun", "Jul", "Aug", "Sep", "Sept", "Oct", "Nov", "Dec")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS_AND_DAYS = frozenset({*MONTHS, *WEEKDAYS})
# Read as a verb or a name where nothing beside them says "month".
AMBIGUOUS = frozenset({"May", "March"})

_END = r"(?![\w°%])"
_NUMBER_GOES_ON = r"(?! ?[.,/]\d| @[.,]@ \d| ?%| ?°)"
# A date if the surroundings agree (`is_year`, `is_decade`).
YEAR = rf"[12]\d{{3}}{_END}{_NUMBER_GOES_ON}"
SHORT_DECADE = r"\d0s(?!\w)"
_ORDINAL = r"(?:st|nd|rd|th)"
_DAY = rf"[0-3]?\d{_ORDINAL}?(?!\w)"
_COMMA_YEAR = rf"(?: ?,? {YEAR})"
_MONTH = rf"(?:{one_of(MONTHS)}|{one_of(_SHORT)}\.?)(?!\w)"
_ERA = r"(?:BCE|BC|CE|AD|B\.C\.E\.|B\.C\.|A\.D\.|C\.E\.)(?!\w)"
_DAY_RANGE = rf"(?:(?:{DASH}| and | to ){_DAY})?"
# "1981–82", "1914 to 1918", "1968/69"
_YEAR_RANGE = rf"(?:(?:{DASH}| to )[12]\d{{3}}|(?:{DASH}|/)\d\d){_END}{_NUMBER_GOES_ON}"
_AND_CENTURY = rf"(?: (?:and|to) \d\d?{_ORDINAL})?"

BEFORE_YEAR = ("AD", "A.D.", "CE")

# Each of these is a date wherever it stands.
FROM_DIGIT = "|".join(
    (
        # 12 June 2007, 12th of June, 12–15 June
        rf"[0-3]?\d{_ORDINAL}?{_DAY_RANGE} (?:of )?{_MONTH}{_COMMA_YEAR}?",
        r"[12]\d{3}-[01]\d-[0-3]\d(?!\w)",  # 2007-06-12
        # 12/06/2007, 12.06.2007
        r"[0-3]?\d(?: ?/ ?[0-3]?\d ?/ ?|\.[0-3]?\d\.)(?:[12]\d{3}|\d\d)(?![\w/]|\.\d)",
        rf"[12]\d\d0['’]?s(?!\w)(?:{DASH}[12]\d\d0['’]?s(?!\w))?",  # 1990s
        rf"[12]\d{{3}}{_YEAR_RANGE}",
        rf"\d\d?{_ORDINAL}{_AND_CENTURY}(?: |{HYPHEN})(?:[Cc]entur(?:y|ies)|[Mm]illenni(?:um|a))"
        rf"(?!\w)(?: {_ERA})?",
        rf"\d{{1,4}}(?:{DASH}\d{{1,4}})? {_ERA}",  # 44 BC
    )
)

_MONTH_DATE = rf"(?!\w)\.?(?: {_DAY}{_DAY_RANGE}{_NUMBER_GOES_ON}{_COMMA_YEAR}?|{_COMMA_YEAR})"
_TO_MONTH = rf"(?:(?:{DASH}| to | and ){one_of(MONTHS)}(?=(?: [0-3]?\d)?(?: ?,)? [12]\d{{3}}))?"
# These too.
FROM_CAPITAL = "|".join(
    (
        rf"{one_of((*MONTHS, *_SHORT))}{_TO_MONTH}{_MONTH_DATE}",
        rf"{one_of(BEFORE_YEAR)} \d{{1,4}}(?!\w){_NUMBER_GOES_ON}",
        rf"{one_of(WEEKDAYS)}(?: ?, ?| )"
        rf"(?:{_MONTH}{_MONTH_DATE}|{_DAY} {_MONTH}{_COMMA_YEAR}?)",
    )
)
# A date if the surroundings agree (`is_month`).
MONTH_OR_DAY = rf"(?:{one_of(MONTHS)}|{one_of(WEEKDAYS)}s?)(?!{HYPHEN}?\w|['’]\w| [{CAPITALS}])"

# "thirteenth-century", "nineteenth and twentieth centuries": no digit, no capital.
_UNITS = "first second third fourth fifth sixth seventh eighth ninth".split()
_ORDINAL_WORDS = (
    *_UNITS,
    *"tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth".split(),
    *"eighteenth nineteenth twentieth".split(),
    *(f"twenty-{unit}" for unit in _UNITS),
    *(f"twenty @-@ {unit}" for unit in _UNITS),
)
CENTURY_IN_WORDS = re.compile(
    rf"(?<![\w-]){one_of((*_ORDINAL_WORDS, *map(str.capitalize, _ORDINAL_WORDS)))}"
    rf"(?: (?:and|to) {one_of(_ORDINAL_WORDS)})?(?: |{HYPHEN})centur(?:y|ies)(?!\w)(?: {_ERA})?"
)

# Words before a bare number of four digits, or before "May", that say "date".
_PREPOSITIONS = frozenset(
    "in by of since until till from to and or between through during before after around about "
    "early late mid circa c. ca. c year summer winter spring autumn fall".split()
)
_MOST_OFTEN = frozenset({" in ", " of ", " by "})
_MONTH_BEFORE = _PREPOSITIONS | frozenset("last next this on each every that".split())
# Words in -s that are no plural nouns, and so may follow a year.
_NOT_PLURAL = frozenset("was has is as his its this thus besides towards across perhaps".split())
_PLURAL = re.compile(r" ((?:[a-z]{3,}|[a-z]{1,10}[-a-z]*)s)(?!\w)")
_SEASON_ENDS = frozenset({"er ", "ng ", "mn ", "ll ", "of "})
_SEASONS = (
    *("summer", "winter", "spring", "autumn", "fall"),
    *("summer of", "winter of", "spring of", "autumn of", "fall of"),
)


def before(text: str, start: int) -> str:
    """The word before a place, in small letters; "" at the beginning."""
    words = text[max(0, start - 20) : start].rsplit(None, 1)
    return words[-1].lower() if words else ""


def is_year(text: str, start: int, limit: int) -> bool:
    """Whether a bare number from 1000 to 2999 is a year: by its size and the words beside it.

    >>> text = "In 1066 William and 1500 soldiers landed."
    >>> is_year(text, 3, 7), is_year(text, 20, 24)
    (True, False)
    """
    year = int(text[start:limit])
    usual = 1700 <= year <= 2049
    if usual and text[start - 4 : start] in _MOST_OFTEN:
        return True
    if year > 2099:
        return False
    context = before(text, start)
    said = context in _PREPOSITIONS or context.endswith(("(", "-", "–", "-@", "–@"))
    if said and usual:
        return True
    plural = _PLURAL.match(text, limit, limit + 30)
    if plural is not None and plural[1] not in _NOT_PLURAL:
        return False
    if said or usual:
        return context not in {"no.", "no", "number", "#", "than", "nearly", "some", "over"}
    return False


def is_decade(text: str, start: int) -> bool:
    """Whether "90s" is a decade: after "the" or an apostrophe."""
    return text[start - 1 : start] in {"'", "’", "‘"} or before(text, start) in {
        "the",
        "early",
        "late",
    }


def is_month(text: str, start: int, limit: int) -> bool:
    """Whether the name of a month or day with no number beside it is a date.

    >>> text = "In May she may march in March; May sang of June."
    >>> [is_month(text, start, start + size) for start, size in ((3, 3), (24, 5), (31, 3), (43, 4))]
    [True, True, False, True]
    """
    return text[start:limit] not in AMBIGUOUS or is_month_of(text, start)


def is_month_of(text: str, start: int) -> bool:
    """Whether the word before a month or day says that it is one: "in", "last", "early"."""
    return before(text, start) in _MONTH_BEFORE


def season_start(text: str, start: int) -> int:
    """Where a year's date begins: at the season before it, if there is one.

    >>> season_start("the winter of 1941", 14)
    4
    """
    if text[start - 3 : start] not in _SEASON_ENDS:
        return start
    head = text[max(0, start - 12) : start - 1]
    for season in _SEASONS:
        at = start - 1 - len(season)
        if head.lower().endswith(season) and (at == 0 or not text[at - 1].isalnum()):
            return at
    return start
