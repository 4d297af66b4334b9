"""Signs that a cut into words loses: C++ and C#, A+ and A-, 3-1 and 31, Vitamin A and Vitamin."""

import functools
import re
from collections.abc import Sequence
from typing import NamedTuple

from closedbook.eval.equivalence.evidence.numbers import Number

_SIGN = {
    "+": "+", "++": "++", "#": "#", "-": "-", "plus": "+", "positive": "+", "pos": "+",
    "minus": "-", "negative": "-", "neg": "-", "sharp": "#", "flat": "b", "♯": "#", "♭": "b",
}  # fmt: skip
_SIGNED = re.compile(
    r"(?<![\w+#'-])([A-Za-z]{1,3}\d{0,2})"
    r"(?:(\+\+|[+#♯♭]|-(?![\w-]))|[ -](plus|minus|positive|negative|pos|neg|sharp|flat)\b)",
    re.I,
)
_BARE = re.compile(r"(?<![\w+#'-])([A-Za-z]{1,3}\d{0,2})(?![\w+#'♯♭-])")
_STRUCTURE = re.compile(r"(?<![\w.,])\d{1,6}(?:\s?[-:/]\s?\d{1,6}|\s(?:to|by)\s\d{1,6})+(?![\w])")
_JOINT = re.compile(r"\d(?:\s?[-:/]|\s(?:to|by)\s)")  # without it there is no structure
_DIGIT = re.compile(r"\d+")
_DIGITS = re.compile(r"(?<![\d.,])\d+(?![\d.,]*\d)")
_LETTER_A = re.compile(r"(?<=[\w)] )A\b|(?<=\w )a\W*$")
MARKS = re.compile(r"[-+#/:^♯♭.]|\b(?:plus|minus|positive|negative|sharp|flat)\b", re.I)


class Signature(NamedTuple):
    """The signs of a text."""

    signed: dict[str, str]  # letters and the sign behind them
    bare: frozenset[str]  # letters without one
    structures: tuple[tuple[int, ...], ...]  # numbers that a sign joins: the score 3-1
    whole: frozenset[str]  # numbers that none joins


@functools.lru_cache(maxsize=1 << 14)
def of(text: str) -> Signature:
    """The signs of a text.

    >>> of("C++ or B-flat").signed, of("it ended 3-1").structures, of("31").whole
    ({'c': '++', 'b': 'b'}, ((3, 1),), frozenset({'31'}))
    """
    signed, structures = _signed(text)
    return Signature(
        signed,
        frozenset(match[1].lower() for match in _BARE.finditer(text)) - signed.keys(),
        structures,
        frozenset(_DIGITS.findall(text)),
    )


@functools.lru_cache(maxsize=1 << 14)
def _signed(text: str) -> tuple[dict[str, str], tuple[tuple[int, ...], ...]]:
    """Letters and numbers that have a sign; most texts have none."""
    signed = {
        match[1].lower(): _SIGN[(match[2] or match[3]).lower()] for match in _SIGNED.finditer(text)
    }
    if not _JOINT.search(text):
        return signed, ()
    return signed, tuple(
        [tuple(map(int, _DIGIT.findall(match[0]))) for match in _STRUCTURE.finditer(text)]
    )


def conflict(gold: str, given: str) -> bool:
    """Whether two texts differ in a sign, or in the order of numbers that a sign joins.

    Args:
        gold: The expected answer, its dashes and quotes of one shape.
        given: The prediction, likewise.

    >>> conflict("C++", "C#"), conflict("C++", "the language C++"), conflict("O negative", "O-")
    (True, False, False)
    >>> conflict("3-1", "31"), conflict("3-1", "1-3"), conflict("3-1", "3 to 1")
    (True, True, False)
    >>> conflict("3-1", "3-2"), conflict("555-1234", "5551234")
    (True, False)
    >>> conflict("911", "9-1-1"), conflict("9/11", "911")
    (False, True)
    """
    if not MARKS.search(gold) and not MARKS.search(given):
        return False
    if not any(_signed(gold)) and not any(_signed(given)):
        return False
    a, b = of(gold), of(given)
    if _signs(a, b) or _signs(b, a) or _numbers(a, b) or _numbers(b, a):
        return True
    # A colon may stand in a time of day, which has another way to be the same: 8:30 and 20:30.
    return _order(a, b) or (":" not in gold + given and _score(a, b))


def _signs(a: Signature, b: Signature) -> bool:
    for letters, sign in a.signed.items():
        other = b.signed.get(letters)
        if (other is None and letters in b.bare) or (other is not None and other != sign):
            return True
    return False


def _numbers(a: Signature, b: Signature) -> bool:
    """Whether two numbers with a sign between them are one number in the other text."""
    return any(
        len(parts) == 2
        and min(parts) < 100  # a telephone number may be written without dashes
        and parts not in b.structures
        and "".join(map(str, parts)) in b.whole
        for parts in a.structures
    )


def _order(a: Signature, b: Signature) -> bool:
    return any(
        len(parts) == 2
        and parts[0] != parts[1]
        and parts not in b.structures
        and parts[::-1] in b.structures
        for parts in a.structures
    )


def _score(a: Signature, b: Signature) -> bool:
    """Whether the only two small numbers that a sign joins are others: 3-1 and 3-2."""
    if len(a.structures) != 1 or len(b.structures) != 1 or a.structures == b.structures:
        return False
    return all(len(each) == 2 and max(each) < 100 for each in (*a.structures, *b.structures))


def negated(gold: Sequence[Number], given: Sequence[Number]) -> bool:
    """Whether the only numbers of two texts differ in their sign: -5 and 5."""
    if len(gold) != 1 or len(given) != 1:
        return False
    value = gold[0].value
    return value != 0 and value == -given[0].value and gold[0].kind == given[0].kind


def letters_lost(gold: str, given: str) -> bool:
    """Whether one of two texts that SQuAD's normaliser makes one has a letter A for an article.

    >>> letters_lost("Vitamin A", "Vitamin"), letters_lost("a dog", "dog")
    (True, False)
    >>> letters_lost("Vitamin A", "vitamin a")
    False
    """
    if "a" not in gold.lower():
        return False
    return bool(_LETTER_A.search(gold)) != bool(_LETTER_A.search(given))
