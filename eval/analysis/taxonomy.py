"""The four kinds of wrong answers of Roberts et al. 2020, and the score that they would give.

Exact match calls an answer wrong that is right in other words, right but missing from the gold
answers, or an answer to a question that has none without a date or a page. With the wrong answers
sorted, the paper's section 3.2 (table 3) corrects the score:

    adjusted = (EM + false negatives) / (1 - unanswerable),  all as shares of all questions,

false negatives being the first two kinds. People labelled wrong answers alone, so only these can
leave the paper's count. Where no people label, flagged questions leave it whether their answers
are right or wrong:

    adjusted = (EM + phrasing) / n,  all as numbers of questions that are not flagged.
"""

import dataclasses

import numpy as np

from closedbook.errors import UserError
from closedbook.eval.analysis.kinds import Kind, SortedRows, estimates, shares
from closedbook.eval.intervals import Estimate


@dataclasses.dataclass(frozen=True, kw_only=True)
class KindShare:
    """How many of the wrong answers are of one kind."""

    name: Kind
    asserted: bool  # False: nobody has looked, so the zero says nothing
    count: int  # of wrong answers; of the labelled ones where labels are given
    share: float  # of the same
    low: float  # of the share's 95% interval
    high: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class FourWay:
    """The paper's table for one set of predictions."""

    labelled: bool  # by people; else by the judge and the answerability check
    n: int  # questions
    wrong: int  # of these, by exact match
    rows: tuple[KindShare, ...]  # one per kind; all zero if nothing is wrong
    em: Estimate
    adjusted: Estimate
    how: str  # one sentence on where the numbers come from


def four_way(rows: SortedRows) -> FourWay:
    """The table of one set of predictions, with 95% intervals.

    The intervals are those of drawing questions. They do not hold what the judge or the
    answerability check get wrong on this data: label a sample to find out. Where labels are of a
    sample of the wrong rows, it must be a random one.

    Args:
        rows: From `closedbook.eval.analysis.kinds.sort`.

    Raises:
        UserError: People labelled none of the wrong rows.
    """
    wrong = int((~rows.correct).sum())
    if rows.labelled and wrong and not rows.known.any():
        raise UserError(
            "none of the labels is of a wrong prediction; label rows that exact match calls wrong"
        )
    overall = estimates(rows, np.ones(len(rows.correct), bool))
    kinds = []
    for kind, found in shares(rows).items():
        asserted = rows.labelled or kind != Kind.INCOMPLETE
        share = found if asserted else Estimate(mean=0.0, low=0.0, high=0.0)
        kinds.append(
            KindShare(
                name=kind,
                asserted=asserted,
                count=int((rows.kinds[kind] & rows.known).sum()),
                share=share.mean,
                low=share.low,
                high=share.high,
            )
        )
    return FourWay(
        labelled=rows.labelled,
        n=len(rows.correct),
        wrong=wrong,
        rows=tuple(kinds),
        em=overall.em,
        adjusted=overall.adjusted,
        how=_how(rows),
    )


def _how(rows: SortedRows) -> str:
    wrong = int((~rows.correct).sum())
    if rows.labelled:
        known = int(rows.known.sum())
        sample = "all" if known == wrong else f"{known:,} of the {wrong:,}"
        return (
            f"people labelled {sample} wrong predictions; adjusted = (EM + phrasing + incomplete) "
            "/ (1 - unanswerable)"
        )
    scored = ~rows.left_out
    exact, other = (int((scored & of).sum()) for of in (rows.correct, rows.kinds[Kind.PHRASING]))
    return (
        "phrasing is what the judge calls a gold answer in other words, unanswerable are the other "
        f"wrong answers to flagged questions; the adjusted score leaves out all "
        f"{int(rows.left_out.sum()):,} flagged questions, right or wrong, and counts {exact:,} "
        f"exact matches and {other:,} answers of phrasing among the other {int(scored.sum()):,}; "
        "answers that may be right but missing from the gold are listed for review and count as "
        "wrong; intervals are those of drawing questions and do not hold the judge's own errors"
    )
