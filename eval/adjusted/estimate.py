"""From verdicts to a score: what an accepted answer counts, and the interval around it.

Counting verdicts is right within a point where a judge's false alarms and misses weigh each other
out, as they do for the systems that it was validated on. Of a weak system most of what it accepts
are false alarms. So where it accepts fewer answers than of any validated system, an accepted one
counts less, on a line that ends where only false alarms would be accepted:

    worth = l (a - f) / (l - f) / a,   f < a < l,

a being the share that it accepts of the answers which exact match calls wrong, f its share of
false alarms, l the least share that it accepted of a validated system; all for answers of like
length. a is the upper end of its interval, so that a small file is not corrected by its noise.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from closedbook.eval import intervals
from closedbook.eval.adjusted import errors as judge_errors
from closedbook.eval.adjusted.errors import JudgeErrors
from closedbook.eval.intervals import Estimate


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trust:
    """What accepted answers of one file count; arrays are of all its rows, [rows]."""

    worth: np.ndarray  # 0 to 1; what a row counts if the judge accepts it
    least: np.ndarray  # the same at the most false alarms that another system may have
    most: np.ndarray  # and at the fewest
    possible: np.ndarray  # bool; right, or with anything in common with a gold answer
    errors: JudgeErrors | None  # None: the judge's are not known
    bounds: bool  # whether the estimate cannot be trusted and its interval is of bounds alone


def trust(
    correct: Sequence[bool] | np.ndarray,
    accepted: Sequence[bool] | np.ndarray,
    *,
    words: Sequence[int] | np.ndarray,
    possible: Sequence[bool] | np.ndarray,
    scored: Sequence[bool] | np.ndarray,
    errors: JudgeErrors | None,
    bounds: bool = False,
) -> Trust:
    """What accepted answers of a file count.

    Args:
        correct: Exact match, [rows].
        accepted: Whether the judge accepts the answer, [rows].
        words: Of the prediction, [rows].
        possible: Whether the answer has anything in common with a gold answer, [rows].
        scored: Rows whose question is not flagged, [rows].
        errors: The judge's.
        bounds: Whether to give bounds in place of an interval.
    """
    right = np.asarray(correct, bool)
    lengths = judge_errors.places(words)
    worth, least, most = (np.ones(len(right)) for _ in range(3))
    for place, of in enumerate(errors.lengths if errors else ()):
        open_ = ~right & (lengths == place)
        seen = open_ & np.asarray(scored, bool)
        counts = int((seen & np.asarray(accepted, bool)).sum()), int(seen.sum())
        for column, alarms in (
            (worth, of.false_alarms),
            (least, of.false_alarms + of.give),
            (most, max(of.false_alarms - of.give, 0.0)),
        ):
            column[open_] = _worth(*counts, alarms, of.least)
    return Trust(
        worth=worth,
        least=least,
        most=most,
        possible=right | np.asarray(accepted, bool) | np.asarray(possible, bool),
        errors=errors,
        bounds=bounds,
    )


def sure(found: Trust, rows: np.ndarray) -> Trust:
    """The same, but that answers in some rows, bool [rows], count in full: people accepted them."""
    return dataclasses.replace(
        found,
        worth=np.where(rows, 1.0, found.worth),
        least=np.where(rows, 1.0, found.least),
        most=np.where(rows, 1.0, found.most),
        possible=found.possible | rows,
    )


def _worth(accepted: int, n: int, alarms: float, least: float) -> float:
    """What one accepted answer counts.

    >>> _worth(700, 1000, 0.1, 0.6), _worth(50, 1000, 0.1, 0.6)
    (1.0, 0.0)
    >>> round(_worth(350_000, 1_000_000, 0.1, 0.6), 2)  # halfway: 0.3 of 0.35 are right
    0.86
    """
    if not n:
        return 1.0
    share = intervals.wilson(accepted, n).high
    if share >= least:
        return 1.0
    if share <= alarms:
        return 0.0
    return least * (share - alarms) / (least - alarms) / share


def score(
    correct: np.ndarray,
    accepted: np.ndarray,
    group: np.ndarray,
    found: Trust,
    *,
    clusters: np.ndarray,
) -> Estimate:
    """The adjusted score of a group of rows with its 95% interval.

    The interval holds the drawing of questions, the judge's errors about a system that it has not
    seen, those of the check of answerability, and, where accepted answers count less, what is not
    known of the judge's false alarms. Half-widths add as their squares do, but for the last, which
    is the same judge's error again and is added to it. Where the estimate
    cannot be trusted its ends are bounds: exact match alone, and every answer that has anything in
    common with a gold answer, both with the drawing of questions.

    Args:
        correct: Exact match, bool [rows].
        accepted: Not correct, and the judge accepts the answer; bool [rows].
        group: Which rows, bool [rows].
        found: From `trust`.
        clusters: Number of each row's question, [rows].
    """
    if not group.any():
        return intervals.UNKNOWN
    exact, other, of = correct[group], accepted[group], clusters[group]
    values = exact + other * found.worth[group]
    drawn = _mean(values, of)
    if found.bounds:
        floor = intervals.share(exact, clusters=of)
        top = intervals.share(found.possible[group], clusters=of)
        return Estimate(mean=drawn.mean, low=floor.low, high=top.high)
    if found.errors is None:
        return drawn
    open_ = float((~exact).mean())
    share = float(other.sum() / max(int((~exact).sum()), 1))
    judge = found.errors.judge * open_ * math.sqrt(share * (1 - share))
    check = found.errors.check * math.sqrt(drawn.mean * (1 - drawn.mean))
    down, up = (
        abs(float((other * (ends[group] - found.worth[group])).mean()))
        for ends in (found.least, found.most)
    )
    low = drawn.mean - math.hypot(drawn.mean - drawn.low, check, judge + down)
    high = drawn.mean + math.hypot(drawn.high - drawn.mean, check, judge + up)
    return Estimate(mean=drawn.mean, low=max(low, 0.0), high=min(high, 1.0))


def _mean(values: np.ndarray, clusters: np.ndarray) -> Estimate:
    if np.isin(values, (0.0, 1.0)).all():
        return intervals.share(values == 1, clusters=clusters)
    low, high = intervals.of_mean(values, clusters=clusters)
    return Estimate(mean=float(values.mean()), low=low, high=high)
