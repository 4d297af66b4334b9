"""What a bound is, and what the checks that set one look at."""

from collections.abc import Sequence
from typing import NamedTuple

from closedbook.eval.equivalence.evidence.answer import Answer, Question
from closedbook.eval.equivalence.evidence.pairs import Pair
from closedbook.eval.equivalence.reading.alternatives import NONE, Alternatives
from closedbook.eval.equivalence.reasons import Reason

PHRASE = 12
"""Words of the longest prediction of which the notation is read: signs, notes, titles, places."""


class Bounds(NamedTuple):
    """What the probability is held to, and the reason to name if it was moved."""

    low: float = 0.0
    high: float = 1.0
    reason: Reason | None = None
    sure: bool = False  # whether the reason is named even where the weights say so themselves


FREE = Bounds()


class Case(NamedTuple):
    """One row: the best expected answer and the prediction."""

    question: Question
    golds: Sequence[Answer]
    gold: Answer  # the one that fits best
    given: Answer
    pair: Pair
    short: bool  # whether the prediction is one phrase
    alternatives: Alternatives = NONE


def against(reason: Reason, high: float = 0.1) -> Bounds:
    """A fact that says no."""
    return Bounds(0.0, high, reason, True)


def agreeing(reason: Reason, low: float = 0.95) -> Bounds:
    """A fact that says yes."""
    return Bounds(low, 1.0, reason, True)
