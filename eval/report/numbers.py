"""Numbers as readers see them: shares as percent, each with its interval."""

import math
from typing import Protocol

from closedbook.eval.intervals import UNKNOWN, Estimate

MISSING = "–"


class Ends(Protocol):
    """Whatever has the ends of an interval, for example an `Estimate`."""

    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


def percent(share: float | None, digits: int = 1) -> str:
    """A share as a percentage without the sign; a dash for none.

    >>> percent(0.36605), percent(None)
    ('36.6', '–')
    """
    return MISSING if share is None or math.isnan(share) else f"{100 * share:.{digits}f}"


def mean(value: Estimate | None) -> str:
    """The mean of an estimate, as a percentage; a dash where nothing is known of it.

    >>> mean(Estimate(mean=0.5, low=0.4, high=0.6)), mean(UNKNOWN)
    ('50.0', '–')
    """
    return MISSING if value is None or value == UNKNOWN else percent(value.mean)


def interval(value: Ends | None) -> str:
    """The ends of an interval, as percentages.

    >>> interval(Estimate(mean=0.5, low=0.4721, high=0.528))
    '[47.2, 52.8]'
    """
    return MISSING if value is None else f"[{percent(value.low)}, {percent(value.high)}]"


def with_interval(value: Estimate | None) -> str:
    """A mean and its interval, as percentages.

    >>> with_interval(Estimate(mean=0.5, low=0.4721, high=0.528))
    '50.0 [47.2, 52.8]'
    """
    return MISSING if value is None else f"{mean(value)} {interval(value)}"


def count(value: int | None) -> str:
    """A count with commas between thousands; a dash for none.

    >>> count(3610), count(None)
    ('3,610', '–')
    """
    return MISSING if value is None else f"{value:,}"


def counted(number: int, noun: str) -> str:
    """A number of things, the noun in the plural where there is not one.

    >>> counted(1, "fact"), counted(3610, "fact"), counted(0, "memory")
    ('1 fact', '3,610 facts', '0 memories')
    """
    return f"{number:,} {nouns(number, noun)}"


def nouns(number: int, noun: str) -> str:
    """The noun that fits to a number."""
    if number == 1:
        return noun
    return f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"


def decimal(value: float | None, digits: int = 3) -> str:
    """A number between 0 and 1 that is no percentage, such as a Brier score.

    >>> decimal(0.18249), decimal(None)
    ('0.182', '–')
    """
    return MISSING if value is None else f"{value:.{digits}f}"


def signed(share: float | None) -> str:
    """A difference of two shares in percentage points, with its sign.

    >>> signed(0.0123), signed(-0.5), signed(0.0)
    ('+1.2', '−50.0', '0.0')
    """
    if share is None:
        return MISSING
    shown = percent(abs(share))
    if shown == "0.0":
        return shown
    return ("−" if share < 0 else "+") + shown


def p_value(value: float) -> str:
    """A p value with as many digits as it deserves.

    >>> p_value(0.0421), p_value(0.3), p_value(1e-9)
    ('0.042', '0.30', '< 0.001')
    """
    if value < 0.001:
        return "< 0.001"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"
