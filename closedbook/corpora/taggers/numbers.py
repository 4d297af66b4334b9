"""Numbers with a unit: patterns.

A unit is one of a measure, of money, of time, per cent, or people; a number in words ("six feet")
is none of these. Numbers without a unit are left alone: they say little by themselves.
"""

import re

from closedbook.corpora.taggers.patterns import CURRENCIES, DASH, HYPHEN, one_of

# One unit a word, both numbers where they differ.
_WORDS = """
metre metres meter meters kilometre kilometres kilometer kilometers centimetre centimetres
centimeter centimeters millimetre millimetres millimeter millimeters micrometres nanometres
nanometers inch inches foot feet yard yards mile miles furlong furlongs fathom fathoms parsecs
light-years light-year acre acres hectare hectares litre litres liter liters gallon gallons pint
pints barrel barrels gram grams gramme grammes kilogram kilograms kilogramme kilogrammes
milligrams tonne tonnes ton tons pound pounds ounce ounces carats carat
second seconds minute minutes hour hours day days week weeks month months year years decade
decades century centuries knot knots horsepower watt watts kilowatt kilowatts megawatt megawatts
gigawatts volt volts kilovolts ampere amperes amps joules kilojoules calories newtons pascals
hertz kilohertz megahertz gigahertz byte bytes kilobytes megabytes gigabytes terabytes kilobits
megabits degree degrees decibels kelvins
dollar dollars cent cents euro euros pence shilling shillings yen yuan rupee rupees rupiah peso
pesos franc francs krone kroner krona kronor ruble rubles rouble roubles lira
percent people persons inhabitants residents
"""
_SYMBOLS = """
km cm mm µm μm nm m ft in yd mi nmi ha kg mg g lb lbs oz t kn mph kph kW MW GW TW kV V W hp bhp
shp kN kJ MJ kWh MWh GWh kPa MPa hPa mbar Hz kHz MHz GHz THz kB KB MB GB TB kbit Mbit kbps Mbps
Gbps dB rpm psi eV keV MeV GeV mL ml L l hr hrs min sec ms µs cc
"""
_PHRASES = (
    *("nautical mile", "nautical miles", "per cent", "fluid ounces", "cubic feet", "fl oz"),
    *(f"{size} {mass}" for size in ("long", "short", "metric") for mass in ("ton", "tons")),
    *("US dollars", "U.S. dollars", "light years", "light @-@ years", "pounds sterling", "sq mi"),
    *(
        "sq ft",
        "sq km",
        "cu ft",
        "cu in",
        "degrees Celsius",
        "degrees Fahrenheit",
        "long hundredweight",
    ),
    *(
        f"{power} {length}"
        for power in ("square", "cubic")
        for length in "metres meters kilometres kilometers centimetres miles mile feet foot "
        "yards inches inch".split()
    ),
)
_UNIT_WORDS = (*_WORDS.split(), *(s for s in _SYMBOLS.split() if s != "in"), *_PHRASES)
# "30.4 in" is a length before a bracket or a mark, and no length before a word ("30.4 in 1970").
_UNIT = (
    rf"(?:{one_of(_UNIT_WORDS)}(?:[²³]|[23](?!\d)| [23](?= [),.;]))?"
    r"(?: ?/ ?(?:h|s|min|kg|km²?|m³?|l|L|day|year))?"
    r"(?![\w'’])|in(?= ?[),.;:]| \(|$| long| wide| high| deep| tall| thick| gun)(?!\w)"
    r"|° ?[CFK]?(?!\w)|[%‰])"
)
_SCALE = r"(?:(?: |-| @-@ )(?:hundred |thousand )?(?:thousand|million|billion|trillion|bn)(?!\w))"
_NUMBER = r"\d{1,15}(?:(?:[.,·]| @[.,]@ )\d{1,15}){0,6}(?!\d)(?: ?[½¼¾⅓⅔⅛]| \d/\d)?"
_RANGE = rf"(?:(?:{DASH}| to | or | × | x ){_NUMBER})?"
_JOINT = rf"(?:{HYPHEN}| ?)"
_MORE = rf"(?: {_NUMBER}{_JOINT}{_UNIT}){{0,2}}"  # 6 ft 2 in

FROM_DIGIT = rf"{_NUMBER}{_RANGE}(?:{_SCALE}?{_JOINT}{_UNIT}{_MORE}|{_SCALE})"
_AMOUNT = rf"{_NUMBER}(?:{DASH}{_NUMBER})?(?:{_SCALE}| ?(?:m|M|bn|B|k|K)(?!\w))?(?!\w)"
FROM_SIGN = rf"[{CURRENCIES}] ?{_AMOUNT}"
CODES = ("USD", "EUR", "GBP", "JPY", "INR", "CHF", "Rs", "Rs.", "DM")
FROM_CAPITAL = rf"{one_of(CODES)} {_AMOUNT}"
UNIT_FOLLOWS = rf"(?:{_SCALE}|{_JOINT}{_UNIT})"
_DOLLARS = re.compile(r"(?<!\w)(?:US|AU?|CA?|HK|NZ|R|S|NT) ?$")


def dollar_start(text: str, start: int) -> int:
    """Where an amount of dollars begins: at the country's letters before the sign.

    >>> dollar_start("for US $ 5 million", 7)
    4
    """
    found = _DOLLARS.search(text[max(0, start - 4) : start])
    return start - len(found[0]) if found else start
