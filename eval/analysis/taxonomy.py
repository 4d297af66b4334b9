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
from collections.abc import Sequence

import numpy as np

from closedbook.errors import UserError
from closedbook.eval.adjusted.estimate import Trust
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
class Counted:
    """Rows of one outcome, apart by whether their question is flagged."""

    name: str
    answerable: int  # rows that the adjusted score counts
    flagged: int  # rows that leave it
    total: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class FourWay:
    """The paper's table for one set of predictions."""

    labelled: bool  # by people; else by the judge and the answerability check
    n: int  # questions
    wrong: int  # of these, by exact match
    rows: tuple[KindShare, ...]  # one per kind; all zero if nothing is wrong
    em: Estimate
    adjusted: Estimate
    how: str  # where the numbers come from, in sentences without the last full stop
    counts: tuple[Counted, ...] = ()  # how the score follows; of judged rows, the sum last
    doubts: tuple[str, ...] = ()  # why the estimate cannot be trusted, and its ends are bounds


def four_way(rows: SortedRows, doubts: Sequence[str] = ()) -> FourWay:
    """The table of one set of predictions, with 95% intervals.

    The intervals of shares are those of drawing questions; that of the adjusted score holds the
    judge's errors too, where they have been measured (`closedbook.eval.adjusted`). Where labels
    are of a sample of the wrong rows, it must be a random one.

    Args:
        rows: From `closedbook.eval.analysis.kinds.sort`.
        doubts: Why the estimate cannot be trusted, in words.

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
        # Without people's word nobody has looked for what is missing from the gold.
        asserted = rows.labelled or kind != Kind.INCOMPLETE or bool(rows.kinds[kind].any())
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
        counts=() if rows.labelled else _counts(rows),
        doubts=tuple(doubts),
    )


def _counts(rows: SortedRows) -> tuple[Counted, ...]:
    wrong = rows.kinds[Kind.TRUE_NEGATIVE] | rows.kinds[Kind.UNANSWERABLE]
    incomplete = rows.kinds[Kind.INCOMPLETE]
    outcomes = (
        ("exact match", rows.correct),
        (str(Kind.PHRASING), rows.kinds[Kind.PHRASING]),
        *([(f"{Kind.INCOMPLETE}, people say", incomplete)] if incomplete.any() else []),
        ("other wrong answers", wrong),
        ("all", np.ones(len(rows.correct), bool)),
    )
    return tuple(
        Counted(
            name=name,
            answerable=int((of & ~rows.left_out).sum()),
            flagged=int((of & rows.left_out).sum()),
            total=int(of.sum()),
        )
        for name, of in outcomes
    )


def _how(rows: SortedRows) -> str:
    if rows.labelled:
        wrong = int((~rows.correct).sum())
        known = int(rows.known.sum())
        sample = "all" if known == wrong else f"{known:,} of the {wrong:,}"
        return (
            f"people labelled {sample} wrong predictions; adjusted = (EM + phrasing + incomplete) "
            "/ (1 - unanswerable)"
        )
    exact, other, *found, failed, every = _counts(rows)
    missing = f", {found[0].answerable:,} that people found right" if found else ""
    return (
        "phrasing is what the judge calls a gold answer in other words; unanswerable are the other "
        "wrong answers to flagged questions. The adjusted score leaves out all "
        f"{every.flagged:,} answers to flagged questions: {exact.flagged:,} exact matches, "
        f"{other.flagged:,} answers of phrasing, {failed.flagged:,} unanswerable. It counts "
        f"{exact.answerable:,} exact matches and {other.answerable:,} answers of phrasing"
        f"{missing} among the other {every.answerable:,}"
        f"{_of_phrasing(rows, other.answerable)}. Answers that may be right but missing "
        "from the gold are listed for review and count as wrong. "
        f"{_interval(rows.trust)}"
    )


def _of_phrasing(rows: SortedRows, count: int) -> str:
    """For how much the answers of phrasing count, where it is for less than their number."""
    worth = float(rows.worth[rows.kinds[Kind.PHRASING] & ~rows.left_out].sum())
    if round(worth, 1) == count:
        return ""
    return (
        f"; the {count:,} of phrasing for {worth:,.1f}, since the judge accepts fewer answers here "
        "than of any system that it was validated on, so that more of them are false alarms"
    )


def _interval(trust: Trust | None) -> str:
    if trust is not None and trust.bounds:
        return (
            "The adjusted score's ends are bounds: exact match alone, and every answer that has "
            "anything in common with a gold answer"
        )
    if trust is None or trust.errors is None:
        return "Intervals are those of drawing questions and do not hold the judge's own errors"
    other = "" if trust.errors.current else " (with other weights than it has now)"
    return (
        "The adjusted score's interval holds the drawing of questions and the errors to be "
        f"expected of the judge and of the flags, as measured on {trust.errors.systems} systems "
        f"that the judge had not seen{other}; the other intervals are those of drawing questions"
    )
