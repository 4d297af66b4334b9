"""From decoded text to what the metrics compare; pure Python."""

from collections.abc import Mapping, Sequence
from typing import Any

from closedbook.eval import metrics


def answers(
    output: str, example: Mapping[str, Any] | None = None, is_target: bool = False
) -> str | list[str]:
    """A prediction's text unchanged; for a target, every acceptable answer of its example.

    >>> answers("Paris")
    'Paris'
    >>> answers("Paris", {"answers": [b"Paris", b"Paris, France"]}, is_target=True)
    ['Paris', 'Paris, France']
    """
    if not is_target:
        return output
    assert example is not None
    return [_text(answer) for answer in example["answers"]]


def answer_sets(
    output: str, example: Mapping[str, Any] | None = None, is_target: bool = False
) -> tuple[str, ...] | list[tuple[str, ...]]:
    """The answers of a multi-answer prediction; for a target, one such tuple per annotator.

    >>> answer_sets("answer: Mary-Kate answer: Ashley")
    ('Mary-Kate', 'Ashley')
    >>> example = {
    ...     "short_answers/values": [b"Ashley", b"Mary-Kate"],
    ...     "short_answers/row_starts": [0, 2, 2],
    ...     "yes_no_answers": [-1, -1, 1],
    ... }
    >>> answer_sets("", example, is_target=True)
    [('Ashley', 'Mary-Kate'), (), ('yes',)]
    """
    if not is_target:
        return metrics.split_answers(output)
    assert example is not None
    values: Sequence[Any] = example["short_answers/values"]
    starts = [int(start) for start in example["short_answers/row_starts"]]
    sets = []
    for start, stop, yes_no in zip(
        starts, [*starts[1:], len(values)], example["yes_no_answers"], strict=True
    ):
        short = tuple(_text(value) for value in values[start:stop])
        sets.append(short if yes_no < 0 else (("no", "yes")[int(yes_no)],))
    return sets


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
