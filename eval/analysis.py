"""Everything that can be said of one predictions file, as plain data for a report to show."""

import dataclasses
import importlib
import importlib.util
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from closedbook import __version__
from closedbook.errors import UserError
from closedbook.eval import intervals, metrics, summary, taxonomy
from closedbook.eval.predictions import Prediction
from closedbook.eval.taxonomy import Kind

PROTOCOLS = ("squad", "nq_open", "trivia_qa")

Progress = Callable[[str, float], None]
"""Called with the name of the step under way and the share of it that is done, 0 to 1."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Analysis:
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
    examples: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """All but the examples, as plain JSON values: what summary.json holds."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "examples"
        }


def analyze(
    rows: Sequence[Prediction],
    *,
    protocol: str = "squad",
    mode: str = "learned",
    threshold: float | None = None,
    labels: Mapping[str, Kind] | None = None,
    train: Sequence[Any] | None = None,
    also: Mapping[str, Sequence[Prediction]] | None = None,
    other_gold: Sequence[Any] | None = None,
    source: str | None = None,
    progress: Progress | None = None,
) -> Analysis:
    """Analyses the predictions of one system.

    Args:
        rows: The predictions, as `closedbook.eval.predictions.read` gives them.
        protocol: Whose exact match is the headline and says what is correct.
        mode: The judge of equivalence: "learned", or "rules", which needs no weights.
        threshold: Probability from which the judge calls an answer equivalent. Default: its own.
        labels: Kinds of wrong predictions by id, as people gave them.
        train: Rows of the training set.
        also: Other systems' predictions on the same questions, by name.
        other_gold: Another dataset's rows, for gold answers to the same questions.
        source: The file's name, for the report.
        progress: Called as the work goes on.

    Raises:
        UserError: There are no rows, or an argument is not as it should be.
    """
    if not rows:
        raise UserError("there are no predictions to analyse; give at least one")
    tell = progress or (lambda step, share: None)
    tell("scoring", 0)
    scores = {
        name: [metrics.score(row.prediction, row.answers, name) for row in rows]
        for name in dict.fromkeys((protocol, *PROTOCOLS))
    }
    correct = [score.em == 100 for score in scores[protocol]]
    tell("judging", 0)
    verdicts = _verdicts(rows, mode)
    flags = _flags(rows)
    ids = [str(number if row.id is None else row.id) for number, row in enumerate(rows, start=1)]
    kinds = None if labels is None else [labels.get(key) for key in ids]
    odds = taxonomy.odds(
        correct,
        equivalent=[verdict["probability"] for verdict in verdicts],
        unanswerable=[flag["probability"] for flag in flags],
        labels=kinds,
    )
    tell("estimating", 0)
    table = taxonomy.four_way(odds, labelled=labels is not None)
    examples = []
    for index, row in enumerate(rows):
        verdict, flag = verdicts[index], flags[index]
        equivalent = (
            verdict["equivalent"] if threshold is None else verdict["probability"] >= threshold
        )
        if correct[index]:
            name = "correct"
        elif equivalent:
            name = "phrasing"
        else:
            name = "unanswerable" if flag["flag"] else "wrong"
        examples.append(
            {
                **row.as_dict(),
                "id": ids[index],
                "scores": {
                    key: {"em": values[index].em / 100, "f1": values[index].f1 / 100}
                    for key, values in scores.items()
                },
                "correct": correct[index],
                "verdict": name,
                "probability": verdict["probability"],
                "reason": verdict["reason"],
                "evidence": verdict["evidence"],
                "flag": flag["flag"],
                "flag_reason": flag["reason"],
                "candidate": 0.0,
                "slices": {},
            }
        )
    return Analysis(
        meta={
            "source": source,
            "n": len(rows),
            "n_questions": len({row.question for row in rows}),
            "task": _common(row.task for row in rows),
            "split": _common(row.split for row in rows),
            "protocol": protocol,
            "judge": {"mode": mode, "threshold": threshold, "weights": None},
            "closedbook": __version__,
        },
        protocols=[_protocol(rows, name) for name in scores],
        disagreements=[],
        audit=[],
        taxonomy=table.as_dict(),
        answerability=_flag_table(flags),
        slices=[],
        confidence=None,
        candidates=[],
        examples=examples,
    )


def _protocol(rows: Sequence[Prediction], name: str) -> dict[str, Any]:
    found = summary.score_all(rows, name)
    return {
        "protocol": name,
        "n": found.n,
        "em": _percent(found.em, found.em_interval),
        "f1": _percent(found.f1, found.f1_interval),
    }


def _percent(mean: float, ends: intervals.Interval) -> dict[str, float]:
    return {"mean": mean / 100, "low": ends.low / 100, "high": ends.high / 100}


def _verdicts(rows: Sequence[Prediction], mode: str) -> list[dict[str, Any]]:
    if importlib.util.find_spec("closedbook.eval.equivalence") is None:
        return [
            {"equivalent": False, "probability": 0.0, "reason": "", "evidence": ""} for _ in rows
        ]
    equivalence = importlib.import_module("closedbook.eval.equivalence")
    return [
        {
            "equivalent": verdict.equivalent,
            "probability": verdict.probability,
            "reason": str(verdict.reason),
            "evidence": verdict.evidence,
        }
        for verdict in equivalence.judge_all(rows, mode=mode)
    ]


def _flags(rows: Sequence[Prediction]) -> list[dict[str, Any]]:
    if importlib.util.find_spec("closedbook.eval.answerability") is None:
        return [{"flag": None, "probability": 0.0, "reason": ""} for _ in rows]
    answerability = importlib.import_module("closedbook.eval.answerability")
    found = [answerability.assess(row.question, row.answers) for row in rows]
    return [
        {"flag": flag.flag, "probability": flag.probability, "reason": str(flag.reason)}
        for flag in found
    ]


def _flag_table(flags: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    table = []
    for flag, count in Counter(row["flag"] for row in flags).most_common():
        low, high = intervals.wilson(count, len(flags))
        if flag is not None:
            table.append(
                {
                    "flag": flag,
                    "count": count,
                    "share": count / len(flags),
                    "low": low,
                    "high": high,
                }
            )
    return table


def _common(values: Any) -> Any:
    """The one value that all rows have; None if they differ."""
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None
