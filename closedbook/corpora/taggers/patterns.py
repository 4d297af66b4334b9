"""Pieces of the built-in tagger's regular expression.

All of it is one alternation whose first step is one character out of a set: with that, Python's
`re` runs over the text between two candidates at 50 MB/s and more, where a pattern that begins
with a choice or a word boundary is tried at every character (15 to 25 MB/s). Every piece here
therefore begins *behind* the first character, and looks back at it where it matters.

Every repetition is bounded or possessive, so that no text takes more than linear time.
"""

from collections.abc import Iterable

# Capitals of the scripts that have them: Latin, Greek, Cyrillic, Armenian, Georgian, Cherokee.
_BLOCKS = ((0x41, 0x5B), (0xC0, 0x590), (0x10A0, 0x1100), (0x13A0, 0x1400), (0x1E00, 0x2000))
CAPITALS = "".join(chr(c) for low, high in _BLOCKS for c in range(low, high) if chr(c).isupper())
CURRENCIES = "$£€¥₹"
FIRST = f"[{CAPITALS}0-9{CURRENCIES}]"

WORD = r"[\w\u0300-\u036f]"  # letters may be written with combining accents
# A dash between the two ends of a range, and a hyphen within a word; WikiText writes "@-@".
DASH = r"(?: ?[–—-] ?| @[–-]@ )"
HYPHEN = r"(?:[-‐‑]| @-@ )"


def one_of(words: Iterable[str]) -> str:
    """A pattern for any of the words, longest first, whose branches part at single letters.

    >>> one_of(["km", "kg", "k", "mi"])
    '(?:k(?:g|m|)|mi)'
    """
    tree: dict = {}
    for word in words:
        node = tree
        for letter in word:
            node = node.setdefault(letter, {})
        node[""] = {}
    return _branches(tree)


def _branches(tree: dict) -> str:
    branches = [
        _escaped(letter) + _branches(node) for letter, node in sorted(tree.items()) if letter
    ]
    if "" in tree:
        branches.append("")  # the shorter word, where the longer ones do not fit
    if len(branches) == 1:
        return branches[0]
    return f"(?:{'|'.join(branches)})"


def _escaped(letter: str) -> str:
    return "\\" + letter if letter in r"\.^$*+?{}[]|()/" else letter


def behind_first(words: Iterable[str]) -> str:
    """A pattern for any of the words, for a place behind their first letter.

    >>> behind_first(["May", "March", "June"])
    '(?:(?<=J)une|(?<=M)a(?:rch|y))'
    """
    by_first: dict[str, list[str]] = {}
    for word in words:
        by_first.setdefault(word[0], []).append(word[1:])
    parts = [f"(?<={_escaped(first)}){one_of(rest)}" for first, rest in sorted(by_first.items())]
    return f"(?:{'|'.join(parts)})"
