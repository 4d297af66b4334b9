"""The score of a set of predictions: exact match and F1, each with n and a 95% interval."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from closedbook.errors import UserError
from closedbook.eval import intervals, metrics


class Answered(Protocol):
    """A question with its answers and a model's prediction, for example a `Prediction`."""

    @property
    def question(self) -> str: ...
    @property
    def answers(self) -> Sequence[str]: ...
    @property
    def prediction(self) -> str: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """Exact match and F1 of n rows under one protocol; values and intervals from 0 to 100."""

    protocol: str  # a score means something only beside it
    n: int  # rows
    questions: int  # distinct ones; fewer than rows: the intervals draw whole questions
    em: float
    # 95%: Wilson's; where rows share a question, the bootstrap's over questions.
    em_interval: intervals.Interval
    f1: float | None  # None where the protocol has none
    f1_interval: intervals.Interval | None  # 95%, percentile bootstrap

    @property
    def mean(self) -> float:
        """Exact match, the headline of every protocol."""
        return self.em

    @property
    def interval(self) -> intervals.Interval:
        """The 95% interval of `mean`."""
        return self.em_interval

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values, intervals as pairs."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(self).items()
        }

    def __str__(self) -> str:
        f1 = ""
        if self.f1 is not None and self.f1_interval is not None:
            f1 = f"  F1 {self.f1:.1f} [{self.f1_interval.low:.1f}, {self.f1_interval.high:.1f}]"
        return (
            f"exact match {self.em:.1f} [{self.em_interval.low:.1f}, {self.em_interval.high:.1f}]"
            f"{f1}  n {self.n:,}  ({self.protocol}, 95% intervals)"
        )


def score_all(rows: Sequence[Answered], protocol: str = "squad") -> Summary:
    """Scores predictions under one protocol.

    Args:
        rows: Questions with answers and predictions, as `closedbook.eval.predictions.read` gives.
        protocol: One of `closedbook.eval.protocols.PROTOCOLS`.

    Raises:
        UserError: There are no rows, a row has no answers, or the protocol is unknown.

    >>> from closedbook.eval.predictions import Prediction
    >>> row = Prediction(question="", answers=("Paris",), prediction="paris")
    >>> print(score_all([row] * 4, "squad"))
    exact match 100.0 [51.0, 100.0]  F1 100.0 [51.0, 100.0]  n 4  (squad, 95% intervals)
    """
    if not len(rows):
        raise UserError("there are no predictions to score; give at least one")
    scores = [metrics.score(row.prediction, row.answers, protocol) for row in rows]
    return of_scores(rows, scores, protocol)


def of_scores(rows: Sequence[Answered], scores: Sequence[metrics.Score], protocol: str) -> Summary:
    """`score_all` of rows that have been scored already, one score per row."""
    clusters = question_keys(rows)
    em = intervals.share([score.em == 100 for score in scores], clusters=clusters)
    f1 = np.array([score.f1 for score in scores if score.f1 is not None])
    return Summary(
        protocol=protocol,
        n=len(scores),
        questions=len(set(clusters)),
        em=100 * em.mean,
        em_interval=intervals.Interval(100 * em.low, 100 * em.high),
        f1=float(f1.mean()) if len(f1) else None,
        f1_interval=intervals.of_mean(f1, top=100.0, clusters=clusters) if len(f1) else None,
    )


def question_keys(rows: Sequence[Answered]) -> list[str | int]:
    """What says which rows share a question: its text without case and spacing.

    A row without a question stands for itself.
    """
    return [" ".join(row.question.lower().split()) or number for number, row in enumerate(rows)]
