"""How often each kind of wrong answer occurs in groups of rows, with bootstrap intervals."""

import dataclasses
import enum
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

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
class Odds:
    """What is known of each row: arrays of one length, from 0 to 1."""

    correct: np.ndarray  # exact match: 0 or 1
    # Of a row that is not correct; the rest to 1 is a true negative. 0 or 1 where labelled.
    phrasing: np.ndarray
    incomplete: np.ndarray
    unanswerable: np.ndarray
    # Rows whose kind counts: all wrong rows, or those that people have labelled.
    known: np.ndarray


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
    chances = probabilities(rows)
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


def probabilities(rows: Odds) -> dict[Kind, np.ndarray]:
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
