"""The four kinds of wrong answers of Roberts et al. 2020, and the score that they would give.

Exact match calls an answer wrong that is right in other words, right but missing from the gold
answers, or an answer to a question that has none without a date or a page. With the wrong answers
sorted, the paper's section 3.2 (table 3) corrects the score:

    adjusted = (EM + false negatives) / (1 - unanswerable),  all as shares of all questions,

false negatives being the first two kinds. Unanswerable questions leave the count.
"""

import dataclasses
import enum
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from closedbook.errors import UserError
from closedbook.eval import intervals

_RESAMPLES = 1000
_CHUNK = 1 << 21  # numbers drawn at once; smaller ones waste the threads of a matrix product


class Kind(enum.StrEnum):
    """What a wrong answer is, in the words of the paper's table 3."""

    TRUE_NEGATIVE = "true negative"  # wrong
    PHRASING = "phrasing"  # the gold answer in other words
    INCOMPLETE = "incomplete"  # right, but not among the gold answers
    UNANSWERABLE = "unanswerable"  # no answer without a date, a place or a document


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """A share from 0 to 1 with its 95% interval."""

    mean: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """The fields as plain JSON values."""
        return dict(vars(self))


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Odds:
    """What is known of each row: arrays of one length, from 0 to 1."""

    correct: np.ndarray  # exact match: 0 or 1
    # Of a row that is not correct; the rest to 1 is a true negative. 0 or 1 where labelled.
    phrasing: np.ndarray
    incomplete: np.ndarray
    unanswerable: np.ndarray
    # Rows whose kind counts: all wrong rows, or those that people have labelled.
    known: np.ndarray


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
    overall: "GroupEstimates | None" = None,
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
    chances = _chances(rows)
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupEstimates:
    """What `estimates` says of one group of rows."""

    n: int
    em: Estimate
    adjusted: Estimate
    shares: tuple[Estimate, ...]  # of the known wrong rows, in the order of `Kind`


def estimates(
    rows: Odds, groups: np.ndarray, *, clusters: Sequence[int] | None = None, seed: int = 0
) -> list[GroupEstimates]:
    """Exact match, adjusted score and kinds of groups of rows; one bootstrap serves them all.

    No interval is narrower than Wilson's: the bootstrap of three rows that are all wrong would
    claim to be certain.

    Args:
        rows: From `odds`.
        groups: [rows, groups], 1 where the row is in the group; every group has a row.
        clusters: Number of each row's question, where rows share questions.
        seed: Of NumPy's PCG64.
    """
    chances = _chances(rows)
    members = np.asarray(groups, np.float32)
    expected: dict[Kind, np.ndarray] = {
        kind: value for kind, value in chances.items() if kind != Kind.TRUE_NEGATIVE
    }
    whole = _statistics(np.ones((1, len(rows.correct))), expected, rows, members)
    drawn = [
        _statistics(weights, kinds, rows, members)
        for weights, kinds in _resamples(rows, chances, clusters, np.random.default_rng(seed))
    ]
    names = ["em", "adjusted", *Kind]
    ends = {name: _ends(np.concatenate([part[name] for part in drawn])) for name in names}
    clustered = clusters is not None and len(set(clusters)) < len(clusters)
    result = []
    for index in range(members.shape[1]):
        trials: dict[str, float] = {
            "em": float(whole["n"][0, index]),
            "adjusted": float(whole["answerable"][0, index]),
            **dict.fromkeys(Kind, float(whole["known"][0, index])),
        }
        found = {}
        for name in names:
            mean, low, high = (
                float(value) for value in (whole[name][0, index], *ends[name][:, index])
            )
            exact = name == "em" and not clustered
            found[name] = _estimate(mean, low, high, trials[name], wilson_alone=exact)
        result.append(
            GroupEstimates(
                n=round(trials["em"]),
                em=found["em"],
                adjusted=found["adjusted"],
                shares=tuple(found[kind] for kind in Kind),
            )
        )
    return result


def _chances(rows: Odds) -> dict[Kind, np.ndarray]:
    """Each kind's probability on every row; all zero where the row is correct."""
    others = rows.phrasing + rows.incomplete + rows.unanswerable
    return {
        Kind.TRUE_NEGATIVE: np.where(rows.correct == 1, 0.0, 1 - others),
        Kind.PHRASING: rows.phrasing,
        Kind.INCOMPLETE: rows.incomplete,
        Kind.UNANSWERABLE: rows.unanswerable,
    }


def _resamples(
    rows: Odds,
    chances: Mapping[Kind, np.ndarray],
    clusters: Sequence[int] | None,
    random: np.random.Generator,
) -> Iterator[tuple[np.ndarray, dict[Kind, np.ndarray]]]:
    """Chunks of resamples: how often each row is drawn, and how often as which kind."""
    n = len(rows.correct)
    numbers = np.arange(n) if clusters is None else np.asarray(clusters)
    questions = int(numbers.max()) + 1
    size = max(1, min(_RESAMPLES, _CHUNK // max(n, questions)))
    kinds = (Kind.PHRASING, Kind.INCOMPLETE, Kind.UNANSWERABLE)
    bounds = np.cumsum([chances[kind] for kind in kinds], axis=0).astype(np.float32)
    settled = np.all([(chances[kind] == 0) | (chances[kind] == 1) for kind in kinds], axis=0)
    doubtful = np.flatnonzero(~settled)
    for start in range(0, _RESAMPLES, size):
        count = min(size, _RESAMPLES - start)
        drawn = random.integers(0, questions, size=(count, questions))
        drawn += np.arange(count)[:, None] * questions
        times = np.bincount(drawn.ravel(), minlength=count * questions)
        times = times.reshape(count, questions)[:, numbers]
        weights = times.astype(np.float32)
        # Every copy of a row has a ticket of its own: one kind for all copies of a row would
        # count the judge's doubt twice.
        place = np.repeat(np.arange(count * len(doubtful)), times[:, doubtful].ravel())
        ticket = random.random(len(place), np.float32)
        row = doubtful[place % len(doubtful)] if len(doubtful) else place
        number = sum((ticket >= bound[row]).astype(np.int8) for bound in bounds)
        found = {}
        for index, kind in enumerate(kinds):
            found[kind] = weights * (chances[kind] == 1)
            counts = np.bincount(place[number == index], minlength=count * len(doubtful))
            found[kind][:, doubtful] = counts.reshape(count, len(doubtful))
        yield weights, found


def _statistics(
    weights: np.ndarray, kinds: Mapping[Kind, np.ndarray], rows: Odds, members: np.ndarray
) -> dict[str, np.ndarray]:
    """Per resample and group: sums and shares; NaN where a resample has no row of a group.

    Args:
        weights: How often each row is drawn, [resamples, rows].
        kinds: How often as each kind, [resamples, rows]; a true negative is what is left.
        rows: What is known of each row.
        members: [rows, groups].
    """
    # Resamples hold whole numbers, which float32 adds without error up to 16 million.
    counted = rows.known.astype(weights.dtype)
    n = weights @ members
    right = (weights * rows.correct.astype(weights.dtype)) @ members
    known = (weights * counted) @ members
    with np.errstate(divide="ignore", invalid="ignore"):
        em = right / n
        shares = {kind: ((count * counted) @ members) / known for kind, count in kinds.items()}
        shares[Kind.TRUE_NEGATIVE] = 1 - sum(shares.values())
        no_wrong = right == n
        missed = np.where(no_wrong, 0.0, shares[Kind.PHRASING] + shares[Kind.INCOMPLETE])
        lost = np.where(no_wrong, 0.0, shares[Kind.UNANSWERABLE])
        answerable = 1 - (1 - em) * lost
        adjusted = (em + (1 - em) * missed) / answerable
    return {
        "n": n,
        "known": known,
        "answerable": n * answerable,
        "em": em,
        "adjusted": adjusted,
        **{str(kind): share for kind, share in shares.items()},
    }


def _ends(values: np.ndarray) -> np.ndarray:
    """The 2.5% and 97.5% quantiles of each column, [2, groups]; NaN where no value is a number."""
    ends = np.full((2, values.shape[1]), np.nan)
    for column, drawn in enumerate(values.T):
        drawn = drawn[np.isfinite(drawn)]
        if len(drawn):
            ends[:, column] = np.quantile(drawn, [0.025, 0.975])
    return ends


def _estimate(
    mean: float, low: float, high: float, trials: float, *, wilson_alone: bool
) -> Estimate:
    if not trials > 0 or not np.isfinite(mean):
        # Nothing is known of it: all values are possible.
        return Estimate(mean=0.0, low=0.0, high=1.0)
    mean = min(max(mean, 0.0), 1.0)
    least = max(trials, 1.0)
    surely = intervals.wilson(mean * least, least)
    if wilson_alone or not np.isfinite(low):
        return Estimate(mean=mean, low=surely.low, high=surely.high)
    return Estimate(mean=mean, low=min(low, surely.low), high=max(high, surely.high))


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
