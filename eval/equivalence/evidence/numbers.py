"""Numbers in a text: digits, words, ordinals, Roman numerals; with units and currencies."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from closedbook.eval.equivalence.evidence import notations, units
from closedbook.eval.equivalence.evidence.units import Unit

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
_MULTIPLE = {
    "dozen": 12.0, "twice": 2.0, "thrice": 3.0, "once": 1.0, "single": 1.0, "pair": 2.0,
    "both": 2.0, "nil": 0.0,
}  # fmt: skip
_SHORT_SCALE = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}  # behind a sum of money
_FRACTIONS = {
    "half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7,
    "eighth": 8, "ninth": 9, "tenth": 10, "hundredth": 100, "thousandth": 1000,
}  # fmt: skip
_FRACTIONS |= {f"{word}s": part for word, part in _FRACTIONS.items()} | {"halves": 2}
_NOT_A_HALF = frozenset("first second other latter former better back front top bottom".split())
_HALF_OF = frozenset("brother sister life time way blood back moon past sibling court".split())
_NEGATIVE = frozenset(("minus", "negative"))
_DOTTED = re.compile(r"\d{1,3}(?:\.\d{3})+")
_DECIMAL_COMMA = re.compile(r"\d+,(?:\d{1,2}|\d{4,})")
_GROUP = re.compile(r"\d{3}")
_FOOT = 0.3048
_INCH = Unit("length", 0.0254, 0.0, 1)
UNIT_SLACK = 2e-3
"""By how much two numbers in different units may differ and be the same, as a share."""
ROUNDED = 0.01
"""The same where the digits that are written allow it."""
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
    slack: float  # half a unit of its last digit, in the base unit
    start: int  # first word, or the sign of a currency before it
    end: int  # after the last word, its unit left out
    after: int  # after its unit
    grouped: float = 0.0  # the value if its point parts thousands: of 100.000; 0 for most


def find(
    words: Sequence[str], stems: Sequence[str], capital: Sequence[bool], gaps: Sequence[str]
) -> list[Number]:
    """All numbers of a text, in order.

    Args:
        words: The text's words.
        stems: Their stems.
        capital: Whether each begins with a capital.
        gaps: The characters before each.

    >>> from closedbook.eval.equivalence.evidence import answer
    >>> def values(text):
    ...     return [(round(n.value, 2), n.kind) for n in answer.parse(text).numbers]
    >>> values("nine hundred and sixty"), values("2.5 million"), values("12 500 people")
    ([(960.0, '')], [(2500000.0, '')], [(12500.0, '')])
    >>> values("twenty five km"), values("$ 5 billion"), values("5 feet 6 inches")
    ([(25.0, 'length')], [(5000000000.0, 'money')], [(5.5, 'length')])
    >>> values("1/2"), values("two thirds"), values("one and a half"), values("two dozen")
    ([(0.5, '')], [(0.67, '')], [(1.5, '')], [(24.0, '')])
    >>> values("an hour and a half"), values("two years and a half")
    ([(1.5, 'time')], [(2.5, 'time')])
    >>> values("minus 4"), values("12k"), values("10^6"), values("a thousand")
    ([(-4.0, '')], [(12000.0, '')], [(1000000.0, '')], [(1000.0, '')])
    """
    found: list[Number] = []
    free = 0  # the first word that no number has taken
    count = len(words)
    unit = units.NONE
    for place in [at for at, word in enumerate(words) if word in _STARTS or word[0].isdigit()]:
        parsed = _number(words, capital, gaps, place) if place >= free else None
        if parsed is None:
            continue
        value, ordinal, end = parsed
        before, start = unit, place
        unit = units.NONE if ordinal else units.after(words, stems, capital, end)
        after = end + unit.words
        if place and words[place - 1] in units.SIGNS:
            unit = units.before(words[place - 1])
            start -= 1
            if end < count and words[end] in _SHORT_SCALE and (not unit.words):
                value *= _SHORT_SCALE[words[end]]
                end = after = end + 1
        if place and words[place - 1] in _NEGATIVE and start == place:
            value = -value
            start -= 1
        number = Number(
            value,
            unit.kind,
            value * unit.factor + unit.zero,
            _slack(words[place], value) * unit.factor,
            start,
            end,
            max(after, end),
            notations.grouped(words[place]) if "." in words[place] and end == place + 1 else 0.0,
        )
        if value == 0.5 and words[max(0, place - 2) : place] == ("and", "a"):
            number = _and_a_half(found, words, stems, capital, place) or number
        joined = _joined(found[-1], before, number, unit, words) if found else None
        if joined is not None:
            found[-1] = joined
            unit = before
        else:
            found.append(number)
        free = max(end, place + 1)
    return found


def _and_a_half(
    found: list[Number],
    words: Sequence[str],
    stems: Sequence[str],
    capital: Sequence[bool],
    place: int,
) -> Number | None:
    """The number of "an hour and a half", which takes the place of "two hours" before it."""
    if place < 4:
        return None
    unit = units.after(words, stems, capital, place - 3)
    if not unit.kind or unit.words != 1:
        return None
    whole, start = 1.0, place - 4
    if found and found[-1].after == place - 2:
        first = found.pop()
        whole, start = first.value, first.start
    elif words[place - 4] not in ("a", "an"):
        return None
    value = whole + 0.5
    end = place + 1
    return Number(value, unit.kind, value * unit.factor + unit.zero, 0.0, start, end, end)


def _slack(word: str, value: float) -> float:
    """Half a unit of the last digit that is written."""
    if not word[0].isdigit():
        return 0.0
    digits = word.rstrip("stndrhk")
    _, _, part = digits.partition(".")
    try:
        written = float(digits.replace(",", ""))
    except ValueError:
        return 0.0
    scale = abs(value / written) if written else 1.0
    return 0.5 * scale * 10.0 ** -len(part)


def _joined(
    first: Number, larger: Unit, second: Number, smaller: Unit, words: Sequence[str]
) -> Number | None:
    """One number of two: five feet and six inches."""
    gap = second.start - first.after
    if not larger.kind or gap < 0 or gap > 1 or (gap and words[first.after] != "and"):
        return None
    if not smaller.kind and larger.factor == _FOOT and 0 < second.value < 12:
        smaller = _INCH  # a height of "5 foot 8"
        second = second._replace(base=second.value * _INCH.factor)
    if not units.parts(larger, smaller) or second.value * smaller.factor >= larger.factor:
        return None
    base = first.base + second.base
    return Number(
        base / larger.factor,
        first.kind,
        base,
        second.slack or smaller.factor / 2,
        first.start,
        second.end,
        second.after,
    )


def same(a: Number, b: Number) -> bool:
    """Whether two numbers with their units are one, but for what was rounded between units."""
    return ratio(a, b) < 1e-9


def ratio(a: Number, b: Number) -> float:
    """By how much two numbers differ, as a share of the larger; 1 where their units conflict."""
    if not units.agree(a.kind, b.kind):
        return 1.0
    first, second, slack = a.value, b.value, 0.0
    if a.kind and b.kind:
        if a.kind == "angle" or b.kind == "angle" or {a.kind, b.kind} == {"pound", "sterling"}:
            return _share(first, second)  # the scale is not told
        converted = _share(a.value * b.base, b.value * a.base) > 1e-9
        first, second = a.base, b.base
        if converted:
            # Another unit of the same kind: what was rounded before and after may differ.
            most = max(abs(first), abs(second))
            slack = max(UNIT_SLACK * most, min(ROUNDED * most, max(a.slack, b.slack)))
            if a.kind == "temperature":
                slack = max(slack, 0.1)
    elif a.kind == "share" or b.kind == "share":
        part, share = (a, b) if b.kind == "share" else (b, a)
        if _share(a.base, b.base) < 1e-9 or notations.rounds_to(
            part.value, share.value, 100 * share.slack or 0.5
        ):
            return 0.0  # "0.5" and "half" are 50%, a third is 33%; a bare "50" may be 50% as well
    if (a.grouped or b.grouped) and a.kind == b.kind and _one_in_thousands(a, b):
        return 0.0
    return 0.0 if abs(first - second) <= slack else _share(first, second)


def _one_in_thousands(a: Number, b: Number) -> bool:
    """Whether 100.000 is 100,000: that it is a thousandth of the other would be chance."""
    counted = a.kind not in units.MEASURES
    return counted and (a.grouped or a.value) == (b.grouped or b.value)


def _share(first: float, second: float) -> float:
    return abs(first - second) / (max(abs(first), abs(second)) or 1.0)


WORDS = (
    frozenset(_CARDINAL)
    | frozenset(_ORDINAL)
    | frozenset(_MULTIPLE)
    | frozenset(_ROMAN)
    | frozenset(_FRACTIONS)
    | frozenset(("hundred", "thousand", "million", "billion", "trillion"))
)
"""Words that can be a number or a part of one."""
_STARTS = WORDS | _SCALE.keys()


def _number(
    words: Sequence[str], capital: Sequence[bool], gaps: Sequence[str], place: int
) -> tuple[float, bool, int] | None:
    """Value, whether it is an ordinal, and the place after it; None where no number starts."""
    word = words[place]
    if word[0].isdigit():
        return _digits(words, gaps, place)
    before = words[place - 1] if place else ""
    following = words[place + 1] if place + 1 < len(words) else ""
    if word in _CARDINAL or word in _ORDINAL:
        if word in _FRACTIONS and (before in ("a", "one") or (following == "of" and not before)):
            return 1.0 / _FRACTIONS[word], False, place + 1
        return _with_fraction(words, *_spelled(words, place))
    if word in ("half", "quarter", "halves"):
        if before in _NOT_A_HALF or following in _HALF_OF or (word != "half" and not before):
            return None
        scale = place + (2 if following in ("a", "an") else 1)
        value = 1.0 / _FRACTIONS[word]
        if scale < len(words) and words[scale] in _SCALE:
            return value * _SCALE[words[scale]], False, scale + 1
        return value, False, place + 1
    if word in _MULTIPLE:
        return _MULTIPLE[word], False, place + 1
    if word in _SCALE and len(word) > 2 and before in ("a", "one", "the"):
        return _SCALE[word], False, place + 1
    numbered = len(word) > 1 or (place > 0 and before in _NUMBERED)
    if numbered and capital[place] and word in _ROMAN:
        return float(_ROMAN[word]), False, place + 1
    return None


def _with_fraction(
    words: Sequence[str], value: float, ordinal: bool, end: int
) -> tuple[float, bool, int]:
    """Two thirds, three quarters, one and a half, two dozen."""
    following = words[end] if end < len(words) else ""
    if not ordinal and following == "dozen":
        return value * 12, False, end + 1
    if not ordinal and following in _FRACTIONS and (following.endswith("s") or value == 1):
        return value / _FRACTIONS[following], False, end + 1
    if not ordinal and following == "and" and list(words[end : end + 3]) == ["and", "a", "half"]:
        end += 3
        value += 0.5
        if end < len(words) and words[end] in _SCALE:
            return value * _SCALE[words[end]], False, end + 1
    return value, ordinal, end


def _digits(
    words: Sequence[str], gaps: Sequence[str], place: int
) -> tuple[float, bool, int] | None:
    word = words[place]
    ordinal = word.endswith(("st", "nd", "rd", "th"))
    text = word.rstrip("stndrhk")
    text = text.replace(",", "." if _DECIMAL_COMMA.fullmatch(text) else "")
    if text.count(".") > 1 and _DOTTED.fullmatch(text):
        text = text.replace(".", "")  # 1.000.000
    try:
        value = float(text[:40])
    except ValueError:  # 1.2.3 is a version
        return None
    if word[-1] == "k":
        value *= 1e3
    place += 1
    last = len(words)
    if place < last and not ordinal:
        following, gap = words[place], gaps[place]
        if gap == " " and len(text) <= 3 and _GROUP.fullmatch(following) and text.isdigit():
            while place < last and gaps[place] == " " and _GROUP.fullmatch(words[place]):
                value = value * 1000 + int(words[place])
                place += 1
                if value > 1e15:
                    break
        elif gap.strip() == "/" and following.isdigit() and value < int(following[:4]) <= 1000:
            value, place = value / int(following[:4]), place + 1
        elif gap == "^" and following.isdigit() and int(following[:4]) < 40 and value <= 1000:
            value, place = value ** int(following[:4]), place + 1
        elif (
            gap == " "
            and place + 1 < last
            and gaps[place + 1] == "/"
            and following.isdigit()
            and words[place + 1].isdigit()
            and 0 < int(following[:4]) < int(words[place + 1][:4])
        ):
            value, place = value + int(following[:4]) / int(words[place + 1][:4]), place + 2
        elif following == "dozen":
            value, place = value * 12, place + 1
    while place < last and words[place] in _SCALE:
        value *= _SCALE[words[place]]
        place += 1
    if list(words[place : place + 3]) == ["and", "a", "half"]:
        value, place = value + 0.5, place + 3
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
