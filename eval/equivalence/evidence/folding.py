"""One spelling for letters, quotes, dashes, and for notations that a cut into words would lose."""

import re
import unicodedata

from closedbook.eval.equivalence.evidence import months

# Letters that Unicode does not take apart, quotes and dashes of many shapes, fractions.
_LETTERS = str.maketrans(
    {
        "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D",
        "þ": "th", "Þ": "Th", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "ß": "ss", "ı": "i",
        "‘": "'", "’": "'", "ʼ": "'", "`": "'", "´": "'", "“": '"', "”": '"', "ʻ": "'",
        "′": "'", "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "−": "-", "⁄": "/",
    }
    # Arabic, Persian, Devanagari, Bengali and Thai digits.
    | {chr(zero + digit): str(digit) for zero in (0x660, 0x6F0, 0x966, 0x9E6, 0xE50)
       for digit in range(10)}
)  # fmt: skip
_ACCENTS = re.compile("[\u0300-\u036f]+")
# Blanks and apostrophes that part thousands; a plain blank may part two numbers.
_PARTED = re.compile("(?<=\\d)[\u00a0\u202f\u2009\u2008\u2007'’](?=\\d{3}(?!\\d))")
_MIXED = re.compile(r"(?<=\d)(?=[½¼¾⅓⅔⅛⅜⅝⅞⅕⅖⅗⅘⅙⅚])")
_DAY = re.compile(r"(\d{4})\s?[年년]\s?(\d{1,2})\s?[月월]\s?(\d{1,2})\s?[日일号號]?")
_YEAR_MONTH = re.compile(r"(\d{4})\s?[年년]\s?(\d{1,2})\s?[月월]")
_MONTH_DAY = re.compile(r"(?<!\d)(\d{1,2})\s?[月월]\s?(\d{1,2})\s?[日일号號]")
_YEAR = re.compile(r"(\d{3,4})\s?[年년]")
# Numbers of notes: "in 1994⁶", "Paris[1]"; a power of ten stays.
_POWER = re.compile(r"(?<![\d.])(10)([⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
_NOTE = re.compile(
    r"(?:(?<=\d\d\d)|(?<=[^\W\d]{4})|(?<=[.,!?;:\")\]]))[⁰¹²³⁴⁵⁶⁷⁸⁹]+|【[^】]{0,20}】"
)
_CITED = re.compile(r"\[\d{1,3}\]")
# What is left of notes and links where a page's text was copied: "in 20171.", "onMarch 5".
# Each begins with a character, not with a look behind, so that the search is fast.
_GLUED_NOTE = re.compile(
    r"\d(?:(?<=[a-z]{4}\d)|(?<=[ (](?:1[5-9]|20)\d\d\d))\d?(?=\s?[.,;](?:\s|$)|$)"
)
_GLUED = re.compile("[A-Z](?<=[a-z][A-Z])[a-z]")
_GLUED_LINK = re.compile(
    r"\b(in|on|at|[Tt]he|of|by|is|was|and|to|from|for|as|with|called|named)(?=[A-Z][a-z])"
)
_PARTED_DECIMAL = re.compile(r"(?<=\d)\. (?=\d+ (?:million|billion|trillion|percent|%|miles|feet))")
_SCALED = ("million", "billion", "trillion", "percent", "%", "miles", "feet")
# Without these there is no sign and no height; each begins with a character, too.
_SIGNED = re.compile(r"[-\u2212][$£€]?\.?\d")
_FOOT = re.compile(r"\d\s?'")
_LONG = 40  # characters of a text in which these are looked for
_FEET = re.compile(r"(?<![\w.])(\d{1,2})\s?'\s?(\d{1,2}(?:\.\d+)?)\s?(?:\"|''|in\b|(?=\W|$))")
_MINUS = re.compile(r"(?<![\w)\]%.])(?<!\d )([-\u2212])(?=[$£€]?\.?\d)")


def fold(text: str) -> str:
    """Letters without accents and full width, quotes and dashes of one shape; case is kept.

    >>> fold("Röntgen’s 1910–39 Łódź ½")
    "Rontgen's 1910-39 Lodz 1/2"
    >>> fold("−5"), fold("1945年8月15日"), fold("12\\u00a0000"), fold("5'8\\"")
    ('minus 5', '1945-8-15 ', '12,000', '5 ft 8 in')
    """
    if not text.isascii():
        text = _folded(text)
    if len(text) > _LONG:
        text = _GLUED_NOTE.sub("", text)
        if _GLUED.search(text):
            text = _GLUED_LINK.sub(r"\1 ", text)
        if ". " in text and any(word in text for word in _SCALED):
            text = _PARTED_DECIMAL.sub(".", text)
    if "[" in text:
        text = _CITED.sub(" ", text)
    if "-" in text and _SIGNED.search(text):
        text = _MINUS.sub("minus ", text)
    if "'" in text and _FOOT.search(text):
        text = _FEET.sub(r"\1 ft \2 in", text)
    return text


def _folded(text: str) -> str:
    text = _NOTE.sub(" ", _POWER.sub(r"\1^\2", _PARTED.sub(",", text)))
    if "年" in text or "月" in text or "월" in text or "년" in text:
        text = _DAY.sub(r"\1-\2-\3 ", text)
        text = _YEAR_MONTH.sub(lambda match: f"{_month(match[2])} {match[1]} ", text)
        text = _MONTH_DAY.sub(lambda match: f"{_month(match[1])} {match[2]} ", text)
        text = _YEAR.sub(r"\1 ", text)
    apart = unicodedata.normalize("NFKD", _MIXED.sub(" ", text))
    text = _ACCENTS.sub("", apart).translate(_LETTERS)
    return text if text.isascii() else _FOREIGN.sub(_in_english, text)


def _month(number: str) -> str:
    return months.ENGLISH[int(number) - 1] if 1 <= int(number) <= 12 else number


def _bare(name: str) -> str:
    return _ACCENTS.sub("", unicodedata.normalize("NFKD", name)).translate(_LETTERS)


_MONTHS = {_bare(name): number for name, number in months.FOREIGN.items()}
LATIN_MONTHS = {name: number for name, number in _MONTHS.items() if name.isascii()}
"""Foreign names of months that are read as words, without their accents."""
# Words of other scripts may be cut at their vowel signs, so their months are put in English.
_FOREIGN = re.compile(
    r"(?<!\w)(?:"
    + "|".join(sorted((n for n in _MONTHS if not n.isascii()), key=len, reverse=True))
    + r")(?!\w)",
    re.I,
)


def _in_english(match: re.Match[str]) -> str:
    number = _MONTHS.get(match[0].lower())
    return match[0] if number is None else f" {months.ENGLISH[number - 1]} "
