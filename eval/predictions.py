"""predictions.jsonl: what a model answered, one object per line; or a table of the same columns.

`question`, `answers` (or `answer`) and `prediction` are required; `answers` may be a single string.
Keys that are not in the format are kept, so that a file passes through us with nothing lost.
"""

import dataclasses
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from closedbook import whole_files
from closedbook.buckets import path_at
from closedbook.errors import UserError
from closedbook.eval.files import gold as gold_files
from closedbook.eval.files import json_lines
from closedbook.eval.files.forms import loading
from closedbook.eval.files.json_lines import shown

_Kind = TypeVar("_Kind")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Alternative:
    """Another answer that the model gave to the same question."""

    text: str
    score: float | None = None  # sum of the tokens' log-probabilities


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """One row of predictions.jsonl."""

    question: str
    answers: Sequence[str]  # every acceptable answer, at least one
    prediction: str
    id: str | int | None = None  # unique in the file where given
    score: float | None = None  # sum of the prediction's log-probabilities
    alternatives: Sequence[Alternative] = ()  # best first
    task: str | None = None
    split: str | None = None
    step: int | None = None  # of the checkpoint
    meta: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    # Keys outside the format; in the file they stand beside the others.
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.answers, str):
            raise TypeError(f"answers is the string {self.answers!r}; give a tuple of strings")

    def as_dict(self) -> dict[str, Any]:
        """The row's JSON object, keys in the format's order, then the extra ones."""
        return {
            "id": self.id,
            "question": self.question,
            "answers": list(self.answers),
            "prediction": self.prediction,
            "score": self.score,
            "alternatives": [vars(alternative) for alternative in self.alternatives],
            "task": self.task,
            "split": self.split,
            "step": self.step,
            "meta": dict(self.meta),
            **self.extra,
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Read:
    """A file of predictions.

    Attributes:
        rows: Its rows.
        form: What it was taken for, for people: "samples of lm-evaluation-harness".
        notes: How many rows had something worth saying, by what it was: null predictions, rows
            without gold answers (which are left out), and the like.
    """

    rows: Sequence[Prediction]
    form: str
    notes: Mapping[str, int]


def read(
    path: str | os.PathLike[str],
    *,
    columns: Mapping[str, str] | None = None,
    gold: str | os.PathLike[str] | None = None,
) -> list[Prediction]:
    """Reads a file of predictions, all rows checked: the rows of `read_any`."""
    return list(read_any(path, columns=columns, gold=gold).rows)


def read_any(
    path: str | os.PathLike[str],
    *,
    columns: Mapping[str, str] | None = None,
    gold: str | os.PathLike[str] | None = None,
) -> Read:
    """Reads a file of predictions as it comes: ours, a table, or another tool's.

    The form is recognised by what is in the file; any may be packed by gzip. `docs/evaluator.md`
    lists the forms. Blank lines are passed over.

    Args:
        path: The file, or a folder that the `datasets` library saved.
        columns: question, answers, prediction, id or score -> its name in the rows, where a file
            has names that are not in use; it may lead into a row: "doc.question".
        gold: A file of questions and answers, for predictions by id that come without them.

    Raises:
        UserError: The file is missing, empty or not UTF-8, its form is not known, or rows are
            malformed, lack a key or have the id of an earlier row. The message names file and
            line, of up to ten faults.
    """
    faults = loading.Faults(path)
    found = loading.load(
        path,
        faults=faults,
        columns_given=columns,
        gold=None if gold is None else gold_files.read(gold),
    )
    return _checked(found, path, faults)


def of_rows(rows: Iterable[object], *, columns: Mapping[str, str] | None = None) -> Read:
    """Takes rows in memory, objects with keys as a file of JSON lines has them.

    Args:
        rows: Mappings, or predictions of ours.
        columns: As `read_any` has it.

    Raises:
        UserError: As `read_any`.
    """
    listed = list(rows)
    ours = [row for row in listed if isinstance(row, Prediction)]
    if ours and len(ours) == len(listed):
        return Read(rows=ours, form="rows", notes={})
    plain = (row.as_dict() if isinstance(row, Prediction) else row for row in listed)
    faults = loading.Faults("the rows")
    found = loading.of_rows(plain, faults=faults, columns_given=columns)
    return _checked(found, "the rows", faults)


def _checked(found: loading.Loaded, path: str | os.PathLike[str], faults: loading.Faults) -> Read:
    rows: list[Prediction] = []
    lines_of_ids: dict[str, str] = {}
    for place, value in found.rows:
        with faults.at(place):
            row = parse(value)
            _claim_id(row, place.removeprefix(f"{path}:").strip(), lines_of_ids)
            rows.append(row)
    faults.tell()
    if not rows:
        raise UserError(f"{path} holds no predictions that can be scored: {_said(found.notes)}")
    return Read(rows=rows, form=found.form, notes=dict(found.notes))


def _said(notes: Mapping[str, int]) -> str:
    return "; ".join(f"{number:,} rows: {note}" for note, number in notes.items()) or "no rows"


def write(path: str | os.PathLike[str], rows: Iterable[Prediction | Mapping[str, Any]]) -> int:
    """Writes a predictions file under a temporary name, then renames it: all of it or nothing.

    Args:
        path: The file; one that exists is replaced, missing folders are made.
        rows: Predictions, or mappings with the format's keys; checked as `read` does.

    Returns:
        The number of rows.

    Raises:
        UserError: A row is not as the format says (the message names it), or the disk refuses.
    """
    path = path_at(path)
    lines_of_ids: dict[str, str] = {}
    number = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_files.opened(path, to_disk=True) as file:
            for number, row in enumerate(rows, start=1):
                with json_lines.place(f"{path}:{number}"):
                    checked = parse(row.as_dict() if isinstance(row, Prediction) else row)
                    _claim_id(checked, str(number), lines_of_ids)
                    file.write(_dump(checked))
    except OSError as error:
        raise UserError(
            f"cannot write the predictions {path}: {error.strerror}; free the disk or choose "
            "another folder"
        ) from error
    return number


def parse(row: object) -> Prediction:
    """Checks one decoded JSON object; "answer" stands for "answers" where that is missing.

    Raises:
        UserError: A key is missing or a value has the wrong type.

    >>> parse({"question": "capital of France?", "answers": "Paris", "prediction": "Lyon"}).answers
    ('Paris',)
    >>> parse({"question": "capital of France?", "prediction": "Lyon"})
    Traceback (most recent call last):
        ...
    closedbook.errors.UserError: "answers" is missing; a row needs question, answers, prediction
    """
    if not isinstance(row, Mapping):
        raise UserError(f"{shown(row)} is not a JSON object; write one object per line")
    if "answers" not in row and "answer" in row:
        row = {"answers" if key == "answer" else key: value for key, value in row.items()}
    for key in ("question", "answers", "prediction"):
        if key not in row:
            raise UserError(f'"{key}" is missing; a row needs question, answers, prediction')
    return Prediction(
        question=_typed(row, "question", str, "a string"),
        answers=_answers(row["answers"]),
        prediction=_typed(row, "prediction", str, "a string"),
        id=_id(row),
        score=_number(row, "score"),
        alternatives=_alternatives(row.get("alternatives")),
        task=_optional(row, "task", str, "a string"),
        split=_optional(row, "split", str, "a string"),
        step=_optional(row, "step", int, "an integer"),
        meta=_meta(row),
        extra={key: value for key, value in row.items() if key not in _KNOWN},
    )


_ELSE = "a key that means something else needs another name"
_KNOWN = {field.name for field in dataclasses.fields(Prediction)} - {"extra"}


def _claim_id(row: Prediction, place: str, lines_of_ids: dict[str, str]) -> None:
    if row.id is None:
        return
    first = lines_of_ids.setdefault(str(row.id), place)
    if first != place:
        raise UserError(f"id {row.id!r} also stands in row {first}; give each row its own id")


def _dump(row: Prediction) -> bytes:
    try:
        text = json.dumps(row.as_dict(), ensure_ascii=False, allow_nan=False)
        return text.encode() + b"\n"
    except (TypeError, ValueError) as error:
        raise UserError(f"a value cannot be written as JSON: {error}") from error


def _typed(
    row: Mapping[str, object], key: str, kind: type[_Kind] | tuple[type[_Kind], ...], words: str
) -> _Kind:
    value = row[key]
    # bool is an int to Python, not to a reader of the file.
    if not isinstance(value, kind) or isinstance(value, bool):
        raise UserError(f'"{key}" is {shown(value)}; it must be {words}')
    return value


def _optional(
    row: Mapping[str, object], key: str, kind: type[_Kind] | tuple[type[_Kind], ...], words: str
) -> _Kind | None:
    return None if row.get(key) is None else _typed(row, key, kind, f"{words} or null; {_ELSE}")


def _number(row: Mapping[str, object], key: str) -> float | None:
    value: float | None = _optional(row, key, (int, float), "a number")
    try:
        finite = value is None or math.isfinite(value)
    except OverflowError:  # an integer beyond any float
        finite = False
    if not finite:
        written = value if isinstance(value, float) else shown(value)
        raise UserError(f'"{key}" is {written}; it must be a finite number or null')
    return value


def _id(row: Mapping[str, object]) -> str | int | None:
    value = row.get("id")
    if value is None or isinstance(value, str):
        return value
    return _typed(row, "id", int, f"a string or an integer or null; {_ELSE}")


def _meta(row: Mapping[str, object]) -> Mapping[str, Any]:
    value = row.get("meta")
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UserError(f'"meta" is {shown(value)}; it must be an object or null; {_ELSE}')
    return value


def _answers(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise UserError(f'"answers" is {shown(value)}; it must be a list of strings or a string')
    if not value:
        raise UserError('"answers" is empty; give at least one acceptable answer')
    return tuple(value)


def _alternatives(value: object) -> tuple[Alternative, ...]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise UserError(f'"alternatives" is {shown(value)}; it must be a list of objects; {_ELSE}')
    result = []
    for item in value:
        if not isinstance(item, Mapping) or not isinstance(item.get("text"), str):
            raise UserError(
                f'"alternatives" holds {shown(item)}; each must be {{"text": ..., "score": ...}}'
            )
        result.append(Alternative(text=item["text"], score=_number(item, "score")))
    return tuple(result)
