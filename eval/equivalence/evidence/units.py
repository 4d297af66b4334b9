"""Units of measure and currencies: what each measures, and how much of the base unit it is."""

import functools
from collections.abc import Sequence
from typing import NamedTuple


class Unit(NamedTuple):
    """A unit behind (or before) a number."""

    kind: str  # what it measures, or "" for none
    factor: float  # one of it in the base unit of its kind
    zero: float  # its zero in the base unit: 32 °F is 0 °C
    words: int  # that it takes


NONE = Unit("", 1.0, 0.0, 0)

_TABLE = {
    "length": {
        "mm millimeter millimetre": 1e-3, "cm centimeter centimetre": 1e-2, "m meter metre": 1.0,
        "km kilometer kilometre kms": 1e3, "inch in inche": 0.0254, "ft foot feet": 0.3048,
        "yd yard": 0.9144, "mi mile": 1609.344, "ly lightyear": 9.4607e15,
        "nm nanometer nanometre": 1e-9, "micrometer micrometre micron": 1e-6,
        "furlong": 201.168, "fathom": 1.8288, "league": 4828.0, "parsec": 3.0857e16, "au": 1.496e11,
    },
    "mass": {
        "mg milligram": 1e-6, "g gram gm": 1e-3, "kg kilogram kilo": 1.0, "tonne": 1e3,
        "lb lbs": 0.45359, "oz ounce": 0.02835, "ton": 1e3, "stone": 6.35, "carat": 2e-4,
    },
    "pound": {"pound": 0.45359},  # a mass, or the currency
    "time": {
        "ms millisecond": 1e-3, "second sec": 1.0, "minute min": 60.0, "hour hr": 3600.0,
        "day": 86400.0, "fortnight": 1209600.0, "week": 604800.0, "month": 2629746.0,
        "year yr": 31556952.0, "decade": 315569520.0, "century": 3155695200.0,
        "millennium millennia": 31556952000.0,
    },
    "share": {"% percent percentage pct": 0.01},
    "money": {"$ dollar usd us$ buck": 1.0, "cent": 0.01}, "euro": {"€ euro eur": 1.0},
    "sterling": {"£ gbp sterling quid": 1.0, "pence penny": 0.01}, "rupee": {"₹ rupee inr": 1.0},
    "yen": {"¥ yen jpy": 1.0}, "won": {"₩ krw won": 1.0}, "franc": {"franc chf": 1.0},
    "yuan": {"yuan renminbi cny rmb": 1.0}, "peso": {"peso": 1.0},
    "ruble": {"ruble rouble rub": 1.0},
    "krona": {"krona krone kronor kroner": 1.0}, "real": {"reai reais": 1.0}, "lira": {"lira": 1.0},
    "shekel": {"shekel": 1.0}, "baht": {"baht": 1.0}, "ringgit": {"ringgit": 1.0},
    "rand": {"rand": 1.0}, "zloty": {"zloty": 1.0}, "naira": {"naira": 1.0},
    "dirham": {"dirham": 1.0}, "riyal": {"riyal": 1.0}, "taka": {"taka": 1.0},
    "volume": {
        "l liter litre": 1.0, "ml milliliter millilitre": 1e-3, "gallon gal": 3.785, "pint": 0.4732,
        "quart": 0.9464, "cup": 0.2366, "barrel": 158.99, "tablespoon tbsp": 0.01479,
        "teaspoon tsp": 0.00493, "cc": 1e-3,
    },
    "area": {
        "acre": 4046.86, "hectare ha": 1e4, "km2 sqkm": 1e6, "m2 sqm": 1.0, "mi2 sqmi": 2589988.0,
        "ft2 sqft": 0.0929, "cm2": 1e-4,
    },
    "speed": {"mph": 0.44704, "kph kmh kmph": 1 / 3.6, "knot kn": 0.51444, "mach": 343.0},
    "angle": {"° degree deg": 1.0}, "turn": {"radian rad": 1.0},
    "bytes": {
        "byte": 1.0, "kb kilobyte": 1e3, "mb megabyte": 1e6, "gb gigabyte": 1e9,
        "tb terabyte": 1e12, "pb petabyte": 1e15,
    },
    "bits": {
        "bit": 1.0, "kbit kbps kilobit": 1e3, "mbit mbps megabit": 1e6, "gbit gbps gigabit": 1e9,
    },
    "power": {
        "watt w": 1.0, "kw kilowatt": 1e3, "mw megawatt": 1e6, "gw gigawatt": 1e9,
        "hp horsepower": 745.7,
    },
    "energy": {
        "joule j": 1.0, "kj kilojoule": 1e3, "calorie cal": 4.184, "kcal kilocalorie": 4184.0,
        "kwh": 3.6e6,
    },
    "voltage": {"volt v": 1.0, "kv kilovolt": 1e3, "mv millivolt": 1e-3},
    "current": {"ampere amp": 1.0, "ma milliampere": 1e-3}, "resistance": {"ohm": 1.0},
    "frequency": {
        "hz hertz": 1.0, "khz kilohertz": 1e3, "mhz megahertz": 1e6, "ghz gigahertz": 1e9,
    },
    "pressure": {
        "pascal pa": 1.0, "kpa kilopascal": 1e3, "psi": 6894.76, "atm atmosphere": 101325.0,
        "bar": 1e5, "mmhg": 133.32,
    },
    "force": {"newton": 1.0}, "sound": {"decibel db": 1.0},
}  # fmt: skip
_UNITS = {
    spelling: Unit(kind, factor, 0.0, 1)
    for kind, units in _TABLE.items()
    for spellings, factor in units.items()
    for spelling in spellings.split()
}
_SCALES = {
    "c": (1.0, 0.0), "celsius": (1.0, 0.0), "centigrade": (1.0, 0.0), "kelvin": (1.0, -273.15),
    "k": (1.0, -273.15), "f": (5 / 9, -160 / 9), "fahrenheit": (5 / 9, -160 / 9),
}  # fmt: skip
_DOLLARS = frozenset(
    "canadian australian singapore jamaican bahamian liberian namibian fijian taiwan "
    "zimbabwe".split()
)
_OURS = frozenset("us american u.s".split())
_PER = frozenset(("per", "an", "a", "each"))
_HOUR = {"hour": 3600.0, "h": 3600.0, "hr": 3600.0, "second": 1.0, "s": 1.0, "sec": 1.0}
# As one letter or a common word a unit only where nothing else is meant.
_WORDS_TOO = frozenset(("in", "l", "g", "w", "v", "j", "au", "ha", "stone", "bar", "league", "won"))
SIGNS = frozenset("$€£₹¥₩")
MEASURES = frozenset(
    "length mass pound time share volume area speed angle turn temperature bytes bits power energy "
    "voltage current resistance frequency pressure force sound".split()
)
"""What is measured and has decimals; all else is counted, or is money."""
PARTS = {
    ("ft", "in"), ("hour", "minute"), ("minute", "second"), ("lb", "oz"), ("pound", "ounce"),
    ("m", "cm"), ("km", "m"), ("day", "hour"), ("year", "month"), ("week", "day"), ("kg", "g"),
    ("stone", "pound"), ("dollar", "cent"), ("mile", "yard"), ("year", "day"), ("month", "day"),
}  # fmt: skip
"""Units of which the second may count the rest that the first leaves, by any spelling."""
_PAIRED = frozenset(
    (_UNITS[first].kind, _UNITS[first].factor, _UNITS[second].factor) for first, second in PARTS
)
OF_TEMPERATURE = frozenset(("angle", "temperature"))


def parts(first: Unit, second: Unit) -> bool:
    """Whether the second counts the rest that the first leaves: feet and inches."""
    same = first.kind == second.kind or {first.kind, second.kind} == {"pound", "mass"}
    return same and (first.kind, first.factor, second.factor) in _PAIRED


def before(word: str) -> Unit:
    """The currency whose sign stands before a number."""
    return _UNITS[word]._replace(words=0)


def after(words: Sequence[str], stems: Sequence[str], capital: Sequence[bool], at: int) -> Unit:
    """The unit that starts at a place.

    >>> after(["km", "per", "hour"], ["km", "per", "hour"], [False] * 3, 0).kind
    'speed'
    >>> after(["degrees", "celsius"], ["degree", "celsius"], [False] * 2, 0).kind
    'temperature'
    """
    if at >= len(words):
        return NONE
    word, stem = words[at], stems[at]
    found = _UNITS.get(word) or _UNITS.get(stem)
    following = words[at + 1] if at + 1 < len(words) else ""
    if found is None:
        return _of_two(words, stems, capital, at)
    if found.kind == "angle" and following in _SCALES:
        factor, zero = _SCALES[following]
        return Unit("temperature", factor, zero, 2)
    if word in _WORDS_TOO and following:
        return NONE
    if found.kind == "length":
        per = at + 2 if following in _PER else at + 1
        timed = _HOUR.get(stems[per]) if per < len(words) else None
        if timed and (following in _PER or words[per] in ("h", "s", "hr", "sec")):
            return Unit("speed", found.factor / timed, 0.0, per + 1 - at)
    if stem == "pound" and following == "sterling":
        return _UNITS["sterling"]._replace(words=2)
    return found


def _of_two(words: Sequence[str], stems: Sequence[str], capital: Sequence[bool], at: int) -> Unit:
    word = words[at]
    if word in _SCALES and (len(word) > 1 or capital[at]):
        factor, zero = _SCALES[word]
        return Unit("temperature", factor, zero, 1)
    if at + 1 >= len(words):
        return NONE
    second = _UNITS.get(stems[at + 1])
    if word in ("square", "sq") and second and second.kind == "length":
        return Unit("area", second.factor**2, 0.0, 2)
    if word in ("cubic", "cu") and second and second.kind == "length":
        return Unit("volume", 1e3 * second.factor**3, 0.0, 2)
    if word == "light" and stems[at + 1] == "year":
        return _UNITS["lightyear"]._replace(words=2)
    if second is _UNITS["dollar"]:
        if word in _OURS:
            return second._replace(words=2)
        if word in _DOLLARS:
            return Unit(f"{word} money", 1.0, 0.0, 2)
    if second and word in ("metric", "nautical", "imperial", "long", "short"):
        return second._replace(words=2)
    return NONE


@functools.lru_cache(maxsize=1 << 10)
def agree(first: str, second: str) -> bool:
    """Whether two kinds may be one: a pound is a mass or a currency, a degree has no scale.

    >>> agree("pound", "sterling"), agree("money", "euro"), agree("", "euro")
    (True, False, True)
    """
    if first == second or not first or not second:
        return True
    pair = {first, second}
    return pair in ({"pound", "sterling"}, {"pound", "mass"}) or pair == OF_TEMPERATURE
