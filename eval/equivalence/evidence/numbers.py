"""Numbers in a text: digits, words, ordinals, Roman numerals; with units and currencies."""

from collections.abc import Sequence
from typing import NamedTuple

_UNITS_OF_TEN = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_CARDINAL = {word: value for value, word in enumerate(_UNITS_OF_TEN)} | {
    word: 20 + 10 * place for place, word in enumerate(_TENS)
}
_ORDINAL = {
    word: value
    for value, word in enumerate(
        "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth "
        "thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth".split()
    )
} | {word[:-1] + "ieth": 20 + 10 * place for place, word in enumerate(_TENS)}
_SCALE = {
    "hundred": 1e2, "thousand": 1e3, "lakh": 1e5, "lakhs": 1e5, "million": 1e6, "millions": 1e6,
    "mn": 1e6, "crore": 1e7, "crores": 1e7, "billion": 1e9, "billions": 1e9, "bn": 1e9,
    "trillion": 1e12,
}  # fmt: skip
_MULTIPLE = {"dozen": 12.0, "twice": 2.0, "thrice": 3.0, "once": 1.0, "single": 1.0, "pair": 2.0}
# A unit's spellings: what it measures, and how many of the base unit it is.
_UNIT_TABLE = {
    "length": {
        "mm millimeter millimetre": 1e-3, "cm centimeter centimetre": 1e-2, "m meter metre": 1.0,
        "km kilometer kilometre kms": 1e3, "inch in inche": 0.0254, "ft foot feet": 0.3048,
        "yd yard": 0.9144, "mi mile": 1609.344, "ly lightyear": 9.4607e15,
        "nm nanometer nanometre": 1e-9, "micrometer micrometre micron": 1e-6,
    },
    "mass": {
        "mg milligram": 1e-6, "g gram gm": 1e-3, "kg kilogram kilo": 1.0, "tonne": 1e3,
        "lb lbs pound": 0.4536, "oz ounce": 0.02835, "ton": 1e3,
    },
    "time": {
        "second sec": 1.0, "minute min": 60.0, "hour hr": 3600.0, "day": 86400.0,
        "week": 604800.0, "month": 2629746.0, "year yr": 31556952.0, "decade": 315569520.0,
        "century": 3155695200.0,
    },
    "share": {"% percent percentage pct": 1.0},
    "money": {"$ dollar usd": 1.0}, "euro": {"€ euro eur": 1.0}, "sterling": {"£ gbp": 1.0},
    "rupee": {"₹ rupee inr": 1.0}, "yen": {"¥ yen": 1.0},
    "volume": {"l liter litre": 1.0, "ml milliliter millilitre": 1e-3, "gallon": 3.785},
    "temperature": {"c celsius": 1.0}, "fahrenheit": {"f fahrenheit": 1.0},
    "angle": {"° degree deg": 1.0},
}  # fmt: skip
_UNIT = {
    spelling: (kind, factor)
    for kind, units in _UNIT_TABLE.items()
    for spellings, factor in units.items()
    for spelling in spellings.split()
}
_SIGNS = frozenset("$€£₹¥")
_ROMAN = {
    numeral: value
    for value, numeral in enumerate(
        "i ii iii iv v vi vii viii ix x xi xii xiii xiv xv xvi xvii xviii xix xx xxi xxii xxiii "
        "xxiv xxv xxvi xxvii xxviii xxix xxx".split(),
        start=1,
    )
}
# After these words a Roman numeral of one letter is a number, not a letter.
_NUMBERED = frozenset(
    "article chapter part act war type volume book phase class section amendment schedule "
    "henry louis george edward richard james charles elizabeth pope super bowl title grade".split()
)


class Number(NamedTuple):
    """A number in a text."""

    value: float
    kind: str  # what its unit measures, or "" without a unit that we know
    base: float  # the value in the base unit
    start: int  # first word, or the sign of a currency before it
    end: int  # after the last word, its unit left out


def find(words: Sequence[str], stems: Sequence[str], capital: Sequence[bool]) -> list[Number]:
    """All numbers of a text, in order.

    >>> def values(text):
    ...     words = text.lower().split()
    ...     return [(n.value, n.kind) for n in find(words, words, [w[0].isupper() for w in words])]
    >>> values("nine hundred and sixty"), values("2.5 million")
    ([(960.0, '')], [(2500000.0, '')])
    >>> values("twenty five km"), values("$ 5 billion")
    ([(25.0, 'length')], [(5000000000.0, 'money')])
    """
    found: list[Number] = []
    place = 0
    count = len(words)
    while place < count:
        parsed = _number(words, capital, place)
        if parsed is None:
            place += 1
            continue
        value, ordinal, end = parsed
        kind, factor = "", 1.0
        if end < count and not ordinal:
            kind, factor = _UNIT.get(stems[end]) or _UNIT.get(words[end]) or ("", 1.0)
        start = place
        if not kind and place and words[place - 1] in _SIGNS:
            kind, factor = _UNIT[words[place - 1]]
            start -= 1
        found.append(Number(value, kind, value * factor, start, end))
        place = end
    return found


WORDS = frozenset(_CARDINAL) | frozenset(_ORDINAL) | frozenset(_MULTIPLE) | frozenset(_ROMAN)
"""Words that can be a number or a part of one."""


def _number(
    words: Sequence[str], capital: Sequence[bool], place: int
) -> tuple[float, bool, int] | None:
    """Value, whether it is an ordinal, and the place after it; None where no number starts."""
    word = words[place]
    if word[0].isdigit():
        return _digits(words, place)
    if word in _CARDINAL or word in _ORDINAL:
        return _spelled(words, place)
    if word in _MULTIPLE:
        return _MULTIPLE[word], False, place + 1
    numbered = len(word) > 1 or (place > 0 and words[place - 1] in _NUMBERED)
    if numbered and capital[place] and word in _ROMAN:
        return float(_ROMAN[word]), False, place + 1
    return None


def _digits(words: Sequence[str], place: int) -> tuple[float, bool, int] | None:
    word = words[place]
    ordinal = word.endswith(("st", "nd", "rd", "th"))
    text = word.rstrip("stndrh").replace(",", "")
    try:
        value = float(text[:40])
    except ValueError:  # 1.2.3 is a version
        return None
    place += 1
    while place < len(words) and words[place] in _SCALE:
        value *= _SCALE[words[place]]
        place += 1
    return value, ordinal, place


def _spelled(words: Sequence[str], place: int) -> tuple[float, bool, int]:
    total = current = 0.0
    ordinal = False
    last = 100.0  # a smaller part may follow a larger one: twenty five, not five twenty
    first = place
    while place < len(words):
        word = words[place]
        if word in _CARDINAL and _CARDINAL[word] < last and last >= 20:
            current += _CARDINAL[word]
            last = 20.0 if _CARDINAL[word] >= 20 else 1.0
        elif word in _ORDINAL and _ORDINAL[word] < last and last >= 20:
            current += _ORDINAL[word]
            ordinal = True
            place += 1
            break
        elif word == "hundred" and current:
            current *= 100
            last = 100.0
        elif word in _SCALE and word != "hundred" and current:
            total += current * _SCALE[word]
            current = 0.0
            last = 100.0
        elif (
            word == "and"
            and place > first
            and words[place - 1] in _SCALE
            and place + 1 < len(words)
            and words[place + 1] in _CARDINAL
        ):
            pass
        else:
            break
        place += 1
    return total + current, ordinal, max(place, first + 1)
