"""A text cut into words, and what is known of each word alone."""

import re
import unicodedata
from typing import NamedTuple

from closedbook.eval.equivalence.evidence import dates, frequency, numbers, words

LIMIT = 4000
"""Characters that are read; what stands after them does not count as evidence."""

# Letters that Unicode does not take apart, quotes and dashes of many shapes, fractions.
_LETTERS = str.maketrans(
    {
        "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D",
        "þ": "th", "Þ": "Th", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "ß": "ss", "ı": "i",
        "‘": "'", "’": "'", "ʼ": "'", "`": "'", "´": "'", "“": '"', "”": '"', "ʻ": "'",
        "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "−": "-", "⁄": "/",
    }
)  # fmt: skip
TOKEN = re.compile(
    r"(?:[A-Za-z]\.){2,}|(?:[A-Za-z]\.)+[A-Z](?![^\W_])"  # U.S., J.R.R, A.K
    r"|\d+(?:[.,]\d+)*(?:st|nd|rd|th|s)?(?![^\W_])"  # 1,000  2.5  15th  1990s
    r"|\d+(?:[.,]\d+)*"  # the digits of 5km
    r"|[^\W\d_]+(?:'[^\W\d_]+)*\d*"  # words, O'Neill, V8
    r"|[$€£¥₹%°]"
)
_ACCENTS = re.compile("[\u0300-\u036f]+")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+")

# What a word may announce; the flags of a text are those of its words.
NUMBER, DATE, NEGATION, REFUSAL, HEDGE = 1, 2, 4, 8, 16
_REFUSING = frozenset(
    "know unknown unclear cannot cant unable sorry information not access context ai clarify "
    "specify determine no dont na".split()
)
HEDGING = frozenset(
    "may might possibly perhaps probably likely believed depend depends vary varies however "
    "although possible several various some often typically generally such example".split()
)


_FLAGS: dict[str, int] = {}
for _flag, _group in (
    (NUMBER, numbers.WORDS),
    (DATE, dates.WORDS),
    (NEGATION, words.NEGATION),
    (REFUSAL, _REFUSING),
    (HEDGE, HEDGING),
):
    for _word in _group:
        _FLAGS[_word] = _FLAGS.get(_word, 0) | _flag


class Word(NamedTuple):
    """A word by itself."""

    text: str  # lower-case, without dots, possessive and thousands' commas
    stem: str
    content: bool  # False for "the", "of" and their like
    capital: bool
    acronym: bool  # whether it may be one: two to eight capitals
    weight: float  # of its rarity
    flags: int
    undenied: list[str]  # what is left of the stem without a prefix that denies it


class _Lexicon(dict[str, Word]):
    """Words by their spelling, worked out when first seen; emptied when it grows too large."""

    SIZE = 200_000  # about 60 MB

    def __missing__(self, spelling: str) -> Word:
        text = spelling.lower() if spelling.isalpha() else _bare(spelling)
        stem = words.stem(text)
        flags = _FLAGS.get(text, 0)
        if text[0].isdigit():
            flags |= NUMBER | DATE
        word = Word(  # by place, which is faster than by name
            text,
            stem,
            text not in words.STOP,
            spelling[0].isupper(),
            spelling.isupper() and 2 <= len(text) <= 8,
            frequency.table().get(stem, frequency.RAREST),
            flags,
            words.undenied(stem),
        )
        if len(self) >= self.SIZE:
            self.clear()
        self[spelling] = word
        return word


LEXICON = _Lexicon()


def fold(text: str) -> str:
    """Letters without accents and full width, quotes and dashes of one shape; case is kept.

    >>> fold("Röntgen’s 1910–39 Łódź ½")
    "Rontgen's 1910-39 Lodz 1/2"
    """
    if text.isascii():
        return text
    apart = unicodedata.normalize("NFKD", text)
    return _ACCENTS.sub("", apart).translate(_LETTERS)


def cut(text: str) -> list[Word]:
    """The words of a text.

    >>> [word.text for word in cut("The U.S. Senate's 1,000 members")]
    ['the', 'us', 'senate', '1000', 'members']
    """
    folded = fold(text[:LIMIT])
    # Letters and spaces alone, as most questions and answers are, need no pattern.
    plain = folded.isascii() and folded.replace(" ", "").isalpha()
    return [LEXICON[word] for word in (folded.split() if plain else TOKEN.findall(folded))]


def _bare(spelling: str) -> str:
    word = spelling.lower()
    if word[0].isdigit():
        return word.replace(",", "") if _THOUSANDS.fullmatch(word) else word
    if word.endswith("'s"):
        word = word[:-2]
    return word.replace(".", "").replace("'", "") or "'"
