"""Numbers in two notations: a fraction as a rounded percentage, a point that parts thousands."""

import fractions
import math
import re

_GROUPED = re.compile(r"[1-9]\d{0,2}\.\d{3}")
_LARGEST = 10  # denominator of a fraction that people say in words


def grouped(word: str) -> float:
    """The number that is written if its point parts thousands, as in German; 0 where it does not.

    >>> grouped("100.000"), grouped("2.5"), grouped("0.125")
    (100000.0, 0.0, 0.0)
    """
    return float(word.replace(".", "")) if _GROUPED.fullmatch(word) else 0.0


def rounds_to(value: float, percent: float, half: float) -> bool:
    """Whether a fraction is a percentage, rounded or cut to the digits that are written.

    Args:
        value: The fraction; not every share is one: 0.34 is exact, and 33% is not 0.34.
        percent: The percentage.
        half: Half a unit of its last digit.

    >>> rounds_to(1 / 3, 33, 0.5), rounds_to(2 / 3, 66, 0.5), rounds_to(1 / 3, 33.3, 0.05)
    (True, True, True)
    >>> rounds_to(1 / 3, 34, 0.5), rounds_to(0.334, 33, 0.5), rounds_to(1 / 3, 33, 0.005)
    (False, False, False)
    """
    if not 0 < value < 1:
        return False
    if abs(fractions.Fraction(value).limit_denominator(_LARGEST) - value) > 1e-12:
        return False
    exact = 100 * value
    unit = 2 * half
    return abs(exact - percent) <= half or abs(math.floor(exact / unit) * unit - percent) < 1e-9
