"""Wrong answers sorted into kinds, and how often each kind occurs in a group of rows."""

import dataclasses
import enum
from collections.abc import Mapping, Sequence

import numpy as np

from closedbook.eval import intervals
from closedbook.eval.adjusted import estimate
from closedbook.eval.adjusted.estimate import Trust
from closedbook.eval.intervals import Estimate

_RESAMPLES = 1000  # of the paper's formula, for each group


class Kind(enum.StrEnum):
    """What a wrong answer is, in the words of the paper's table 3."""

    TRUE_NEGATIVE = "true negative"  # wrong
    PHRASING = "phrasing"  # the gold answer in other words
    INCOMPLETE = "incomplete"  # right, but not among the gold answers
    UNANSWERABLE = "unanswerable"  # no answer without a date, a place or a document


@dataclasses.dataclass(frozen=True, kw_only=True)
class SortedRows:
    """What is known of each row of a predictions file; every array is bool, [rows]."""

    correct: np.ndarray  # exact match
    kinds: Mapping[Kind, np.ndarray]  # a wrong row is of one kind, a correct row of none
    known: np.ndarray  # rows whose kind is counted: all wrong ones, or those that people labelled
    left_out: np.ndarray  # rows that leave the adjusted score; none where people labelled
    labelled: bool  # whether people gave the kinds
    clusters: np.ndarray  # int, [rows]: number of each row's question
    trust: Trust | None = None  # what an answer of phrasing counts; None: as much as a correct one

    @property
    def right(self) -> np.ndarray:
        """Rows that are correct, or right although exact match says no."""
        return self.correct | self.accepted

    @property
    def accepted(self) -> np.ndarray:
        """Rows that are right although exact match says no."""
        return self.kinds[Kind.PHRASING] | self.kinds[Kind.INCOMPLETE]

    @property
    def worth(self) -> np.ndarray:
        """What each row counts in the adjusted score, from 0 to 1, [rows]."""
        if self.trust is None or self.labelled:
            return self.right.astype(np.float64)
        return self.correct + self.accepted * self.trust.worth


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupEstimates:
    """What `estimates` says of one group of rows."""

    n: int
    em: Estimate
    adjusted: Estimate


def sort(
    correct: Sequence[bool] | np.ndarray,
    *,
    equivalent: Sequence[bool] | np.ndarray,
    flagged: Sequence[bool] | np.ndarray,
    labels: Sequence[Kind | None] | None = None,
    correcting: bool = False,
    clusters: Sequence[int] | np.ndarray | None = None,
    trust: Trust | None = None,
) -> SortedRows:
    """Sorts each wrong row by what people, the judge and the answerability check say of it.

    A label decides. Without one an answer that the judge calls equivalent is one of phrasing, also
    where the question is flagged; any other answer to a flagged question is unanswerable; the rest
    is wrong. The judge's verdict counts, not its probability: the small chance that an answer with
    nothing in common with the gold is right all the same is a chance of missing gold, which no
    text tells, and summed over thousands of rows it would make a score out of nothing.

    Args:
        correct: Exact match.
        equivalent: Whether the judge says that the prediction means the same as a gold answer.
        flagged: Whether the question has no answer as it stands.
        labels: Kinds that people gave, None where they gave none. Labels of correct rows are
            passed over.
        correcting: Whether labels only replace the verdicts of their rows; else they are of all
            wrong rows or of a random sample, and the others are not known.
        clusters: Number of each row's question; by default every row has a question of its own.
        trust: From `closedbook.eval.adjusted.trust`; without it phrasing counts in full, and the
            interval is that of drawing questions.
    """
    right = np.asarray(correct, bool)
    same = np.asarray(equivalent, bool) & ~right
    lost = np.asarray(flagged, bool) & ~right & ~same
    found = {
        Kind.TRUE_NEGATIVE: ~right & ~same & ~lost,
        Kind.PHRASING: same,
        Kind.INCOMPLETE: np.zeros(len(right), bool),
        Kind.UNANSWERABLE: lost,
    }
    known, left_out = ~right, np.asarray(flagged, bool)
    if labels is not None:
        told = np.array([label is not None for label in labels], bool) & ~right
        for kind, rows in found.items():
            rows[told] = np.array([label == kind for label in labels], bool)[told]
        if correcting:
            left_out[told] = found[Kind.UNANSWERABLE][told]
            trust = None if trust is None else estimate.sure(trust, told)
        else:
            known, left_out = told, np.zeros(len(right), bool)
    return SortedRows(
        correct=right,
        kinds=found,
        known=known,
        left_out=left_out,
        labelled=labels is not None and not correcting,
        clusters=np.arange(len(right)) if clusters is None else np.asarray(clusters),
        trust=trust,
    )


def adjusted_score(em: float, false_negatives: float, unanswerable: float) -> float:
    """The paper's formula; all arguments are shares of all questions, from 0 to 1.

    From the paper's exact match of 36.6% and its 150 wrong answers, of which 93 are true
    negatives, 20 phrasing, 20 incomplete and 17 unanswerable (62.0, 13.3, 13.3 and 11.3%):

    >>> wrong = 1 - 0.366
    >>> round(100 * adjusted_score(0.366, wrong * 40 / 150, wrong * 17 / 150), 2)
    57.65
    """
    return (em + false_negatives) / (1 - unanswerable)


def estimates(rows: SortedRows, group: np.ndarray) -> GroupEstimates:
    """Exact match and adjusted score of a group of rows, each with its 95% interval.

    The adjusted score is the share of rows that are right, of those whose question can be
    answered: flagged questions leave it, whether their answers are right or wrong. `rows.trust`
    says what phrasing counts, and how far the judge may err. Where people labelled, who look at
    wrong answers alone, it is the paper's formula.

    Args:
        rows: From `sort`.
        group: Which rows, bool, [rows]; at least one.
    """
    return GroupEstimates(
        n=int(group.sum()),
        em=intervals.share(rows.correct[group], clusters=rows.clusters[group]),
        adjusted=_by_formula(rows, group) if rows.labelled else _by_judge(rows, group),
    )


def shares(rows: SortedRows) -> dict[Kind, Estimate]:
    """The share of each kind among the wrong rows whose kind is known."""
    known, clusters = rows.known, rows.clusters
    return {
        kind: intervals.share(of_kind[known], clusters=clusters[known])
        for kind, of_kind in rows.kinds.items()
    }


def _by_judge(rows: SortedRows, group: np.ndarray) -> Estimate:
    """What the judge's verdicts make of the rows whose question is not flagged."""
    scored, clusters = group & ~rows.left_out, rows.clusters
    if rows.trust is None:
        return intervals.share(rows.right[scored], clusters=clusters[scored])
    return estimate.score(rows.correct, rows.accepted, scored, rows.trust, clusters=clusters)


def _by_formula(rows: SortedRows, group: np.ndarray) -> Estimate:
    """The paper's formula with a bootstrap over questions, no narrower than Wilson's interval.

    Shares of the labelled rows stand for all wrong ones. The bootstrap of three rows that are all
    wrong would claim to be certain.
    """
    missed = rows.kinds[Kind.PHRASING] | rows.kinds[Kind.INCOMPLETE]
    columns = (
        rows.correct,
        rows.known,
        rows.known & missed,
        rows.known & rows.kinds[Kind.UNANSWERABLE],
    )
    values = np.stack(columns, axis=1)[group].astype(np.float64)
    clusters = rows.clusters[group]
    [mean], [lost] = _formula(values.mean(axis=0, keepdims=True))
    if not np.isfinite(mean):
        return intervals.UNKNOWN
    drawn, _ = _formula(intervals.drawn_means(values, clusters=clusters, resamples=_RESAMPLES))
    drawn = drawn[np.isfinite(drawn)]
    trials = max(len(np.unique(clusters)) * (1 - lost), 1.0)
    surely = intervals.wilson(float(mean) * trials, trials)
    low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else surely
    return Estimate(
        mean=float(mean), low=min(float(low), surely.low), high=max(float(high), surely.high)
    )


def _formula(means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Adjusted scores and shares of unanswerable questions, each [n]; NaN where nothing is known.

    Args:
        means: Shares of the rows that are correct, known, known and missed by exact match, known
            and unanswerable: [n, 4].
    """
    em, known, missed, lost = means.T
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(em == 1, 0.0, (1 - em) / known)
        unanswerable = scale * lost
        return np.minimum(adjusted_score(em, scale * missed, unanswerable), 1.0), unanswerable
