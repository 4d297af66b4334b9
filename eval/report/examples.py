"""The rows of the table of examples, as compact JSON for the page."""

from collections.abc import Sequence

from closedbook.eval.analysis.compared import Comparison
from closedbook.eval.analysis.results import Example, Outcome
from closedbook.eval.analysis.summarized import Json
from closedbook.eval.equivalence.reasons import Reason
from closedbook.eval.report.text import clip, visible

# Longer texts end in a note; examples.jsonl has them whole. The page shows the first few words
# of a cell and all of this on request.
_KEPT = 4000  # characters


def table_data(examples: Sequence[Example]) -> dict[str, Json]:
    """The examples as the page's script reads them: names once, then one list per row.

    A row holds: id, question, gold answers, prediction, verdict, reason, probability, F1 under
    the first protocol, score, flag, candidate score, evidence, flag's reason, exact match under
    each protocol, values of the slices, other answers.
    """
    protocols = list(dict.fromkeys(name for row in examples for name in row.scores))
    slices = list(dict.fromkeys(name for row in examples for name in row.slices))
    return {
        "reasons": {str(reason): reason.description for reason in Reason},
        "protocols": [*protocols],
        "slices": [*slices],
        "rows": [_row(row, protocols, slices) for row in examples],
    }


def comparison_data(comparison: Comparison) -> dict[str, Json]:
    """The examples of a comparison: names of the systems once, then one list per row.

    A row holds: id, question, gold answers, each system's prediction, whether each is right.
    """
    names = [system.name for system in comparison.systems]
    return {
        "systems": _texts(names, limit=len(names)),
        "rows": [
            [
                _text(number if row.id is None else row.id),
                _text(row.question),
                _texts(row.answers),
                _texts([row.predictions[name] for name in names], limit=len(names)),
                [int(row.correct[name]) for name in names],
            ]
            for number, row in enumerate(comparison.examples, start=1)
        ],
    }


def _row(row: Example, protocols: Sequence[str], slices: Sequence[str]) -> list[Json]:
    return [
        _text(row.id),
        _text(row.row.question),
        _texts(row.row.answers),
        _text(row.row.prediction),
        _text(row.verdict),
        _text(_reason(row)),
        _number(row.probability, 3),
        _number(row.scores[protocols[0]].f1, 3) if protocols else None,
        _number(row.row.score, 4),
        _text(row.flag),
        _number(row.candidate, 3),
        _text(row.evidence),
        _text(row.flag_reason),
        [round(row.scores[name].em) for name in protocols],
        [_text(row.slices.get(name)) for name in slices],
        _texts([other.text for other in row.row.alternatives]),
    ]


def _reason(row: Example) -> str | None:
    """What the verdict rests on: the flag of an unanswerable question, else the judge's reason."""
    return row.flag if row.verdict == Outcome.UNANSWERABLE else row.reason


def _texts(values: Sequence[str], limit: int = 100) -> list[Json]:
    """The first texts of a list, and how many were left out."""
    kept: list[Json] = [_text(value) for value in values[:limit]]
    left_out = len(values) - limit
    return kept if left_out <= 0 else [*kept, f"… ({left_out:,} more)"]


def _text(value: str | int | None) -> str:
    return "" if value is None else visible(clip(str(value), _KEPT))


def _number(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
