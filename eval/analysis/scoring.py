"""The scores of rows under every protocol, and what a report shows of them."""

import functools
from collections.abc import Mapping, Sequence

from closedbook.eval import intervals, metrics, protocols, summary
from closedbook.eval.analysis.results import ProtocolScore, RowScore
from closedbook.eval.intervals import Estimate
from closedbook.eval.predictions import Prediction


def names(rows: Sequence[Prediction], headline: str) -> tuple[str, ...]:
    """The protocols under which rows are scored: the headline first, and those that apply.

    What the judge decides is not among them.

    Raises:
        UserError: The headline is unknown.
    """
    protocols.check(headline)
    first = () if headline in protocols.JUDGED else (headline,)
    applying = protocols.applying((row.prediction, row.answers) for row in rows)
    return tuple(dict.fromkeys((*first, *applying)))


def scored(rows: Sequence[Prediction], protocol: str) -> list[metrics.Score]:
    """Every row's score under one protocol."""
    return [metrics.score(row.prediction, row.answers, protocol) for row in rows]


def judged(right: Sequence[bool]) -> list[metrics.Score]:
    """Every row's score under a protocol that the judge decides."""
    return [metrics.Score(em=100.0 * yes, f1=None) for yes in right]


@functools.lru_cache(maxsize=1 << 16)  # rows with the same scores share them
def of_row(names: tuple[str, ...], scores: tuple[metrics.Score, ...]) -> Mapping[str, RowScore]:
    """A row's scores by protocol as reports have them, from 0 to 1."""
    return {name: _fraction(score) for name, score in zip(names, scores, strict=True)}


def _fraction(score: metrics.Score) -> RowScore:
    return RowScore(em=score.em / 100, f1=None if score.f1 is None else score.f1 / 100)


def table(rows: Sequence[Prediction], scores: Sequence[metrics.Score], name: str) -> ProtocolScore:
    """All rows under one protocol."""
    found = summary.of_scores(rows, scores, name)
    return ProtocolScore(
        protocol=name,
        n=found.n,
        em=_of_percent(found.em, found.em_interval),
        f1=None
        if found.f1 is None or found.f1_interval is None
        else _of_percent(found.f1, found.f1_interval),
    )


def _of_percent(mean: float, ends: intervals.Interval) -> Estimate:
    return Estimate(mean=mean / 100, low=ends.low / 100, high=ends.high / 100)
