"""Whether a prediction says the same as an expected answer, in other words or the same.

A verdict is a probability with a reason. Its evidence is taken from the texts alone (dates,
numbers, names, words: `closedbook.eval.evidence`); the weights of that evidence are learned from
human judgements, or, in the mode "rules", written by hand.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Protocol

from closedbook.errors import UserError, unknown_name
from closedbook.eval import explain, normalize, rules
from closedbook.eval.evidence import answer, features
from closedbook.eval.reasons import Reason

MODES = ("learned", "rules")
THRESHOLD = 0.5
"""The least probability of an equivalent answer."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether two answers say the same."""

    equivalent: bool
    probability: float  # that a human judge would say so
    reason: str  # a code of `closedbook.eval.reasons.Reason`
    evidence: str  # the words that show the reason


class Answered(Protocol):
    """A question with its answers and a model's prediction, for example a `Prediction`."""

    @property
    def question(self) -> str: ...
    @property
    def answers(self) -> Sequence[str]: ...
    @property
    def prediction(self) -> str: ...


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
    """Judges many predictions; see `judge`."""
    if mode not in MODES:
        raise unknown_name("mode", mode, MODES)
    return [_judge(row, place) for place, row in enumerate(rows, start=1)]


def _judge(row: Answered, place: int) -> Verdict:
    if not len(row.answers):
        raise UserError(
            f"row {place} ({row.question[:80]!r}) has no acceptable answers; give at least one, "
            "or leave it out"
        )
    shown = row.prediction[: answer.text.LIMIT]
    squad = normalize.squad(shown)
    for gold in row.answers:
        if normalize.squad(gold[: answer.text.LIMIT]) == squad and squad:
            evidence = f"{explain.quote(gold)} is the answer after SQuAD's normaliser"
            return Verdict(
                equivalent=True, probability=0.99, reason=Reason.EXACT, evidence=evidence
            )
    if not squad:
        return _wordless(row)
    question = answer.parse_question(row.question)
    golds = [answer.parse(gold) for gold in row.answers]
    given = answer.parse(row.prediction)
    found = features.of(question, golds, given)
    best = golds[found.best]
    probability = rules.probability(question, best, given, found)
    equivalent = probability >= THRESHOLD
    reason, evidence = explain.explain(question, best, given, found, equivalent)
    return Verdict(equivalent=equivalent, probability=probability, reason=reason, evidence=evidence)


def _wordless(row: Answered) -> Verdict:
    """The prediction is empty or holds signs alone: it must equal an answer to the letter."""
    same = row.prediction.strip() and row.prediction.strip() in [a.strip() for a in row.answers]
    return Verdict(
        equivalent=bool(same),
        probability=0.99 if same else 0.01,
        reason=Reason.EXACT if same else Reason.EMPTY,
        evidence="the same signs" if same else "the prediction has no words",
    )
