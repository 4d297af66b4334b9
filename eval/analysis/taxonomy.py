"""The four kinds of wrong answers of Roberts et al. 2020, and the score that they would give.

Exact match calls an answer wrong that is right in other words, right but missing from the gold
answers, or an answer to a question that has none without a date or a page. With the wrong answers
sorted, the paper's section 3.2 (table 3) corrects the score:

    adjusted = (EM + false negatives) / (1 - unanswerable),  all as shares of all questions,

false negatives being the first two kinds. Unanswerable questions leave the count.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from closedbook.errors import UserError
from closedbook.eval.analysis.kinds import (
    Estimate,
    GroupEstimates,
    Kind,
    Odds,
    estimates,
    probabilities,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class KindShare:
    """How many of the wrong answers are of one kind."""

    kind: Kind
    asserted: bool  # False: nobody has looked, so the zero says nothing
    count: float  # labelled answers; without labels the expected number, which is no whole one
    share: Estimate  # of the wrong answers; of the labelled ones where labels are given


@dataclasses.dataclass(frozen=True, kw_only=True)
class FourWay:
    """The paper's table for one set of predictions."""

    labelled: bool  # by people; else by the judge
    n: int  # questions
    wrong: int  # of these, by exact match
    kinds: tuple[KindShare, ...]  # one for each kind; all zero if nothing is wrong
    em: Estimate
    adjusted: Estimate
    how: str  # one sentence on where the numbers come from

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return {
            "labelled": self.labelled,
            "n": self.n,
            "wrong": self.wrong,
            "rows": [
                {
                    "name": str(row.kind),
                    "asserted": row.asserted,
                    "count": row.count,
                    "share": row.share.mean,
                    "low": row.share.low,
                    "high": row.share.high,
                }
                for row in self.kinds
            ],
            "em": self.em.as_dict(),
            "adjusted": self.adjusted.as_dict(),
            "how": self.how,
        }


def adjusted_score(em: float, false_negatives: float, unanswerable: float) -> float:
    """The paper's formula; all arguments are shares of all questions, from 0 to 1.

    From the paper's exact match of 36.6% and its 150 wrong answers, of which 93 are true
    negatives, 20 phrasing, 20 incomplete and 17 unanswerable (62.0, 13.3, 13.3 and 11.3%):

    >>> wrong = 1 - 0.366
    >>> round(100 * adjusted_score(0.366, wrong * 40 / 150, wrong * 17 / 150), 2)
    57.65
    """
    return (em + false_negatives) / (1 - unanswerable)


def odds(
    correct: Sequence[bool] | np.ndarray,
    *,
    equivalent: Sequence[float] | np.ndarray,
    unanswerable: Sequence[float] | np.ndarray,
    labels: Sequence[Kind | None] | None = None,
) -> Odds:
    """Puts together what judges and people say of each row.

    An answer that says the same as a gold answer is one of phrasing also where the question is
    doubtful, so a row is unanswerable with probability (1 - equivalent) * unanswerable. Whether
    an annotation is incomplete no text at hand can say; without a label its probability is 0,
    and the adjusted score so far too low.

    Args:
        correct: Exact match.
        equivalent: Probability that the prediction means the same as a gold answer.
        unanswerable: Probability that the question has no answer as it stands.
        labels: Kinds that people gave, None where they gave none. Labels of correct rows are
            passed over: the table is one of wrong answers.
    """
    right = np.asarray(correct, bool)
    same = np.where(right, 0.0, np.clip(np.asarray(equivalent, np.float64), 0, 1))
    lost = np.where(right, 0.0, (1 - same) * np.clip(np.asarray(unanswerable, np.float64), 0, 1))
    missing = np.zeros(len(right))
    known = ~right
    if labels is not None:
        given = np.array([label is not None for label in labels], bool) & ~right
        for values, kind in (
            (same, Kind.PHRASING),
            (missing, Kind.INCOMPLETE),
            (lost, Kind.UNANSWERABLE),
        ):
            is_kind = np.array([label == kind for label in labels], bool)
            values[given] = is_kind[given]
        known = given
    return Odds(
        correct=right.astype(np.float64),
        phrasing=same,
        incomplete=missing,
        unanswerable=lost,
        known=known,
    )


def four_way(
    rows: Odds,
    *,
    labelled: bool,
    clusters: Sequence[int] | None = None,
    overall: GroupEstimates | None = None,
) -> FourWay:
    """The table of one set of predictions, with 95% intervals.

    Without labels a kind's count is the sum of its probabilities over the wrong rows, not the
    number of rows over a threshold: with calibrated probabilities the sum has no bias, whereas
    decisions miss more than they wrongly take in. The interval is a bootstrap over questions in
    which every drawn row also draws its kind from its probabilities, so that it holds the doubt
    of sampling and that of the judge about single rows: it is as wide as if people had labelled
    every row. It does not hold a judge that is wrong in one direction on this data: label a
    sample to find out.

    With labels the exact formula is taken, with shares of the labelled rows; where these are a
    sample of the wrong rows, it must be a random one.

    Args:
        rows: From `odds`.
        labelled: Whether people gave the labels.
        clusters: Number of each row's question, where rows share questions.
        overall: The estimates of all rows together, if they have been made already.

    Raises:
        UserError: People labelled none of the wrong rows.
    """
    wrong = int((rows.correct == 0).sum())
    count = int(rows.known.sum())
    if labelled and wrong and not count:
        raise UserError(
            "none of the labels is of a wrong prediction; label rows that exact match calls wrong"
        )
    if overall is None:
        overall = estimates(rows, np.ones((len(rows.correct), 1)), clusters=clusters)[0]
    chances = probabilities(rows)
    kinds = []
    for kind, share in zip(Kind, overall.shares, strict=True):
        total = float(chances[kind][rows.known].sum())
        asserted = labelled or kind != Kind.INCOMPLETE
        kinds.append(
            KindShare(
                kind=kind,
                asserted=asserted,
                count=round(total, 1),
                share=share if asserted else Estimate(mean=0.0, low=0.0, high=0.0),
            )
        )
    return FourWay(
        labelled=labelled,
        n=len(rows.correct),
        wrong=wrong,
        kinds=tuple(kinds),
        em=overall.em,
        adjusted=overall.adjusted,
        how=_how(labelled, count, wrong),
    )


def _how(labelled: bool, known: int, wrong: int) -> str:
    if labelled:
        sample = "all" if known == wrong else f"{known:,} of the {wrong:,}"
        return (
            f"people labelled {sample} wrong predictions; adjusted = (EM + phrasing + incomplete) "
            "/ (1 - unanswerable)"
        )
    return (
        "the judge's and the answerability check's probabilities, summed over the wrong "
        "predictions; incomplete annotations are not counted (see the candidates), so the "
        "adjusted score is a low one; intervals from a bootstrap over questions that also draws "
        "each prediction's kind from its probabilities"
    )
