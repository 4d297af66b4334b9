"""Edited models on the disk: the checkpoint, what was edited, and the bits that were there before.

    FOLDER/checkpoint_<step>/  model.json  vocabulary...   a model as any other
    FOLDER/edits.jsonl                                     what, where, when, norms, losses
    FOLDER/edits/delta_0001.npz ...                        one per edit command
    FOLDER/edits/before.npz                                the matrices of the stored original

The stored original is never touched. Undoing writes its bits back from `before.npz`, because
taking a sum of floating-point numbers apart again would round.
"""

import contextlib
import dataclasses
import datetime
import io
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from closedbook import whole_files
from closedbook.checkpoints import Format, Tensor, model_folder
from closedbook.checkpoints.convert import Options, Plan, convert, plan
from closedbook.errors import UserError
from closedbook.knowledge.editing import deltas
from closedbook.knowledge.editing.deltas import Delta
from closedbook.knowledge.editing.editor import applied
from closedbook.knowledge.editing.places import tensor_name
from closedbook.knowledge.editing.updates import Change

RECORD = "edits.jsonl"
_FOLDER = "edits"
_BEFORE = "before.npz"


@dataclasses.dataclass(frozen=True, kw_only=True)
class History:
    """What was edited in a stored model before.

    Attributes:
        records: The lines of edits.jsonl.
        deltas: Delta files' bytes by name, in order.
        before: Tensor's name -> its array in the stored original.
    """

    records: tuple[dict[str, Any], ...] = ()
    deltas: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    before: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


def history(source: str | pathlib.Path) -> History:
    """The history of a model, empty for one that was not edited.

    Raises:
        UserError: Its files are damaged.
    """
    if "://" in str(source) and not str(source).startswith("closedbook://"):
        return History()
    folder = pathlib.Path(source).expanduser()
    if not folder.is_dir():
        return History()
    folder = model_folder(folder)
    if not (folder / RECORD).is_file():
        return History()
    try:
        lines = (folder / RECORD).read_text(encoding="utf-8").splitlines()
        files = sorted((folder / _FOLDER).glob("delta_*.npz"))
        records = tuple(json.loads(line) for line in lines)
        names = [file.name for file in files]
        if not all(isinstance(each, dict) and each.get("delta") in names for each in records):
            raise ValueError(f"a line of {RECORD} names no delta file that is there")
        return History(
            records=records,
            deltas={file.name: file.read_bytes() for file in files},
            before=_read_arrays(folder / _FOLDER / _BEFORE),
        )
    except deltas.DAMAGE as error:
        raise _damaged(folder, str(error)) from error


def _damaged(folder: pathlib.Path, why: str) -> UserError:
    return UserError(f"the record of edits in {folder} is damaged: {why}")


def write(
    source: str | pathlib.Path,
    target: pathlib.Path,
    delta: Delta,
    *,
    options: Options | None = None,
) -> pathlib.Path:
    """Writes a model with more edits; it appears whole or not at all.

    Args:
        source: The model that was edited, of any format.
        target: The folder to make; one that is there is replaced.
        delta: The edits.
        options: Of the conversion to closedbook's format: a vocabulary, a prefix.

    Raises:
        UserError: The disk refuses, or the source cannot be read.
    """
    former = history(source)
    work = _plan(source, options)
    before = dict(former.before)
    tensors: dict[str, np.ndarray] = {}
    for place, change in delta.changes.items():
        name, layer = tensor_name(work.result.params, place)
        old = tensors.get(name)
        if old is None:
            stored = np.asarray(work.result.params[name].read())
            before.setdefault(name, stored)
            old = stored.astype(np.float32)
        tensors[name] = _changed(old, layer, change)
    name = f"delta_{len(former.deltas) + 1:04d}.npz"
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    records = (*former.records, *({**each, "when": now, "delta": name} for each in delta.records))
    after = History(records=records, deltas={**former.deltas, name: delta.content()}, before=before)
    return _write(work, target, tensors, after)


def undo(folder: str | pathlib.Path, *, keep: int = 0) -> int:
    """Takes edits of a stored model back, in its folder, to the same bits.

    Args:
        folder: An edited model's.
        keep: The first so many delta files stay.

    Returns:
        How many edits were taken back.

    Raises:
        UserError: The model was not edited, or the disk refuses: then it stays edited.
    """
    target = model_folder(folder)
    former = history(target)
    if not former.records:
        raise UserError(f"{folder} holds no edited model: there is no {RECORD}; nothing to undo")
    names = list(former.deltas)[:keep]
    work = _plan(target, None)
    tensors = dict(former.before)
    for name in _changed_tensors(target, former, work):
        old, now = tensors.get(name), work.result.params[name]
        if old is None or old.shape != tuple(now.shape):
            raise _damaged(target, f"{_BEFORE} does not hold {name} as it was")
    kept: dict[str, np.ndarray] = {}
    for name in names:
        for place, change in deltas.load(target / _FOLDER / name).changes.items():
            tensor, layer = tensor_name(work.result.params, place)
            old = kept.get(tensor, tensors[tensor]).astype(np.float32)
            kept[tensor] = _changed(old, layer, change)
    records = tuple(each for each in former.records if each["delta"] in names)
    before = {name: former.before[name] for name in kept}
    after = History(
        records=records, deltas={name: former.deltas[name] for name in names}, before=before
    )
    _write(work, target, {**tensors, **kept}, after)
    return len(former.records) - len(records)


def _changed_tensors(target: pathlib.Path, former: History, work: Plan) -> set[str]:
    """The names of all tensors that the deltas of a folder change."""
    return {
        tensor_name(work.result.params, place)[0]
        for name in former.deltas
        for place in deltas.load(target / _FOLDER / name).changes
    }


def _changed(matrix: np.ndarray, layer: int | None, change: Change) -> np.ndarray:
    """A tensor, float32, with the change of one layer's matrix."""
    if layer is None:
        return applied(matrix, change)
    changed = matrix.copy()
    changed[:, layer] = applied(matrix[:, layer], change)
    return changed


def _plan(source: str | pathlib.Path, options: Options | None) -> Plan:
    options = options or Options(to=Format.CLOSEDBOOK)
    return plan(source, dataclasses.replace(options, optimizer="drop"))


def _write(
    work: Plan, target: pathlib.Path, tensors: Mapping[str, np.ndarray], after: History
) -> pathlib.Path:
    made = {name: Tensor.of(array, f"edited {name}") for name, array in tensors.items()}
    result = dataclasses.replace(work.result, params={**work.result.params, **made})
    edited = dataclasses.replace(work, result=result)
    target = target.expanduser().absolute()
    with _refused(target), whole_files.folder(target, replace=target.exists()) as new:
        inside = new / "model"
        convert(work.source.path, inside, Options(to=Format.CLOSEDBOOK), planned=edited)
        for child in list(inside.iterdir()):
            child.rename(new / child.name)
        inside.rmdir()
        if after.records:
            (new / _FOLDER).mkdir()
            lines = (json.dumps(each, ensure_ascii=False) for each in after.records)
            (new / RECORD).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            for name, content in after.deltas.items():
                (new / _FOLDER / name).write_bytes(content)
            (new / _FOLDER / _BEFORE).write_bytes(_arrays(after.before))
    return target


@contextlib.contextmanager
def _refused(target: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{target} cannot be written: {error.strerror or error}; the model that was to be "
            "edited is as it was"
        ) from error


def _arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays of any type, bfloat16 too, as their bytes."""
    file = io.BytesIO()
    names: Sequence[str] = list(arrays)
    header = [[name, str(arrays[name].dtype), list(arrays[name].shape)] for name in names]
    parts = {
        f"array_{i}": np.frombuffer(np.ascontiguousarray(arrays[name]).tobytes(), np.uint8)
        for i, name in enumerate(names)
    }
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(file, allow_pickle=False, header=text, **parts)
    return file.getvalue()


def _read_arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    import ml_dtypes

    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
        header = json.loads(bytes(file["header"]).decode())
        types = {"bfloat16": np.dtype(ml_dtypes.bfloat16)}
        return {
            name: np.frombuffer(bytes(file[f"array_{i}"]), types.get(kind, kind)).reshape(shape)
            for i, (name, kind, shape) in enumerate(header)
        }
