"""The rows of the table of examples, as compact JSON for the page."""

from collections.abc import Mapping, Sequence
from typing import Any

from closedbook.eval.equivalence.reasons import Reason
from closedbook.eval.report.text import clip, visible

# Longer texts end in a note; examples.jsonl has them whole. The page shows the first few words
# of a cell and all of this on request.
_KEPT = 4000  # characters


def table_data(examples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The examples as the page's script reads them: names once, then one list a row.

    A row holds: id, question, gold answers, prediction, verdict, reason, probability, F1 under
    the first protocol, score, flag, candidate score, evidence, flag's reason, exact match under
    each protocol, values of the slices, other answers.
    """
    protocols = list(dict.fromkeys(name for row in examples for name in row.get("scores") or {}))
    slices = list(dict.fromkeys(name for row in examples for name in row.get("slices") or {}))
    return {
        "reasons": {str(reason): reason.description for reason in Reason},
        "protocols": protocols,
        "slices": slices,
        "rows": [_row(row, protocols, slices) for row in examples],
    }


def comparison_data(comparison: Any) -> dict[str, Any]:
    """The examples of a comparison: names of the systems once, then one list a row.

    A row holds: id, question, gold answers, each system's prediction, whether each is right.
    """
    names = [row["name"] for row in comparison.systems]
    return {
        "systems": [_text(name) for name in names],
        "rows": [
            [
                _text(number if row["id"] is None else row["id"]),
                _text(row["question"]),
                [_text(answer) for answer in _short_list(row["answers"])],
                [_text(row["predictions"][name]) for name in names],
                [int(row["correct"][name]) for name in names],
            ]
            for number, row in enumerate(comparison.examples, start=1)
        ],
    }


def _row(row: Mapping[str, Any], protocols: Sequence[str], slices: Sequence[str]) -> list[Any]:
    scores = row.get("scores") or {}
    values = row.get("slices") or {}
    first = scores.get(protocols[0]) if protocols else None
    return [
        _text(row.get("id")),
        _text(row["question"]),
        [_text(answer) for answer in _short_list(row["answers"])],
        _text(row["prediction"]),
        _text(row.get("verdict")),
        _text(_reason(row)),
        _number(row.get("probability"), 3),
        _number(first["f1"], 3) if first else None,
        _number(row.get("score"), 4),
        _text(row.get("flag")),
        _number(row.get("candidate"), 3),
        _text(row.get("evidence")),
        _text(row.get("flag_reason")),
        [round(scores[name]["em"]) if name in scores else None for name in protocols],
        [_text(values.get(name)) for name in slices],
        [_text(_alternative(other)) for other in _short_list(row.get("alternatives") or ())],
    ]


def _reason(row: Mapping[str, Any]) -> Any:
    """What the verdict rests on: the flag of an unanswerable question, else the judge's reason."""
    return row.get("flag") if row.get("verdict") == "unanswerable" else row.get("reason")


def _short_list(values: Sequence[Any], limit: int = 100) -> list[Any]:
    left_out = len(values) - limit
    kept = list(values[:limit])
    return kept if left_out <= 0 else [*kept, f"… ({left_out:,} more)"]


def _alternative(other: Any) -> Any:
    return other.get("text") if isinstance(other, Mapping) else other


def _text(value: Any) -> str:
    return "" if value is None else visible(clip(str(value), _KEPT))


def _number(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
