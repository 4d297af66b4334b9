"""SimpleQA's three shares and its F1, by the judge's verdicts (Wei et al. 2024).

An answer is correct, incorrect or not attempted. With C the share of correct answers among all
and A that among the attempted ones,

    F1 = 2 C A / (C + A), and 0 where both are 0,

as `simpleqa_eval.py` of openai/simple-evals has it. There a language model grades; here the judge.
"""

import dataclasses
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from closedbook.errors import UserError
from closedbook.eval import intervals
from closedbook.eval.equivalence import verdicts
from closedbook.eval.equivalence.reasons import Grade
from closedbook.eval.intervals import Estimate
from closedbook.eval.summary import Answered, question_keys

NAME = "simpleqa"
"""As `--protocol` has it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shares:
    """The grades of n rows; shares from 0 to 1 with 95% intervals, which draw whole questions."""

    n: int  # rows
    questions: int  # distinct ones
    correct: Estimate  # of all rows
    incorrect: Estimate
    not_attempted: Estimate
    attempted_correct: Estimate  # correct ones of the attempted; unknown where none is
    f1: Estimate  # harmonic mean of `correct` and `attempted_correct`
    protocol: str = NAME

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return dataclasses.asdict(self)

    def shares(self) -> tuple[tuple[str, Estimate], ...]:
        """The values with their names, as reports show them."""
        return (
            ("Correct", self.correct),
            ("Incorrect", self.incorrect),
            ("Not attempted", self.not_attempted),
            ("Correct of attempted", self.attempted_correct),
            ("F1", self.f1),
        )

    def __str__(self) -> str:
        parts = [
            f"{name} {100 * each.mean:.1f} [{100 * each.low:.1f}, {100 * each.high:.1f}]"
            for name, each in self.shares()
        ]
        return f"{'  '.join(parts)}  n {self.n:,}  ({self.protocol}, 95% intervals)"


def score_all(rows: Sequence[Answered], mode: str = "learned") -> Shares:
    """Judges predictions and sums up their grades.

    Args:
        rows: Questions with answers and predictions.
        mode: "learned", or "rules", which needs no weights.

    Raises:
        UserError: There are no rows, a row has no answers, or the mode is unknown.

    >>> from closedbook.eval.predictions import Prediction
    >>> given = [Prediction(question="capital of france", answers=("Paris",), prediction=text)
    ...          for text in ("paris", "Lyon", "I don't know.", "It is Paris, not Lyon.")]
    >>> found = score_all(given)
    >>> found.correct.mean, found.incorrect.mean, found.not_attempted.mean
    (0.5, 0.25, 0.25)
    >>> round(found.f1.mean, 4)  # of 2/4 and 2/3
    0.5714
    """
    if not len(rows):
        raise UserError("there are no predictions to score; give at least one")
    found = verdicts.judge_all(rows, mode=mode)
    return of_grades([verdict.grade for verdict in found], question_keys(rows))


def of_grades(grades: Sequence[Grade], clusters: Sequence[Hashable]) -> Shares:
    """The shares of rows that are graded already.

    Args:
        grades: One per row, one at least.
        clusters: What says which rows share a question, one key per row.
    """
    correct, incorrect, skipped = (
        np.array([grade is each for grade in grades])
        for each in (Grade.CORRECT, Grade.INCORRECT, Grade.NOT_ATTEMPTED)
    )
    tried = [key for key, skip in zip(clusters, skipped, strict=True) if not skip]
    attempted = correct[~skipped]
    # C = right / rows and A = right / attempted, so that F1 = 2 right / (rows + attempted): a share
    # of both together.
    pooled = intervals.share(np.concatenate([correct, attempted]), clusters=[*clusters, *tried])
    return Shares(
        n=len(grades),
        questions=len(set(clusters)),
        correct=intervals.share(correct, clusters=clusters),
        incorrect=intervals.share(incorrect, clusters=clusters),
        not_attempted=intervals.share(skipped, clusters=clusters),
        attempted_correct=intervals.share(attempted, clusters=tried),
        f1=pooled,
    )
