"""Other rules by which somebody may have counted, and what a file says of its own scores."""

import functools
from collections.abc import Callable, Sequence

from closedbook.eval import metrics, normalize, protocols
from closedbook.eval.predictions import Prediction

Rule = Callable[[str, Sequence[str]], bool]

FIRST = "the first gold answer alone"
CASE = "letter case kept"
VERBATIM = "the text to the letter"

_LIKE = 0.9  # share of the rows in which a key must agree with a rule to be one


def others(protocol: str) -> dict[str, Rule]:
    """Rules that are no protocol of ours, by their names; the protocol is what they change."""
    return {
        FIRST: lambda text, answers: metrics.is_right(text, answers[:1], protocol),
        CASE: lambda text, answers: (
            metrics.is_right(text, answers, protocol)
            and normalize.cased(text) in map(normalize.cased, answers)
        ),
        VERBATIM: lambda text, answers: text in answers,
    }


def every(protocol: str) -> dict[str, Rule]:
    """The rules of all protocols, and the others."""
    named: dict[str, Rule] = {
        name: functools.partial(_is_right, name)
        for name in dict.fromkeys((protocol, *protocols.PROTOCOLS))
    }
    return named | {f"{protocol}, {name}": rule for name, rule in others(protocol).items()}


def _is_right(protocol: str, text: str, answers: Sequence[str]) -> bool:
    return metrics.is_right(text, answers, protocol)


def apply(rows: Sequence[Prediction], rule: Rule) -> list[bool]:
    """What is right under a rule, row by row."""
    return [rule(row.prediction, row.answers) for row in rows]


def recorded(rows: Sequence[Prediction], name: str, protocol: str) -> list[str]:
    """What a file's own verdicts were counted by, in words.

    Args:
        rows: The predictions; a key beside the usual ones that holds 0 or 1, or 0 or 100, in
            every row is a verdict.
        name: The file's.
        protocol: The one that is tried first.
    """
    said = {key: column for key in rows[0].extra if (column := _verdicts(rows, key)) is not None}
    if not said:
        return []
    counted = {rule: apply(rows, function) for rule, function in every(protocol).items()}
    notes = []
    for key, column in said.items():
        agreeing = {
            rule: sum(a == b for a, b in zip(column, right, strict=True))
            for rule, right in counted.items()
        }
        rule = max(agreeing, key=lambda one: agreeing[one])
        if agreeing[rule] < _LIKE * len(rows):
            continue
        notes.append(
            f'{name} has a key "{key}" of its own with mean {100 * sum(column) / len(rows):.1f}; '
            f"it is what {rule} gives in {agreeing[rule]:,} of {len(rows):,} rows"
        )
    return notes


def _verdicts(rows: Sequence[Prediction], key: str) -> list[bool] | None:
    values: list[object] = [row.extra.get(key) for row in rows]
    numbers = [value for value in values if isinstance(value, bool | int | float)]
    if len(numbers) < len(rows) or not set(numbers) <= {0, 1, 100} or len(set(numbers)) < 2:
        return None
    return [bool(value) for value in numbers]
