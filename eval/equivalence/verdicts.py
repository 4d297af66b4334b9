"""Whether a prediction says the same as an expected answer, in other words or the same.

A verdict is a probability with a reason. Its evidence is taken from the texts alone (dates,
numbers, names, words: `closedbook.eval.equivalence.evidence`); the weights of that evidence are
learned from human judgements, or, in the mode "rules", written by hand.
"""

import contextlib
import dataclasses
import functools
import gc
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from closedbook.errors import UserError, unknown_name
from closedbook.eval import normalize
from closedbook.eval.equivalence import bounds, explain, rules, trees
from closedbook.eval.equivalence.evidence import answer, features, text
from closedbook.eval.equivalence.reasons import Reason
from closedbook.eval.summary import Answered

MODES = ("learned", "rules")
RULES_THRESHOLD = 0.5
WEIGHTS = pathlib.Path(__file__).parent / "weights" / "equivalence.json"
EXACT = 0.99
"""The probability of an exact match: of those, humans accept 99.8% (EVOUNA, 1,822 rows)."""
LIMIT = text.LIMIT


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether two answers say the same."""

    equivalent: bool
    probability: float  # that a human judge would say so
    reason: str  # a code of `closedbook.eval.equivalence.reasons.Reason`
    evidence: str  # the words that show the reason


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Row:
    question: str
    answers: Sequence[str]
    prediction: str


def judge(
    question: str, answers: str | Sequence[str], prediction: str, *, mode: str = "learned"
) -> Verdict:
    """Judges one prediction against the acceptable answer that fits best.

    Args:
        question: The question; may be empty.
        answers: Every acceptable answer; a string is one answer.
        prediction: The model's answer, short or a long text.
        mode: "learned", or "rules", which needs no weights.

    Raises:
        UserError: There are no answers, or the mode is unknown.

    >>> verdict = judge("when was it founded", ["April 15"], "April 15th", mode="rules")
    >>> verdict.equivalent, verdict.reason, verdict.evidence
    (True, 'date', "date: 'april 15' and 'april 15th' name the same time")
    """
    answers = (answers,) if isinstance(answers, str) else answers
    return judge_all([_Row(question=question, answers=answers, prediction=prediction)], mode=mode)[
        0
    ]


def judge_all(rows: Iterable[Answered], *, mode: str = "learned") -> list[Verdict]:
    """Judges many predictions at once, which is faster than one by one; see `judge`."""
    if mode not in MODES:
        raise unknown_name("mode", mode, MODES)
    with _collector_at_rest():
        return _judged(rows, mode)


@contextlib.contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Keeps Python's garbage collector off while many answers are made.

    It looks for objects that refer to one another in a circle. Answers never do, and the search
    takes a third of the judge's time.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            if not gc.get_freeze_count():
                # Both together mark what was made as old, so that the next search passes it over.
                gc.freeze()
                gc.unfreeze()
            gc.enable()


def _judged(rows: Iterable[Answered], mode: str) -> list[Verdict]:
    verdicts: list[Verdict | None] = []
    open_rows: list[_Open] = []
    for place, row in enumerate(rows):
        if not len(row.answers):
            raise UserError(
                f"row {place + 1} ({row.question[:80]!r}) has no acceptable answers; give at "
                "least one, or leave it out"
            )
        verdict = plain(row)
        verdicts.append(verdict)
        if verdict is None:
            open_rows.append(_collect(place, row))
    least = threshold(mode)
    for found, probability in zip(open_rows, _probabilities(open_rows, mode), strict=True):
        verdicts[found.place] = _verdict(found, probability, least)
    return [verdict for verdict in verdicts if verdict is not None]


def threshold(mode: str = "learned") -> float:
    """The least probability of an equivalent answer."""
    return RULES_THRESHOLD if mode == "rules" else weights().decision


@functools.cache
def weights() -> trees.Trees:
    """The learned weights, as they are shipped."""
    return trees.load(WEIGHTS, features.NAMES)


class _Open(NamedTuple):
    """A row whose evidence must be weighed."""

    place: int
    question: answer.Question
    gold: answer.Answer
    given: answer.Answer
    row: features.Row
    bounds: bounds.Bounds


def plain(row: Answered) -> Verdict | None:
    """The verdict where exact match or a lack of words decides; None for all other rows."""
    prediction = row.prediction[:LIMIT]
    squad = normalize.squad(prediction)
    if not squad:
        return _wordless(row)
    for gold in row.answers:
        if gold == prediction or (
            normalize.squad(gold[:LIMIT]) == squad and not _lost_point(gold, prediction)
        ):
            evidence = f"{explain.quote(gold)} is the answer after SQuAD's normaliser"
            return Verdict(
                equivalent=True, probability=EXACT, reason=Reason.EXACT.value, evidence=evidence
            )
    return None


def _lost_point(gold: str, prediction: str) -> bool:
    """Whether SQuAD's normaliser made two numbers one: 1.5 and 15."""
    if "." not in gold and "." not in prediction:
        return False
    a, b = answer.parse(gold[:LIMIT]).numbers, answer.parse(prediction).numbers
    return {number.value for number in a} != {number.value for number in b}


def _wordless(row: Answered) -> Verdict:
    """The prediction is empty or holds signs alone: it must equal an answer to the letter."""
    shown = row.prediction.strip()
    same = bool(shown) and shown in [gold.strip() for gold in row.answers]
    return Verdict(
        equivalent=same,
        probability=EXACT if same else 1 - EXACT,
        reason=(Reason.EXACT if same else Reason.EMPTY).value,
        evidence="the same signs" if same else "the prediction has no words",
    )


def _collect(place: int, row: Answered) -> _Open:
    question = answer.parse_question(row.question)
    given = answer.parse(row.prediction[:LIMIT])
    golds = [answer.parse(gold[:LIMIT]) for gold in row.answers]
    found = features.of(question, golds, given)
    held = bounds.find(question, golds, given, found)
    return _Open(place, question, golds[found.best], given, found, held)


def _probabilities(rows: Sequence[_Open], mode: str) -> Sequence[float]:
    if mode == "rules":
        return [rules.probability(row.question, row.gold, row.given, row.row) for row in rows]
    learned = weights()
    values = [row.row.values for row in rows if row.row.values is not None]
    if not values:
        return [learned.nothing] * len(rows)
    weighed = iter(learned.probability(np.array(values, np.float32)).tolist())
    return [learned.nothing if row.row.values is None else next(weighed) for row in rows]


def _verdict(found: _Open, probability: float, decision: float) -> Verdict:
    low, high, reason = found.bounds
    held = min(max(probability, low), high)
    equivalent = held >= decision
    if held == probability and (reason is None or (low > 0) != equivalent):
        reason = None  # the weights said so themselves, and may know a better reason
    code, evidence = explain.explain(found.gold, found.given, found.row, equivalent, reason)
    if len(found.given.raw) >= LIMIT:
        evidence += f" (only the first {LIMIT:,} characters are read)"
    return Verdict(equivalent=equivalent, probability=held, reason=code._value_, evidence=evidence)
