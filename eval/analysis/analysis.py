"""Everything that can be said of one predictions file, as plain data for a report to show."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from closedbook import __version__
from closedbook.errors import UserError
from closedbook.eval import intervals, metrics, protocols, summary
from closedbook.eval.analysis import audit, candidates, confidence, slices, taxonomy
from closedbook.eval.analysis import labels as labelling
from closedbook.eval.analysis.kinds import Kind
from closedbook.eval.analysis.overlap import TrainingSet
from closedbook.eval.analysis.summarized import Summarized
from closedbook.eval.answerability import assessment as answerability
from closedbook.eval.equivalence import judges
from closedbook.eval.equivalence import verdicts as equivalence
from closedbook.eval.files.gold import Gold
from closedbook.eval.predictions import Prediction

Progress = Callable[[str, int, int], None]
"""Called with the step under way, the number of steps done and that of all steps."""

STEPS = ("scoring", "auditing", "judging", "questions", "slices", "candidates", "intervals")

_REVIEWED_FIRST = 0.4  # score of a candidate from which the row's verdict is "incomplete?"
_JUDGED_AT_ONCE = 500  # rows, between two calls of progress
_VERDICTS = {
    Kind.TRUE_NEGATIVE: "wrong",
    Kind.PHRASING: "phrasing",
    Kind.INCOMPLETE: "incomplete?",
    Kind.UNANSWERABLE: "unanswerable",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Analysis(Summarized):
    """The analysis of one predictions file; all shares from 0 to 1, all intervals 95%."""

    meta: dict[str, Any]
    protocols: list[dict[str, Any]]
    disagreements: list[dict[str, Any]]
    audit: list[dict[str, Any]]
    taxonomy: dict[str, Any]
    answerability: list[dict[str, Any]]
    slices: list[dict[str, Any]]
    confidence: dict[str, Any] | None
    candidates: list[dict[str, Any]]
    examples: list[dict[str, Any]]  # one a row


def analyze(
    rows: Sequence[Prediction],
    *,
    protocol: str = "squad",
    judge: str | judges.Judge = "learned",
    threshold: float | None = None,
    labels: Mapping[str, Kind] | None = None,
    train: Sequence[Gold] | None = None,
    also: Mapping[str, Sequence[Prediction]] | None = None,
    other_gold: Sequence[Gold] | None = None,
    source: str | None = None,
    progress: Progress | None = None,
) -> Analysis:
    """Analyses the predictions of one system.

    Args:
        rows: The predictions, as `closedbook.eval.predictions.read` gives them.
        protocol: Whose exact match is the headline and says what is correct.
        judge: Of equivalence: "learned", "rules" (which needs no weights), or another of
            `closedbook.eval.equivalence.judges`, by name or itself.
        threshold: Probability from which the judge calls an answer equivalent. Default: its own.
        labels: Kinds of wrong predictions by id, as `closedbook.eval.analysis.labels.read` gives
            them; a row without an id has its number, from 1.
        train: The training set, for overlap and aliases.
        also: Other systems' predictions on the same questions, by name.
        other_gold: Another data set's answers, for those of the same questions.
        source: The file's name, for the report.
        progress: Called as the work goes on.

    Raises:
        UserError: There are no rows, or an argument is not as it should be.
    """
    if not rows:
        raise UserError("there are no predictions to analyse; give at least one")
    if threshold is not None and not 0 <= threshold <= 1:
        raise UserError(f"the threshold is {threshold}; it must be a probability, 0 to 1")
    judge = judges.named(judge) if isinstance(judge, str) else judge
    ids = _ids(rows)
    labelling.check(labels or (), set(ids))
    for name, others in (also or {}).items():
        _check_shared(rows, others, f"{name} has", "other systems' predictions")
    if other_gold is not None:
        _check_shared(rows, other_gold, "the other gold has", "another data set's answers")
    tell = _Steps(progress)

    tell.next()
    # The headline first: an unknown name fails before the work.
    names = dict.fromkeys((protocol, *protocols.PROTOCOLS))
    scores = {
        name: [metrics.score(row.prediction, row.answers, name) for row in rows] for name in names
    }
    right = {name: [score.em == 100 for score in values] for name, values in scores.items()}
    correct = right[protocol]
    tell.next()
    disagreements = audit.disagreements(rows, right)
    stops = audit.stops(rows, protocol)
    tell.next()
    verdicts = _judged(rows, judge, threshold, tell)
    tell.next()
    flags = answerability.assess_all(rows)
    tell.next()
    training = None if train is None else TrainingSet(train)
    parts = slices.assign(rows, training=training)
    tell.next()
    open_ = [not c and not v.equivalent for c, v in zip(correct, verdicts, strict=True)]
    reviews = candidates.incomplete(rows, open_, also=also, training=train, other_gold=other_gold)
    tell.next()
    kinds = None if labels is None else [labels.get(key) for key in ids]
    odds = taxonomy.odds(
        correct,
        equivalent=[verdict.probability for verdict in verdicts],
        unanswerable=[flag.probability for flag in flags],
        labels=kinds,
    )
    clusters = _numbers(summary.question_keys(rows))
    members = slices.members(parts)
    overall, *estimates = taxonomy.estimates(
        odds,
        np.stack([np.ones(len(rows), bool), *members.values()], axis=1),
        clusters=clusters,
    )
    table = taxonomy.four_way(odds, labelled=labels is not None, overall=overall)
    sure = confidence.assess(rows, odds.correct, odds.correct + odds.phrasing + odds.incomplete)
    tell.next()

    ranks = {review.index: review.score for review in reviews}
    examples = [
        {
            **row.as_dict(),
            "id": ids[index],
            "scores": {name: _shares(values[index]) for name, values in scores.items()},
            "correct": correct[index],
            "verdict": _verdict(
                correct[index],
                kinds[index] if kinds else None,
                verdicts[index],
                flags[index].flag,
                ranks.get(index, 0.0),
            ),
            "label": str(kinds[index]) if kinds and kinds[index] else None,
            "probability": verdicts[index].probability,
            "reason": str(verdicts[index].reason),
            "evidence": verdicts[index].evidence,
            "flag": flags[index].flag,
            "flag_reason": _with_words(flags[index]),
            "candidate": ranks.get(index, 0.0),
            "slices": parts[index],
        }
        for index, row in enumerate(rows)
    ]
    return Analysis(
        meta={
            "source": source,
            "n": len(rows),
            "n_questions": len(set(clusters)),
            "task": _common(row.task for row in rows),
            "split": _common(row.split for row in rows),
            "protocol": protocol,
            "judge": {
                "mode": judge.name,
                "threshold": judge.threshold if threshold is None else threshold,
                "weights": judge.version,
            },
            "also": list(also or ()),
            "training_rows": None if train is None else len(train),
            "closedbook": __version__,
        },
        protocols=[_protocol(rows, values, name) for name, values in scores.items()],
        disagreements=disagreements,
        audit=stops,
        taxonomy=table.as_dict(),
        answerability=_flag_table([flag.flag for flag in flags], clusters),
        slices=slices.table(members, estimates),
        confidence=sure,
        candidates=[
            {
                "id": ids[review.index],
                "question": rows[review.index].question,
                "answers": list(rows[review.index].answers),
                "prediction": rows[review.index].prediction,
                "score": review.score,
                "reasons": list(review.reasons),
            }
            for review in reviews
        ],
        examples=examples,
    )


class _Steps:
    """Tells how far the work is; does nothing without anyone to tell."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress or (lambda step, done, total: None)
        self._done = -1

    def next(self) -> None:
        self._done += 1
        self.again()

    def again(self) -> None:
        step = STEPS[min(self._done, len(STEPS) - 1)]
        self._progress(step, self._done, len(STEPS))


def _judged(
    rows: Sequence[Prediction], judge: judges.Judge, threshold: float | None, tell: _Steps
) -> list[equivalence.Verdict]:
    found: list[equivalence.Verdict] = []
    for start in range(0, len(rows), _JUDGED_AT_ONCE):
        found += judge.judge_all(rows[start : start + _JUDGED_AT_ONCE])
        tell.again()
    if threshold is None:
        return found
    return [
        dataclasses.replace(verdict, equivalent=verdict.probability >= threshold)
        for verdict in found
    ]


def _verdict(
    correct: bool,
    label: Kind | None,
    judged: equivalence.Verdict,
    flag: str | None,
    rank: float,
) -> str:
    """What a reader is told of a row: people's word before the judge's."""
    if correct:
        return "correct"
    if label is not None:
        return _VERDICTS[label]
    if judged.equivalent:
        return _VERDICTS[Kind.PHRASING]
    if flag is not None:
        return _VERDICTS[Kind.UNANSWERABLE]
    return _VERDICTS[Kind.INCOMPLETE if rank >= _REVIEWED_FIRST else Kind.TRUE_NEGATIVE]


def _with_words(found: answerability.Answerability) -> str:
    if found.flag is None:
        return ""
    return f"{found.reason}: {found.evidence}" if found.evidence else found.reason


def _shares(score: metrics.Score) -> dict[str, float | None]:
    return {"em": score.em / 100, "f1": None if score.f1 is None else score.f1 / 100}


def _protocol(
    rows: Sequence[Prediction], scores: Sequence[metrics.Score], name: str
) -> dict[str, Any]:
    found = summary.of_scores(rows, scores, name)
    return {
        "protocol": name,
        "n": found.n,
        "em": _percent(found.em, found.em_interval),
        "f1": None if found.f1_interval is None else _percent(found.f1, found.f1_interval),
    }


def _percent(mean: float | None, ends: intervals.Interval) -> dict[str, float]:
    return {"mean": (mean or 0.0) / 100, "low": ends.low / 100, "high": ends.high / 100}


def _flag_table(flags: Sequence[str | None], clusters: Sequence[int]) -> list[dict[str, Any]]:
    alone = len(set(clusters)) == len(clusters)
    table = []
    for flag, count in Counter(flag for flag in flags if flag is not None).most_common():
        low, high = (
            intervals.wilson(count, len(flags))
            if alone
            else intervals.of_mean([other == flag for other in flags], clusters=clusters)
        )
        table.append(
            {"flag": flag, "count": count, "share": count / len(flags), "low": low, "high": high}
        )
    return table


def _ids(rows: Sequence[Prediction]) -> list[str]:
    """Each row's id; a row without one has its number, from 1, if that is no other row's id."""
    given = {str(row.id): number for number, row in enumerate(rows, start=1) if row.id is not None}
    for number, row in enumerate(rows, start=1):
        if row.id is None and str(number) in given:
            raise UserError(
                f"row {number} has no id, and its number is the id of row {given[str(number)]}; "
                "give every row an id, or none"
            )
    return [str(number if row.id is None else row.id) for number, row in enumerate(rows, start=1)]


def _check_shared(
    rows: Sequence[Prediction], others: Sequence[Prediction | Gold], who: str, what: str
) -> None:
    asked = {candidates.question_key(row.question) for row in rows}
    if not any(candidates.question_key(row.question) in asked for row in others):
        raise UserError(
            f"{who} no question in common with the predictions; give {what} for the same questions"
        )


def _numbers(keys: Iterable[Hashable]) -> list[int]:
    """Each key's number, in the order of first appearance."""
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def _common(values: Iterable[str | None]) -> str | None:
    """The one value that all rows have; None if they differ."""
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None
