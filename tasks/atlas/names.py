"""Comparing names across tables that differ in accents, case and punctuation."""

import re
import unicodedata

_LETTERS = str.maketrans({"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "ı": "i", "ß": "ss"})


def fold(name: str) -> str:
    """A name without accents, case, spaces and punctuation.

    >>> fold("São Tomé") == fold("Sao Tome")
    True
    >>> fold("Saint John's")
    'stjohns'
    """
    plain = unicodedata.normalize("NFKD", name.translate(_LETTERS))
    ascii_only = plain.encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]", "", re.sub(r"\bsaint\b", "st", ascii_only))


def fullest(spellings: list[str]) -> str:
    """The spelling with most accents; the first one given where several tie."""
    return max(spellings, key=lambda spelling: sum(ord(c) > 127 for c in spelling))


def others(preferred: str, spellings: list[str]) -> tuple[str, ...]:
    """The spellings that differ from the preferred one, in order, each once."""
    found = dict.fromkeys(s.strip() for s in spellings if s.strip() and s.strip() != preferred)
    return tuple(found)
