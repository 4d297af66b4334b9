"""The threshold of a score from which on a model may answer, by Learn then Test.

The share of wrong answers among those given need not fall as the threshold rises, so each
threshold is tested for itself, and the family of tests holds the error rate together.
Source: Angelopoulos, Bates, Candès, Jordan, Lei 2021, "Learn then Test": fixed sequence testing,
its order learned on other questions; false discoveries of selective classification by binomial
tails.
"""

import dataclasses
import math

import numpy as np

_LEARNED = 0.25  # of the questions, from which the order of the tests is learned
_MOST = 50  # thresholds that are tested


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scored:
    """Answers with what says how sure the model was; arrays of one length, [n]."""

    surety: np.ndarray  # float64, larger is surer
    wrong: np.ndarray  # bool
    questions: np.ndarray  # int, from 0: the number of each answer's question

    def at(self, rows: np.ndarray) -> "Scored":
        """Some of the rows: bool [n], or their numbers."""
        return Scored(
            surety=self.surety[rows], wrong=self.wrong[rows], questions=self.questions[rows]
        )

    def of(self, chosen: np.ndarray) -> "Scored":
        """The answers to the questions that are chosen, bool [questions]."""
        return self.at(chosen[self.questions])

    def risk_from(self, threshold: float) -> float:
        """The share of wrong answers among those from a threshold on; 0 where there are none."""
        given = self.surety >= threshold
        return float(self.wrong[given].mean()) if given.any() else 0.0

    def coverage_from(self, threshold: float) -> float:
        """The share of answers that are given."""
        return float((self.surety >= threshold).mean())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tested:
    """A threshold that passed, and the answers on which it was tested."""

    threshold: float  # answers from this surety on are given; -inf: all are
    rows: int  # answers on which it was tested
    given: int  # of them
    wrong: int  # of those given
    p: float


def find(scored: Scored, *, risk: float, delta: float, most: int, seed: int = 0) -> Tested | None:
    """The lowest threshold that passes.

    A quarter of the questions, drawn at random, says which thresholds to test (quantiles of the
    surety) and where to begin (where the answers given look best for the number of them). The
    others test them from there down, one after another, each at level delta, until one fails. The
    thresholds are fixed before the tests see an answer, so with probability of at least 1 - delta
    no threshold passes that has a share of wrong answers above `risk` in the population.

    Where questions have several answers, the tests see at most one of each, drawn at random: a
    question with k answers is taken with probability k / most, so that every answer has the same
    chance and no two depend on each other.

    Args:
        scored: The answers; questions are drawn independently of each other.
        risk: The highest share of wrong answers among those given, above 0 and below 1.
        delta: The highest probability of breaking it, above 0 and below 1.
        most: Answers that a question has at most, in all that the answers were drawn from.
        seed: Of what is drawn.

    Returns:
        None where no threshold passes.
    """
    random = np.random.default_rng(seed)
    present, numbers = np.unique(scored.questions, return_inverse=True)
    learned = np.zeros(len(present), bool)
    learned[random.permutation(len(present))[: int(_LEARNED * len(present))]] = True
    rest = scored.at(_one_each(numbers, most, random, ~learned))
    order = np.argsort(-rest.surety, kind="stable")
    surety = rest.surety[order]
    wrong_among = np.concatenate([[0], np.cumsum(rest.wrong[order])])
    found = None
    for threshold in _sequence(scored.at(learned[numbers]), risk):
        given = int(np.searchsorted(-surety, -threshold, side="right"))
        wrong = int(wrong_among[given])
        p = tail(wrong, given, risk)
        if p > delta:
            break
        found = Tested(threshold=threshold, rows=len(surety), given=given, wrong=wrong, p=p)
    return found


def tail(wrong: int, given: int, risk: float) -> float:
    """The chance of so few wrong answers or fewer, were each wrong with probability `risk`.

        P(X <= wrong),  X ~ Binomial(given, risk)

    It is at most delta exactly where the upper end of Clopper and Pearson's one-sided interval with
    confidence 1 - delta is at most `risk`, and a p value of the claim that the share of wrong
    answers among those given is above `risk`, exact for any number of them.
    Source: Clopper and Pearson 1934.

    Args:
        wrong: Wrong answers among those given.
        given: Answers given; with none nothing is known, and p is 1.
        risk: Above 0 and below 1.

    >>> round(tail(0, 22, 0.1), 4), tail(0, 0, 0.1)
    (0.0985, 1.0)
    >>> round(tail(1, 2, 0.5), 4), tail(2, 2, 0.5)
    (0.75, 1.0)
    """
    if wrong >= given:
        return 1.0
    i = np.arange(1, wrong + 1)
    # Logarithms of the binomial coefficients: the numbers themselves leave floats at n = 1030.
    choose = np.concatenate([[0.0], np.cumsum(np.log((given - i + 1) / i))])
    i = np.arange(wrong + 1)
    logs = choose + i * math.log(risk) + (given - i) * math.log1p(-risk)
    top = float(logs.max())
    return min(1.0, float(np.exp(logs - top).sum()) * math.exp(top))


def _one_each(
    numbers: np.ndarray, most: int, random: np.random.Generator, chosen: np.ndarray
) -> np.ndarray:
    """Numbers of rows, at most one per chosen question, every row as likely as every other.

    Args:
        numbers: The question of each row, from 0, [rows].
        most: Rows that a question has at most.
        random: Draws.
        chosen: bool [questions].
    """
    mixed = random.permutation(len(numbers))
    first = mixed[np.unique(numbers[mixed], return_index=True)[1]]  # of each question, in order
    sizes = np.bincount(numbers)
    return first[chosen & (random.random(len(sizes)) * most < sizes)]


def _sequence(learned: Scored, risk: float) -> list[float]:
    """Thresholds in the order of the tests, the highest first; -inf, for all answers, last."""
    if not len(learned.surety):
        return [-math.inf]
    order = np.argsort(-learned.surety, kind="stable")
    surety = learned.surety[order]
    places = np.linspace(0, len(surety) - 1, min(_MOST, len(surety))).round().astype(int)
    thresholds = np.unique(surety[places])[::-1]
    given = np.searchsorted(-surety, -thresholds, side="right")
    wrong = np.cumsum(learned.wrong[order])[given - 1]
    # As if two more answers had been wrong as often as allowed: few say little.
    promise = (risk - (wrong + 2 * risk) / (given + 2)) * np.sqrt(given)
    return [*thresholds[int(np.argmax(promise)) :].tolist(), -math.inf]
