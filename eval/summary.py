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
    def answers(self) -> Sequence[str]: ...
    @property
    def prediction(self) -> str: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """Exact match and F1 of n questions under one protocol; values and intervals from 0 to 100."""

    protocol: str  # the normaliser: a score means something only beside it
    n: int
    em: float
    em_interval: intervals.Interval  # 95%, Wilson
    f1: float
    f1_interval: intervals.Interval  # 95%, percentile bootstrap

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values, intervals as pairs."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(self).items()
        }

    def __str__(self) -> str:
        return (
            f"exact match {self.em:.1f} [{self.em_interval.low:.1f}, {self.em_interval.high:.1f}]"
            f"  F1 {self.f1:.1f} [{self.f1_interval.low:.1f}, {self.f1_interval.high:.1f}]"
            f"  n {self.n:,}  ({self.protocol}, 95% intervals)"
        )


def score_all(rows: Sequence[Answered], protocol: str) -> Summary:
    """Scores predictions under one protocol.

    Args:
        rows: Questions with answers and predictions, as `closedbook.eval.predictions.read` gives.
        protocol: The normaliser's name: "squad", "trivia_qa" or "nq_open".

    Raises:
        UserError: There are no rows, a row has no answers, or the protocol is unknown.

    >>> from closedbook.eval.predictions import Prediction
    >>> row = Prediction(question="capital of France?", answers=("Paris",), prediction="paris")
    >>> print(score_all([row] * 4, "squad"))
    exact match 100.0 [51.0, 100.0]  F1 100.0 [100.0, 100.0]  n 4  (squad, 95% intervals)
    """
    if not len(rows):
        raise UserError("there are no predictions to score; give at least one")
    scores = [metrics.score(row.prediction, row.answers, protocol) for row in rows]
    right = sum(score.em == 100 for score in scores)
    f1 = np.array([score.f1 for score in scores])
    low, high = intervals.wilson(right, len(scores))
    return Summary(
        protocol=protocol,
        n=len(scores),
        em=100 * right / len(scores),
        em_interval=intervals.Interval(100 * low, 100 * high),
        f1=float(f1.mean()),
        f1_interval=intervals.bootstrap(f1),
    )
