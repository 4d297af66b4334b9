"""The evaluator for notebooks and scripts: `from closedbook.eval import analyze`, and others.

Each takes what people have at hand: a path, a list of dicts, a DataFrame, a data set of the
`datasets` library, an iterator of rows. Keys are found as in files (`docs/evaluator.md`).
"""

import math
import numbers
import os
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from closedbook.errors import UserError
from closedbook.eval import predictions, summary
from closedbook.eval.analysis import analysis, comparison
from closedbook.eval.analysis import labels as label_files
from closedbook.eval.analysis.comparison.results import Comparison
from closedbook.eval.analysis.kinds import Kind
from closedbook.eval.analysis.results import Analysis
from closedbook.eval.equivalence import simpleqa, verdicts
from closedbook.eval.equivalence.verdicts import Verdict
from closedbook.eval.files import gold as gold_files
from closedbook.eval.predictions import Read


@runtime_checkable
class Frame(Protocol):
    """What a table of pandas or polars has."""

    @property
    def columns(self) -> Any:
        """Names of the columns."""


Rows = str | os.PathLike[str] | Iterable[object] | Frame


def analyze(
    rows: Rows,
    *,
    columns: Mapping[str, str] | None = None,
    gold: str | os.PathLike[str] | None = None,
    protocol: str = "squad",
    judge: str = "learned",
    threshold: float | None = None,
    labels: str | os.PathLike[str] | Mapping[str | int, str] | None = None,
    train: str | os.PathLike[str] | None = None,
    also: Mapping[str, Rows] | None = None,
    other_gold: str | os.PathLike[str] | None = None,
) -> Analysis:
    """Says which errors of a system are errors, as `closedbook analyze` does.

    Args:
        rows: Questions, gold answers and predictions.
        columns: question, answers, prediction, id or score -> its name in the rows, where that is
            not told by the name.
        gold: A file of questions and answers, for a file of predictions that comes without.
        protocol: Whose exact match is the headline.
        judge: "learned", or "rules".
        threshold: Probability from which answers are equivalent; the judge's own if None.
        labels: What people say of wrong answers: a file, or id -> label.
        train: A file of the training set, for overlap.
        also: Other systems' rows, by name.
        other_gold: A file of another data set's answers.

    Raises:
        UserError: An argument is not as it should be; the message says which.
    """
    read = _read(rows, "rows", columns, gold)
    return analysis.analyze(
        read.rows,
        protocol=_text("protocol", protocol),
        judge=_text("judge", judge),
        threshold=None if threshold is None else _number("threshold", threshold),
        labels=_labels(labels),
        train=None if train is None else gold_files.read(_path("train", train)),
        also={name: _read(each, f"also[{name!r}]").rows for name, each in (also or {}).items()},
        other_gold=None if other_gold is None else gold_files.read(_path("other_gold", other_gold)),
        source=os.path.basename(rows) if isinstance(rows, str | os.PathLike) else None,
        form=read.form if isinstance(rows, str | os.PathLike) else None,
        notes=read.notes,
    )


def compare(
    systems: Mapping[str, Rows],
    *,
    columns: Mapping[str, str] | None = None,
    protocol: str = "squad",
) -> Comparison:
    """Says which of several systems is better, and whether it is chance.

    Args:
        systems: Name -> rows, at least two.
        columns: As `analyze` has it, for all systems.
        protocol: The headline.

    Raises:
        UserError: An argument is not as it should be; the message says which.
    """
    if not isinstance(systems, Mapping):
        raise UserError(
            f"systems is {type(systems).__name__}; give a dict of names and rows: "
            '{"ours": rows, "theirs": others}'
        )
    read = {
        str(name): _read(each, f"systems[{name!r}]", columns).rows for name, each in systems.items()
    }
    return comparison.compare(read, protocol=_text("protocol", protocol))


def score(
    rows: Rows, *, protocol: str = "squad", columns: Mapping[str, str] | None = None
) -> summary.Summary | simpleqa.Shares:
    """Exact match and F1 of a system with their intervals; for "simpleqa" its three shares and F1.

    Args:
        rows: Questions, gold answers and predictions.
        protocol: One of `closedbook.eval.protocols.PROTOCOLS`, or "simpleqa".
        columns: As `analyze` has it.

    Raises:
        UserError: An argument is not as it should be; the message says which.
    """
    given = _read(rows, "rows", columns).rows
    if _text("protocol", protocol) == simpleqa.NAME:
        return simpleqa.score_all(given)
    return summary.score_all(given, protocol)


def judge(
    rows: Rows, *, mode: str = "learned", columns: Mapping[str, str] | None = None
) -> list[Verdict]:
    """Whether each prediction says the same as one of its gold answers, and why.

    Args:
        rows: Questions, gold answers and predictions.
        mode: "learned", or "rules".
        columns: As `analyze` has it.

    Returns:
        A verdict per row; rows without a gold answer are left out, as everywhere.

    Raises:
        UserError: An argument is not as it should be; the message says which.
    """
    return verdicts.judge_all(_read(rows, "rows", columns).rows, mode=_text("mode", mode))


def _read(
    rows: object,
    name: str,
    columns: Mapping[str, str] | None = None,
    gold: str | os.PathLike[str] | None = None,
) -> Read:
    """The rows that an argument holds."""
    if isinstance(rows, str | os.PathLike):
        return predictions.read_any(rows, columns=columns, gold=gold)
    if gold is not None:
        raise UserError("gold goes with a path of predictions; put the answers into the rows")
    return predictions.of_rows(map(_plain_row, _listed(rows, name)), columns=columns)


def _listed(rows: object, name: str) -> Iterable[object]:
    """Rows one by one."""
    if hasattr(rows, "columns") and hasattr(rows, "to_dict"):  # pandas
        return rows.to_dict("records")
    if hasattr(rows, "columns") and hasattr(rows, "to_dicts"):  # polars
        return rows.to_dicts()
    if isinstance(rows, Mapping):
        lists = [each for each in rows.values() if isinstance(each, list | tuple)]
        if len(lists) == len(rows) > 0 and len(set(map(len, lists))) == 1:  # lists by column
            return (dict(zip(rows, each, strict=True)) for each in zip(*lists, strict=True))
        raise UserError(
            f"{name} is a dict of {', '.join(map(str, list(rows)[:5])) or 'nothing'}; give a list "
            "of dicts, one per row, or the rows of one split"
        )
    if isinstance(rows, Iterable) and not isinstance(rows, bytes):
        return rows
    raise UserError(
        f"{name} is {type(rows).__name__}; give a path, a list of dicts, a DataFrame, a data set "
        "or an iterator of rows"
    )


def _plain_row(row: object) -> object:
    if isinstance(row, predictions.Prediction):
        return row
    return _plain(row) if isinstance(row, Mapping) else row


def _plain(value: object) -> object:
    """A value as JSON has it: arrays as lists, NaN and its like as None."""
    if isinstance(value, str | bool) or value is None:
        return value
    if hasattr(value, "tolist"):  # arrays and scalars of NumPy
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return None if math.isnan(value) else float(value)
    if type(value).__name__ in ("NAType", "NaTType"):  # what pandas has for what is missing
        return None
    return value if isinstance(value, bytes) else str(value)


def _labels(
    labels: str | os.PathLike[str] | Mapping[str | int, str] | None,
) -> dict[str, Kind] | None:
    if labels is None:
        return None
    if isinstance(labels, str | os.PathLike):
        return label_files.read(labels)
    if not isinstance(labels, Mapping):
        raise UserError(f"labels is {type(labels).__name__}; give a path, or a dict of id to label")
    return {str(key): label_files.parse(value) for key, value in labels.items()}


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise UserError(f"{name} is {value!r}; give a text")
    return value


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{name} is {value!r}; give a number from 0 to 1")
    return value


def _path(name: str, value: object) -> str | os.PathLike[str]:
    if not isinstance(value, str | os.PathLike):
        raise UserError(f"{name} is {type(value).__name__}; give the path of a file")
    return value
