"""Text taken apart once: folded, cut into words, each with its stem and its place."""

import dataclasses
import functools
import re
import unicodedata

from closedbook.eval.evidence import words

LIMIT = 4000
"""Characters that are read; what stands after them does not count as evidence."""

# Letters that Unicode does not take apart, quotes and dashes of many shapes, fractions.
_LETTERS = str.maketrans(
    {
        "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D",
        "þ": "th", "Þ": "Th", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "ß": "ss", "ı": "i",
        "‘": "'", "’": "'", "ʼ": "'", "`": "'", "´": "'", "“": '"', "”": '"',
        "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "−": "-", "⁄": "/", "ʻ": "'",
    }
)  # fmt: skip
_TOKEN = re.compile(
    r"(?:[A-Za-z]\.){2,}"  # U.S., J.R.R.
    r"|\d+(?:[.,]\d+)*(?:st|nd|rd|th|s)?(?![^\W_])"  # 1,000  2.5  15th  1990s
    r"|\d+(?:[.,]\d+)*"  # the digits of 5km
    r"|[^\W\d_]+(?:'[^\W\d_]+)*\d*"  # words, O'Neill, V8
    r"|[$€£¥₹%°]"
)
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?!\d)")
_SENTENCE_END = re.compile(r"[.!?]\s+(?=[A-Z])|\n")


@dataclasses.dataclass(frozen=True, slots=True)
class Text:
    """An answer or a question, taken apart. Lists run over its words, in order."""

    plain: str  # folded, lower-case, its words joined by spaces
    words: tuple[str, ...]  # lower-case
    stems: tuple[str, ...]
    capital: tuple[bool, ...]  # whether the word starts with a capital letter
    gaps: tuple[str, ...]  # the characters before each word, as "" or " " or ", "
    content: tuple[int, ...]  # places of the words that carry content
    keys: frozenset[str]  # stems of these
    cut: bool  # whether more than LIMIT characters were given


def fold(text: str) -> str:
    """Letters without accents and full width, quotes and dashes of one shape; case is kept.

    >>> fold("Röntgen’s 1910–39 Łódź ½")
    "Rontgen's 1910-39 Lodz 1/2"
    """
    if text.isascii():
        return text
    apart = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    return "".join(c for c in apart if not unicodedata.combining(c)).translate(_LETTERS)


@functools.lru_cache(maxsize=1 << 16)
def parse(text: str) -> Text:
    """Takes a text apart; a text longer than `LIMIT` is cut.

    >>> parse("The U.S. Senate's 1,000 members").words
    ('the', 'us', 'senate', '1000', 'members')
    """
    folded = fold(text[:LIMIT])
    found: list[str] = []
    capital: list[bool] = []
    gaps: list[str] = []
    end = 0
    for match in _TOKEN.finditer(folded):
        word = match.group()
        start = match.start()
        gaps.append(folded[end:start][-12:])
        end = match.end()
        capital.append(word[0].isupper())
        found.append(_bare(word))
    stems = tuple([words.stem(word) for word in found])
    content = tuple([place for place, word in enumerate(found) if word not in words.STOP])
    return Text(
        plain=" ".join(found),
        words=tuple(found),
        stems=stems,
        capital=tuple(capital),
        gaps=tuple(gaps),
        content=content,
        keys=frozenset([stems[place] for place in content]),
        cut=len(text) > LIMIT,
    )


def _bare(word: str) -> str:
    """A word as it is compared: lower-case, without dots, possessive and thousands' commas."""
    if word.isalpha():
        return word.lower()
    word = word.lower()
    if word[0].isdigit():
        return word.replace(",", "") if _THOUSANDS.fullmatch(word) else word
    if word.endswith("'s"):
        word = word[:-2]
    return word.replace(".", "").replace("'", "") or "'"
