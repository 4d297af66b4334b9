"""What accepted answers of one analysed file count, and whether its score can be trusted."""

from collections.abc import Sequence

import numpy as np

from closedbook.eval.adjusted.doubts import doubts
from closedbook.eval.adjusted.errors import JudgeErrors
from closedbook.eval.adjusted.estimate import Trust, trust
from closedbook.eval.answerability.assessment import Answerability
from closedbook.eval.equivalence.reasons import Reason
from closedbook.eval.equivalence.verdicts import Verdict
from closedbook.eval.predictions import Prediction

_NOTHING_COMMON = (Reason.DIFFERENT, Reason.REFUSAL, Reason.EMPTY)


def of_file(
    rows: Sequence[Prediction],
    correct: Sequence[bool] | np.ndarray,
    verdicts: Sequence[Verdict],
    flags: Sequence[Answerability],
    errors: JudgeErrors | None,
) -> tuple[Trust, list[str]]:
    """What accepted answers count, and why the score cannot be trusted, in words.

    Args:
        rows: The predictions.
        correct: Exact match, of each row.
        verdicts: The judge's.
        flags: Of answerability.
        errors: The judge's, from `closedbook.eval.adjusted.load`.
    """
    why = doubts([row.question for row in rows], [row.prediction for row in rows], errors)
    found = trust(
        correct,
        [verdict.equivalent for verdict in verdicts],
        words=[len(row.prediction.split()) for row in rows],
        possible=[verdict.reason not in _NOTHING_COMMON for verdict in verdicts],
        scored=[flag.flag is None for flag in flags],
        errors=errors,
        bounds=bool(why),
    )
    return found, why
