"""Files that are one JSON value: logs of tools, tables of data frames, answers by id."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

from closedbook.errors import UserError
from closedbook.eval.files.forms import columns, tools
from closedbook.eval.files.forms.tools import Row
from closedbook.eval.files.json_lines import shown

_ROWS_UNDER = ("rows", "data", "results", "predictions", "examples", "samples", "details", "items")


@dataclasses.dataclass(frozen=True)
class Listed:
    """The rows of a document.

    Attributes:
        name: The form, for people.
        items: Place in the document, and the row; under our names where `ours`.
        ours: Whether the rows are under our names already.
        left_out: How many rows are not among them, by the reason in words.
    """

    name: str
    items: Iterator[tuple[str, object]]
    ours: bool = True
    left_out: Mapping[str, int] = dataclasses.field(default_factory=dict)


def rows(value: object) -> Listed | None:
    """The rows of a document; None where it is a row itself, or nothing that is known.

    Raises:
        UserError: It is a known form and not as it should be.
    """
    if not isinstance(value, Mapping):
        return None
    return next((found for form in _FORMS if (found := form(value)) is not None), None)


def _inspect(value: Row) -> Listed | None:
    samples = value.get("samples")
    if "eval" not in value or not isinstance(samples, list):
        return None
    if not samples:
        raise UserError("the log of inspect_ai holds no samples; log them: --log-samples")
    about = value["eval"] if isinstance(value["eval"], Mapping) else {}
    epochs = {_get(each, "epoch") for each in samples}

    def convert(sample: object) -> object:
        if not isinstance(sample, Mapping):
            return sample
        key = sample.get("id")
        if len(epochs) > 1:
            key = f"{key}, epoch {sample.get('epoch')}"
        return {
            "id": key,
            "question": sample.get("input"),
            "answers": sample.get("target"),
            "prediction": _completion(sample),
            "task": about.get("task"),
        }

    items = ((f"sample {i}", convert(each)) for i, each in enumerate(samples, 1))
    return Listed("a log of inspect_ai", items)


def _completion(sample: Row) -> object:
    output = sample.get("output")
    if not isinstance(output, Mapping):
        return None
    if isinstance(output.get("completion"), str):
        return output["completion"]
    choices = output.get("choices")
    return _get(choices[0], "message") if isinstance(choices, list) and choices else None


def _helm(value: Row) -> Listed | None:
    states = value.get("request_states")
    if not isinstance(states, list):
        return None
    plain = [each for each in states if not _get(_get(each, "instance"), "perturbation")]

    def convert(state: object) -> object:
        instance = _get(state, "instance")
        right = [
            _get(each, "output")
            for each in _list(_get(instance, "references"))
            if "correct" in _list(_get(each, "tags"))
        ]
        said = _list(_get(_get(state, "result"), "completions"))
        return {
            "id": _get(instance, "id"),
            "question": _get(instance, "input"),
            "answers": right,
            "prediction": said[0] if said else None,
            "split": _get(instance, "split"),
        }

    items = ((f"request state {i}", convert(each)) for i, each in enumerate(plain, 1))
    perturbed = len(states) - len(plain)
    left_out = {"a perturbed instance": perturbed} if perturbed else {}
    return Listed("HELM's scenario state", items, left_out=left_out)


def _selfrag(value: Row) -> Listed | None:
    said, right, prompts = value.get("preds"), value.get("golds"), value.get("prompts")
    if not isinstance(said, list) or not isinstance(right, list):
        return None
    if not isinstance(prompts, list):
        raise UserError('"preds" and "golds" are here, but no "prompts" to tell the questions')
    if not len(said) == len(right) == len(prompts):
        raise UserError(
            f"{len(said)} preds, {len(right)} golds and {len(prompts)} prompts; they must be alike"
        )
    items = (
        (
            f"prediction {i}",
            {"id": i, "question": tools.instruction(prompt), "answers": gold, "prediction": pred},
        )
        for i, (prompt, gold, pred) in enumerate(zip(prompts, right, said, strict=True), 1)
    )
    return Listed("self-RAG's output", items)


def _opencompass(value: Row) -> Listed | None:
    first = _first(value)
    if not isinstance(first, Mapping) or not {"origin_prompt", "prediction"} <= set(first):
        return None

    def convert(row: object) -> object:
        if not isinstance(row, Mapping):
            return row
        return {
            "question": row.get("origin_prompt"),
            "answers": row.get("gold", row.get("reference")),
            "prediction": row.get("prediction"),
        }

    items = ((f"key {key!r}", {"id": key, **_row(convert(row))}) for key, row in value.items())
    return Listed("OpenCompass's predictions", items)


def _table(value: Row) -> Listed | None:
    """W&B's tables, and pandas' orient="split"."""
    names, data = value.get("columns"), value.get("data")
    if not isinstance(names, list) or not isinstance(data, list):
        return None
    wrong = next((row for row in data if not isinstance(row, list) or len(row) != len(names)), None)
    if wrong is not None:
        raise UserError(f'"data" has {shown(wrong)} for the columns {shown(names)}')
    keys = [str(name) for name in names]
    items = ((f"row {i}", dict(zip(keys, row, strict=True))) for i, row in enumerate(data, 1))
    return Listed("a table of columns and data (W&B, pandas)", items, ours=False)


def _schema(value: Row) -> Listed | None:
    data = value.get("data")
    if "schema" not in value or not isinstance(data, list):
        return None
    return Listed("a pandas table with its schema", _numbered(data), ours=False)


def _frame(value: Row) -> Listed | None:
    """pandas' orient="columns" and "index"."""
    if not value or not all(isinstance(each, Mapping | list) for each in value.values()):
        return None
    by_name = [_row(each) for each in value.values() if isinstance(each, Mapping)]
    if columns.are_names(list(value)):
        keys = list(by_name[0]) if by_name else []
        listed = [each for each in value.values() if isinstance(each, list)]
        if listed and not by_name and len({len(each) for each in listed}) == 1:
            made = (dict(zip(value, row, strict=True)) for row in zip(*listed, strict=True))
            return Listed("lists by column", _numbered(made), ours=False)
        if len(by_name) < len(value) or any(list(each) != keys for each in by_name):
            raise UserError("the columns have other rows each; write the frame as JSON lines")
        items = (
            (f"row {key!r}", {name: _row(cells)[key] for name, cells in value.items()})
            for key in keys
        )
        return Listed("a pandas frame by columns", items, ours=False)
    if len(by_name) == len(value) and columns.are_names(list(by_name[0])):
        return Listed("rows by key", ((f"row {k!r}", row) for k, row in value.items()), ours=False)
    return None


def _nested(value: Row) -> Listed | None:
    """Rows under one of the usual keys, such as the details of a run."""
    for key in _ROWS_UNDER:
        under = value.get(key)
        if isinstance(under, list) and under and isinstance(under[0], Mapping):
            return Listed(f'rows under "{key}"', _numbered(under), ours=False)
        if isinstance(under, Mapping) and (found := rows(under)) is not None:
            return found
    return None


def _by_id(value: Row) -> Listed | None:
    """SQuAD's predictions: a text by id; questions and answers are in another file."""
    if not value or not all(isinstance(each, str) or each is None for each in value.values()):
        return None
    if columns.guess(list(value)).paths:  # a row
        return None
    items = ((f"id {key!r}", {"id": key, "prediction": text}) for key, text in value.items())
    return Listed("answers by id (SQuAD)", items)


_FORMS: Sequence[Callable[[Row], Listed | None]] = (
    _inspect,
    _helm,
    _selfrag,
    _opencompass,
    _table,
    _schema,
    _frame,
    _by_id,
    _nested,
)


def _numbered(found: Iterator[object] | Sequence[object]) -> Iterator[tuple[str, object]]:
    return ((f"row {i}", row) for i, row in enumerate(found, 1))


def _first(value: Row) -> object:
    return next(iter(value.values()), None)


def _get(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, Mapping) else None


def _row(value: object) -> Row:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else []
