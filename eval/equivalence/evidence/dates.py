"""Dates in a text, as stretches of time: a day, a month, a year, a decade, a century, a range."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from closedbook.eval.equivalence.evidence.codes import Dates
from closedbook.eval.equivalence.evidence.folding import LATIN_MONTHS

_MONTH_NAMES = (
    "january february march april may june july august september october november december"
).split()
MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, start=1)}
# These are read beside a number alone: "mars" is a planet, too.
_FOREIGN = {name: number for name, number in LATIN_MONTHS.items() if name not in MONTHS}
MONTHS |= {name[:3]: number for name, number in MONTHS.items()} | {"sept": 9}
_SEASONS = {"spring": (3, 5), "summer": (6, 8), "fall": (9, 11), "autumn": (9, 11)}
_PARTS = {"early": (0.0, 0.4), "mid": (0.3, 0.7), "middle": (0.3, 0.7), "late": (0.6, 1.0)}
_ORDINALS = {
    word: number
    for number, word in enumerate(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth "
        "thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth "
        "twenty-first".split(),
        start=1,
    )
}
_DECADES = {
    "twenties": 20, "thirties": 30, "forties": 40, "fifties": 50, "sixties": 60,
    "seventies": 70, "eighties": 80, "nineties": 90,
}  # fmt: skip
_DAYS = {word: number for word, number in _ORDINALS.items() if number <= 31} | {
    f"twenty-{word}": 20 + number for word, number in _ORDINALS.items() if number < 10
}
# Between day, month and year: of, de, del, di, nam (Vietnamese for year).
_OF = frozenset(("of", "de", "del", "di", "da", "nam", "do"))
_VIETNAMESE_MONTH = "thang"
_DOTTED = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4}|\d{2})")
_BEFORE_CHRIST = frozenset({"bc", "bce"})
_AFTER_CHRIST = frozenset({"ad", "ce"})
_OTHER_SENSES = frozenset(("may", "march", "mar", "jan", "sep", "dec"))
_BEFORE_MONTH = frozenset(("in", "early", "late", "mid", "of"))
_LINKS = frozenset({"to", "until", "till", "through", "and"})
# A number before one of these counts things and is not a year.
_COUNTED = frozenset(
    "people person km mile meter feet foot ft m dollar member year day hour episode % point seat "
    "game student man soldier troop ton kg pound million billion thousand acre unit store".split()
)


class Date(NamedTuple):
    """A stretch of time. Years before Christ are negative; the year may be unknown."""

    low: float  # in years: 2004.0 is the first moment of 2004; 0 where the year is unknown
    high: float
    year: int | None  # of one year, or what lies in it
    month: int | None
    day: int | None
    grain: str  # "day", "month", "year", "decade", "century", "range", "part"
    start: int  # first word
    end: int  # after the last word
    swapped: bool = False  # day and month may be the other way round: 04/05/1912


def find(words: Sequence[str], gaps: Sequence[str]) -> list[Date]:
    """All dates of a text, in order.

    >>> from closedbook.eval.equivalence.evidence import answer
    >>> def shown(text):
    ...     return [(d.year, d.month, d.day, d.grain) for d in answer.parse(text).dates]
    >>> shown("the 15th of April, 2004"), shown("June 1992")
    ([(2004, 4, 15, 'day')], [(1992, 6, None, 'month')])
    >>> shown("April 15"), shown("1990s"), shown("19th century")
    ([(None, 4, 15, 'day')], [(None, None, None, 'decade')], [(None, None, None, 'century')])
    >>> shown("1979-80"), shown("957 BCE"), shown("2008-12-12 00:00:00")
    ([(None, None, None, 'range')], [(-957, None, None, 'year')], [(2008, 12, 12, 'day')])
    """
    found: list[Date] = []
    free = 0  # the first word that no date has taken
    count = len(words)
    if count == 1 and len(words[0]) == 4:  # a year alone, the most frequent date of all
        number = _year(words[0])
        if number is not None and 1000 <= number <= 2100:
            return [Date(number, number + 1, number, None, None, "year", 0, 1)]
    for place in [at for at, word in enumerate(words) if word in WORDS or word[0].isdigit()]:
        if place < free:
            continue
        word = words[place]
        date: Date | None = None
        if word[0].isdigit():
            date = _from_digits(words, gaps, place)
        elif word in MONTHS:
            date = _from_month(words, place)
        elif word in _FOREIGN:
            date = _from_month(words, place)
            if date is not None and date.end - date.start < 2:
                date = None
        elif word in _ORDINALS and place + 1 < count and words[place + 1] == "century":
            date = _century(_ORDINALS[word], words, place, place + 2)
        elif word in _DAYS:
            date = _day_first(_DAYS[word], words, place)
        elif word in _DECADES and place and words[place - 1] in ("the", "early", "late", "mid"):
            low = 1900.0 + _DECADES[word]
            date = Date(low, low + 10, None, None, None, "decade", place, place + 1)
        if date is None:
            continue
        date = _narrowed(date, words)
        if found and _linked(found[-1], date, words, gaps):
            first = found.pop()
            # "28 July to 3 August 1914": the year at the end is the first date's as well.
            low = first.low if first.low else date.low
            date = Date(
                low, date.high, None, first.month, first.day, "range", first.start, date.end
            )
        found.append(date)
        free = date.end
    return found


WORDS = MONTHS.keys() | _FOREIGN.keys() | _ORDINALS.keys() | _DECADES.keys()
"""Words with which a date can start; the others start with a digit."""


def _from_digits(words: Sequence[str], gaps: Sequence[str], place: int) -> Date | None:
    word = words[place]
    number = _integer(word)
    if number is None:
        dotted = _DOTTED.fullmatch(word)
        return _dotted(dotted, place) if dotted else _decade(word, place)
    after = words[place + 1] if place + 1 < len(words) else ""
    if word.endswith(("st", "nd", "rd", "th")):
        if after == "century" or (after in ("and", "or", "to") and "century" in words[place:]):
            return _century(number, words, place, place + (2 if after == "century" else 1))
        return _day_first(number, words, place)
    numeric = _numeric(number, words, gaps, place)
    if numeric:
        return numeric
    if 1 <= number <= 31:
        date = _day_first(number, words, place)
        if date:
            return date
    era = _era(words, place + 1)
    if era is not None:
        year = number * era
        return Date(year, year + 1, year, None, None, "year", place, place + 2)
    if place and words[place - 1] in _AFTER_CHRIST and number > 31:
        return Date(number, number + 1, number, None, None, "year", place - 1, place + 1)
    if len(word) == 4 and 1000 <= number <= 2100 and not _counts(after):
        return _year_or_span(number, words, gaps, place)
    return None


def _dotted(found: re.Match[str], place: int) -> Date | None:
    """15.4.1912, the day first; where that fails, the month first."""
    day, month, year = map(int, found.groups())
    if year < 100:
        year += 1900 if year > 30 else 2000
    if month > 12:
        day, month = month, day
    if not (1 <= day <= 31 and 1 <= month <= 12):
        return None
    return _day(year, month, day, place, place + 1)


def _year_or_span(number: int, words: Sequence[str], gaps: Sequence[str], place: int) -> Date:
    """1979, or 1979-80 with a second year of two digits."""
    if place + 2 < len(words):  # 1848 March 15, as in Hungarian
        month = MONTHS.get(words[place + 1]) or _FOREIGN.get(words[place + 1])
        day = _integer(words[place + 2]) if month else None
        following = words[place + 3] if place + 3 < len(words) else ""
        if month and day and day <= 31 and _year(following) is None:
            return _day(number, month, day, place, place + 3)
    if place + 1 < len(words) and gaps[place + 1] in ("-", "/"):
        last = words[place + 1]
        if len(last) == 2 and last.isdigit():
            high = number // 100 * 100 + int(last)
            if 0 < high - number < 60:
                return Date(number, high + 1, None, None, None, "range", place, place + 2)
    return Date(number, number + 1, number, None, None, "year", place, place + 1)


def _from_month(words: Sequence[str], place: int) -> Date | None:
    """April 15, 2004; April 2004; April 15; April."""
    month = MONTHS.get(words[place]) or _FOREIGN[words[place]]
    count = len(words)
    day = _integer(words[place + 1]) if place + 1 < count else None
    if day is not None and 1 <= day <= 31 and _era(words, place + 2) is None:
        year, end = _year_at(words, place + 2)
        return _day(year, month, day, place, end)
    year, end = _year_at(words, place + 1)
    if year is None and place + 2 < count and words[place + 1] in _OF:
        year, end = _year_at(words, place + 2)
    if year is not None:
        return _month(year, month, place, end)
    before = words[place - 1] if place else ""
    # The verb, the walk and the name need something beside them.
    if words[place] in _OTHER_SENSES and count > 2 and before not in _BEFORE_MONTH:
        return None
    return _month(None, month, place, place + 1)


def _year_at(words: Sequence[str], place: int) -> tuple[int | None, int]:
    """The year at a place, with its era, and the place after it; the place itself without one."""
    if place >= len(words):
        return None, place
    era = _era(words, place + 1)
    if era is not None:
        number = _integer(words[place])
        if number is not None:
            return number * era, place + 2
    if words[place] in _AFTER_CHRIST and place + 1 < len(words):
        number = _integer(words[place + 1])
        if number is not None:
            return number, place + 2
    year = _year(words[place])
    return year, place + (year is not None)


def _era(words: Sequence[str], place: int) -> int | None:
    """-1 before Christ, 1 after, None where no era is named."""
    word = words[place] if place < len(words) else ""
    return -1 if word in _BEFORE_CHRIST else 1 if word in _AFTER_CHRIST else None


def _day_first(day: int, words: Sequence[str], place: int) -> Date | None:
    """15 April 2004; 15th of April; 15 de abril de 2004; 15 thang 4 nam 2004."""
    after, count = place + 1, len(words)
    if after < count and words[after] in _OF:
        after += 1
    if after >= count or not 1 <= day <= 31:
        return None
    month = MONTHS.get(words[after]) or _FOREIGN.get(words[after])
    if month is None and words[after] == _VIETNAMESE_MONTH and after + 1 < count:
        after += 1
        month = _integer(words[after])
    if month is None or not 1 <= month <= 12:
        return None
    after += 1
    year, end = _year_at(words, after)
    if year is None and after < count and words[after] in _OF:
        year, end = _year_at(words, after + 1)
    return _day(year, month, day, place, end if year is not None else after)


def _numeric(number: int, words: Sequence[str], gaps: Sequence[str], place: int) -> Date | None:
    """2008-12-12, and 10/23/2012 in the American order or, where that fails, the other."""
    if place + 2 >= len(words) or gaps[place + 1] not in ("-", "/"):
        return None
    if gaps[place + 2] != gaps[place + 1]:
        return None
    second, third = _integer(words[place + 1]), _integer(words[place + 2])
    if second is None or third is None:
        return None
    if number >= 1000 and 1 <= second <= 12 and 1 <= third <= 31:
        year, month, day = number, second, third
    elif third >= 1000 and 1 <= number <= 12 and 1 <= second <= 31:
        year, month, day = third, number, second
    elif third >= 1000 and 1 <= second <= 12 and 1 <= number <= 31:
        year, month, day = third, second, number
    else:
        return None
    date = _day(year, month, day, place, place + 3)
    return date._replace(swapped=number < 1000 and month <= 12 and day <= 12)


def _decade(word: str, place: int) -> Date | None:
    """1990s; 90s is of the last century, or of ours up to the 20s; 1800s is a century."""
    digits = word[:-1]
    if not word.endswith("s") or not digits.isdigit() or not word.endswith("0s"):
        return None
    low = int(digits)
    if len(digits) == 2:
        low += 1900 if low >= 30 else 2000
    elif len(digits) != 4:
        return None
    long = 100 if low % 100 == 0 and low < 2000 else 10
    grain = "century" if long == 100 else "decade"
    return Date(low, low + long, None, None, None, grain, place, place + 1)


def _century(number: int, words: Sequence[str], start: int, end: int) -> Date | None:
    if not 1 <= number <= 40:
        return None
    low = number * 100 - 99
    if any(word in _BEFORE_CHRIST for word in words[end : end + 2]):
        return Date(-number * 100, 1 - low, None, None, None, "century", start, end)
    return Date(low, low + 100, None, None, None, "century", start, end)


def _narrowed(date: Date, words: Sequence[str]) -> Date:
    """Early, mid or late; spring to autumn of a year."""
    if not date.start or date.low == 0:
        return date
    before = words[date.start - 1]
    if before == "of" and date.start >= 2:
        before = words[date.start - 2]
    elif before == "the" and date.start >= 3 and words[date.start - 2] == "of":
        before = words[date.start - 3]
    if before in _PARTS:
        low, high = _PARTS[before]
    elif before in _SEASONS and date.grain == "year":
        low, high = _SEASONS[before][0] / 12 - 1 / 12, _SEASONS[before][1] / 12
    else:
        return date
    long = date.high - date.low
    return date._replace(
        low=date.low + low * long,
        high=date.low + high * long,
        grain="part",
        start=date.start - 1,
    )


def _linked(first: Date, second: Date, words: Sequence[str], gaps: Sequence[str]) -> bool:
    """Whether two dates are the ends of one range."""
    if first.grain == "range" or second.grain == "range" or second.high <= first.low:
        return False
    if second.start == first.end:
        return gaps[second.start].strip() == "-"
    if second.start != first.end + 1 or words[first.end] not in _LINKS:
        return False
    if words[first.end] == "and":
        return bool(first.start) and words[first.start - 1] == "between"
    return True


def _counts(word: str) -> bool:
    return word in _COUNTED or (word.endswith("s") and word[:-1] in _COUNTED)


def _integer(word: str) -> int | None:
    digits = word[:-2] if word.endswith(("st", "nd", "rd", "th")) else word
    return int(digits) if len(digits) <= 4 and digits.isdecimal() and digits.isascii() else None


def _year(word: str) -> int | None:
    return int(word) if len(word) == 4 and word.isascii() and word.isdecimal() else None


def _day(year: int | None, month: int, day: int, start: int, end: int) -> Date:
    low = 0.0 if year is None else year + (month - 1) / 12 + (day - 1) / 372
    return Date(low, low + 1 / 372 if low else 0.0, year, month, day, "day", start, end)


def _month(year: int | None, month: int, start: int, end: int) -> Date:
    low = 0.0 if year is None else year + (month - 1) / 12
    return Date(low, low + 1 / 12 if low else 0.0, year, month, None, "month", start, end)


# How two dates stand to one another, from agreement to conflict.
def relation(given: Date, gold: Date) -> Dates:
    """How the date of a prediction stands to the expected one."""
    found = _relation(given, gold)
    if found < Dates.OVERLAP and given.swapped and given.month and given.day:
        other = _day(given.year, given.day, given.month, given.start, given.end)
        return max(found, _relation(other, gold))
    if found < Dates.OVERLAP and gold.swapped and gold.month and gold.day:
        return max(found, _relation(given, _day(gold.year, gold.day, gold.month, 0, 0)))
    return found


def _relation(given: Date, gold: Date) -> Dates:
    if not given.low or not gold.low:  # one has no year
        if given.month != gold.month:
            return Dates.CONFLICT
        if given.day == gold.day:
            if (given.low > 0) == (gold.low > 0):
                return Dates.SAME
            return Dates.FINER if given.low else Dates.COARSER
        if given.day is None or gold.day is None:
            return Dates.FINER if gold.day is None else Dates.COARSER
        return Dates.CONFLICT
    slack = 1e-6
    if given.grain == gold.grain == "century":
        slack = 1.0  # the 1800s and the 19th century
    inside = given.low >= gold.low - slack and given.high <= gold.high + slack
    around = gold.low >= given.low - slack and gold.high <= given.high + slack
    if inside and around:
        return Dates.SAME
    if inside:
        return Dates.FINER
    if around:
        return Dates.COARSER
    if given.low < gold.high - slack and gold.low < given.high - slack:
        return Dates.OVERLAP
    if given.year is not None and given.year == gold.year:
        return Dates.NEAR
    return Dates.CONFLICT
