"""Semantic entropy: how uncertain the meaning of a model's answer is, with bounds.

Answers that say the same are one meaning, whatever their words; the entropy is that of meanings:

    H = - sum over meanings c of P(c) log P(c),  P(c) = sum over answers a in c of P(a | question)

The best beams have exact probabilities, but seldom all of the mass. What the others may mean is not
known, so H is known up to an interval, and exactly where the beams are all that a model can answer.
Source: Kuhn, Gal, Farquhar 2023; Farquhar, Kossen, Kuhn, Gal 2024, there estimated from samples.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from closedbook.errors import UserError
from closedbook.eval.equivalence import judges
from closedbook.eval.predictions import Prediction

KEY = "beams"
"""Of a row: {"texts": [...], "log_probs": [...], "log_possible": ...}, as our decoders write it."""

_SUM = 1e-6  # of probabilities in 32 bits; what lies closer to 1 is all
_MOST_MASS = 1.001  # beyond it they are not of different answers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Beams:
    """Different answers to one question, and their probabilities.

    Attributes:
        texts: The answers; two of them may read alike and be different sequences of tokens.
        masses: float64 [answers]; their sum is at most 1.
        log_possible: The natural logarithm of the number of answers that the model could give at
            all, these among them; None where it is not known.
    """

    texts: Sequence[str]
    masses: np.ndarray
    log_possible: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Meaning:
    """Answers that say the same."""

    text: str  # the likeliest of them
    mass: float  # sum of their probabilities


@dataclasses.dataclass(frozen=True, kw_only=True)
class SemanticEntropy:
    """The entropy of what a model's answers mean, in nats."""

    value: float  # as if all that the beams do not cover were one more meaning
    low: float
    high: float | None  # None where the number of possible answers is not known
    covered: float  # probability of the beams together
    meanings: Sequence[Meaning]  # likeliest first


def beams_of(row: Prediction) -> Beams | None:
    """The beams of a row: its key "beams" (also in meta), or its prediction and alternatives.

    Prediction and alternatives are taken where all have scores that may be log-probabilities; of
    two that read alike the likelier one counts, for it may have been sampled twice.

    Returns:
        None where the row has neither.

    Raises:
        UserError: The key "beams" holds no log-probabilities of different answers.
    """
    given = row.extra.get(KEY, row.meta.get(KEY))
    if given is not None:
        return _parsed(given, row)
    if row.score is None or not row.alternatives:
        return None
    best: dict[str, float] = {row.prediction: row.score}
    for other in row.alternatives:
        if other.score is None:
            return None
        best[other.text] = max(best.get(other.text, -math.inf), other.score)
    return _beams(list(best), list(best.values()), None)


def _parsed(given: Any, row: Prediction) -> Beams:
    found = given if isinstance(given, Mapping) else {}
    texts, scores = found.get("texts"), found.get("log_probs")
    possible = found.get("log_possible")
    if (
        not isinstance(texts, list | tuple)
        or not isinstance(scores, list | tuple)
        or not texts
        or len(texts) != len(scores)
        or not all(isinstance(text, str) for text in texts)
        or not all(map(is_number, scores))
        or not (possible is None or (is_number(possible) and possible >= 0))
    ):
        raise UserError(
            f'"{KEY}" of {_named(row)} is {str(given)[:80]!r}; it must be {{"texts": [...], '
            '"log_probs": [...], "log_possible": number or null}, one log-probability per text'
        )
    beams = _beams(texts, scores, possible)
    if beams is None:
        raise UserError(
            f"the probabilities of the answers to {_named(row)} sum up to more than 1; they must "
            "be natural log-probabilities of different answers, as a beam search gives them"
        )
    return beams


def is_number(value: object) -> bool:
    """Whether a value of JSON is a finite number.

    >>> is_number(1), is_number(True), is_number(math.nan), is_number(10**400), is_number("1")
    (True, False, False, False, False)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond any float
        return False


def _named(row: Prediction) -> str:
    return f"row {row.id!r}" if row.id is not None else f"the row of {row.question[:60]!r}"


def _beams(texts: Sequence[str], scores: Sequence[float], possible: float | None) -> Beams | None:
    """The beams; None where their probabilities sum up to more than 1."""
    masses = np.exp(np.minimum(np.asarray(scores, np.float64), 1.0))  # e is too much already
    total = float(masses.sum())
    if total > _MOST_MASS:
        return None
    return Beams(texts=texts, masses=masses / max(total, 1.0), log_possible=possible)


def all_of(
    rows: Sequence[Prediction], judge: judges.Judge | None = None
) -> list[SemanticEntropy | None]:
    """The semantic entropy of each row; None for rows without beams.

    Two answers mean the same if the judge says so of both, each taken as the gold of the other. The
    likeliest answer begins a meaning, and what means the same joins it; then the likeliest that is
    left.

    Args:
        rows: The questions, with beams.
        judge: The learned one if None.
    """
    found = [beams_of(row) for row in rows]
    together = _meanings([row.question for row in rows], found, judge or judges.named("learned"))
    return [
        None if beams is None else _entropy(beams, meanings)
        for beams, meanings in zip(found, together, strict=True)
    ]


def _entropy(beams: Beams, meanings: Sequence[Meaning]) -> SemanticEntropy:
    masses = np.array([meaning.mass for meaning in meanings])
    covered = min(float(beams.masses.sum()), 1.0)  # sums of shares of 1 are rounded too
    rest = 1 - covered if 1 - covered > _SUM else 0.0
    low, high = bounds(masses, rest, others(beams.log_possible, len(beams.texts)))
    return SemanticEntropy(
        value=low if low == high else entropy(np.append(masses, rest)),
        low=low,
        high=None if math.isinf(high) else high,
        covered=covered,
        meanings=meanings,
    )


def entropy(masses: np.ndarray) -> float:
    """- sum of p log p of probabilities, in nats.

    >>> round(entropy(np.array([0.5, 0.5, 0.0])), 4)
    0.6931
    """
    present = masses[masses > 0]
    return max(0.0, float(-(present * np.log(present)).sum()))


def others(log_possible: float | None, beams: int) -> float:
    """The logarithm of the number of answers beside the beams; inf if unknown, -inf if none.

    >>> round(others(math.log(10), 8), 4), others(math.log(8), 8), others(None, 8)
    (0.6931, -inf, inf)
    """
    if log_possible is None:
        return math.inf
    left = -math.expm1(math.log(beams) - log_possible)  # share of the answers
    # The logarithm is a rounded one: less than half an answer is none.
    if left <= 0 or (log_possible < 30 and math.exp(log_possible) * left < 0.5):
        return -math.inf
    return log_possible + math.log(left)


def bounds(masses: np.ndarray, rest: float, log_others: float) -> tuple[float, float]:
    """The least and the greatest entropy of meanings, over all that the rest could mean.

    Least where all of the rest means the same as the likeliest meaning: that distribution majorises
    every other one. Greatest where it is spread as evenly as can be: over as many new meanings as
    there are other answers, and over those meanings that are smaller than these.

    Args:
        masses: Probabilities of the meanings found, [meanings].
        rest: Probability of all other answers.
        log_others: The logarithm of the number of other answers.

    Returns:
        Least and greatest, in nats; the greatest is inf where the number is.

    >>> "%.4f %.4f" % bounds(np.array([0.5, 0.25]), 0.25, math.log(2))  # 3/4 1/4; 1/2 1/4 1/8 1/8
    '0.5623 1.2130'
    >>> bounds(np.array([1.0]), 0.0, math.inf)
    (0.0, 0.0)
    """
    if rest <= 0 or log_others == -math.inf:
        # All is known; what is missing is rounding.
        exact = entropy(masses / masses.sum())
        return exact, exact
    fewest = masses.copy()
    fewest[int(np.argmax(fewest))] += rest
    if log_others == math.inf:
        return entropy(fewest), math.inf
    # Water fills the lowest places: the others begin at 0, meanings at their own mass.
    rising = np.sort(masses)
    log_level = math.log(rest) - log_others
    filled, below = 0, 0.0
    while filled < len(rising) and math.log(max(rising[filled], 1e-300)) < log_level:
        filled += 1
        below = float(rising[:filled].sum())
        log_level = math.log(rest + below) - float(np.logaddexp(log_others, math.log(filled)))
    spread = -(rest + below) * log_level
    return entropy(fewest), entropy(rising[filled:]) + spread


def _meanings(
    questions: Sequence[str], found: Sequence[Beams | None], judge: judges.Judge
) -> list[list[Meaning]]:
    """The meanings of each question's beams, likeliest first."""
    left = [[] if beams is None else _alike(beams) for beams in found]
    together: list[list[Meaning]] = [[] for _ in found]
    while any(left):
        # One more meaning of each question at a time, so that the judge has much to do at once.
        pairs = [
            _Pair(question=questions[place], answers=(gold,), prediction=given)
            for place, answers in enumerate(left)
            for other, _ in _comparable(answers)
            for gold, given in ((answers[0][0], other), (other, answers[0][0]))
        ]
        verdicts = iter(judge.judge_all(pairs) if pairs else [])
        for place, answers in enumerate(left):
            if not answers:
                continue
            (text, mass), *rest = answers
            same = {
                other
                for other in _comparable(answers)
                if next(verdicts).equivalent & next(verdicts).equivalent
            }
            left[place] = [other for other in rest if other not in same]
            mass = min(mass + sum(more for _, more in same), 1.0)
            together[place].append(Meaning(text=text, mass=mass))
    return [sorted(meanings, key=lambda meaning: -meaning.mass) for meanings in together]


def _comparable(answers: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """The answers after the first that could mean the same: an empty one means nothing else."""
    return [other for other in answers[1:] if other[0]] if answers and answers[0][0] else []


def _alike(beams: Beams) -> list[tuple[str, float]]:
    """Texts with the mass of all answers that read so, likeliest first."""
    masses: dict[str, float] = {}
    for text, mass in zip(beams.texts, beams.masses.tolist(), strict=True):
        masses[text.strip()] = masses.get(text.strip(), 0.0) + mass
    return sorted(masses.items(), key=lambda pair: -pair[1])


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Pair:
    question: str
    answers: Sequence[str]
    prediction: str
