"""Pieces of the built-in tagger's regular expressions.

Every repetition is bounded or possessive, so that no text takes more than linear time.
"""

from collections.abc import Iterable

# Capitals of the scripts that have them: Latin, Greek, Cyrillic, Armenian, Georgian, Cherokee.
_BLOCKS = ((0x41, 0x5B), (0xC0, 0x590), (0x10A0, 0x1100), (0x13A0, 0x1400), (0x1E00, 0x2000))
CAPITALS = "".join(chr(c) for low, high in _BLOCKS for c in range(low, high) if chr(c).isupper())
CURRENCIES = "$£€¥₹"
# The rest of a word; letters may be written with combining accents. Python's `re` is twice as fast
# with a bare \w than with a set that holds it.
WORD = r"\w*+(?:[\u0300-\u036f]\w*+)*+"
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
