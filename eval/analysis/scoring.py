"""The scores of rows under every protocol, and what a report shows of them."""

from collections.abc import Sequence

from closedbook.eval import intervals, metrics, protocols, summary
from closedbook.eval.analysis.results import ProtocolScore, RowScore
from closedbook.eval.intervals import Estimate
from closedbook.eval.predictions import Prediction


def scored(rows: Sequence[Prediction], protocol: str) -> dict[str, list[metrics.Score]]:
    """Every row's score by protocol, the headline first: an unknown name fails before the work.

    What the judge decides is not among them yet.
    """
    headline = () if protocol in protocols.JUDGED else (protocol,)
    names = dict.fromkeys((*headline, *protocols.PROTOCOLS))
    return {
        name: [metrics.score(row.prediction, row.answers, name) for row in rows] for name in names
    }


def judged(right: Sequence[bool]) -> list[metrics.Score]:
    """Every row's score under a protocol that the judge decides."""
    return [metrics.Score(em=100.0 * yes, f1=None) for yes in right]


def of_row(score: metrics.Score) -> RowScore:
    """A row's score as reports have it, from 0 to 1."""
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
