"""Delta files: what edits changed, as small factors, and for which model.

A file is an npz archive of arrays and a JSON header, and never of code. Of a rank-one edit it
holds two vectors.
"""

import dataclasses
import io
import json
import os
import pathlib
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from closedbook import whole_files
from closedbook.errors import UserError
from closedbook.knowledge.editing.editor import applied
from closedbook.knowledge.editing.places import Place, kernel, places, with_kernels
from closedbook.knowledge.editing.updates import Change
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.models.parameters import Params

FORMAT = 1
DAMAGE = (  # what reading a damaged archive of arrays and JSON raises
    *(OSError, EOFError, ValueError, LookupError, TypeError, ArithmeticError),
    *(RecursionError, NotImplementedError, zipfile.BadZipFile, zlib.error),
)
_HEADER = "header"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Delta:
    """Changes of one model's value matrices.

    Attributes:
        model: The hash of the model that they were made for (`LoadedModel.sha256`).
        changes: Place -> change, factors of float32 numbers.
        records: What was edited: the lines of edits.jsonl.
    """

    model: str
    changes: Mapping[Place, Change]
    records: tuple[dict[str, Any], ...] = ()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the file, whole or not at all.

        Raises:
            UserError: The disk refuses.
        """
        try:
            whole_files.write_bytes(path, self.content())
        except OSError as error:
            raise UserError(
                f"{os.fspath(path)} cannot be written: {error.strerror}; nothing was changed"
            ) from error

    def content(self) -> bytes:
        """The bytes of the file."""
        arrays: dict[str, np.ndarray] = {}
        named = []
        for number, (place, change) in enumerate(sorted(self.changes.items())):
            arrays[f"left_{number}"] = change.left.astype(np.float32)
            arrays[f"right_{number}"] = change.right.astype(np.float32)
            named.append([place.stack, place.layer])
        header = {
            "format": FORMAT,
            "model": self.model,
            "places": named,
            "records": list(self.records),
        }
        text = json.dumps(header, ensure_ascii=False).encode()
        arrays[_HEADER] = np.frombuffer(text, np.uint8)
        file = io.BytesIO()
        np.savez_compressed(file, allow_pickle=False, **arrays)
        return file.getvalue()


def load(path: str | os.PathLike[str]) -> Delta:
    """Reads a delta file.

    Raises:
        UserError: There is none, it is damaged, or of a newer format.
    """
    try:
        content = io.BytesIO(pathlib.Path(path).expanduser().read_bytes())
        if not zipfile.is_zipfile(content):  # NumPy would speak of pickles
            raise ValueError("it is no archive of arrays")
        with np.load(content, allow_pickle=False) as arrays:
            header = json.loads(bytes(arrays[_HEADER]).decode())
            if header["format"] != FORMAT:
                raise UserError(
                    f"{path} has format {header['format']!r}, this closedbook reads {FORMAT}"
                )
            changes = {}
            for number, (stack, layer) in enumerate(header["places"]):
                left, right = arrays[f"left_{number}"], arrays[f"right_{number}"]
                if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[0]:
                    raise ValueError(f"factors {left.shape} and {right.shape} do not fit")
                if not (np.isfinite(left).all() and np.isfinite(right).all()):
                    raise ValueError("a factor holds numbers that are not finite")
                changes[Place(str(stack), int(layer))] = Change(
                    left.astype(np.float64), right.astype(np.float64)
                )
            records = tuple(header["records"])
            if not all(isinstance(each, dict) for each in records):
                raise ValueError("its records are no objects")
            return Delta(model=str(header["model"]), changes=changes, records=records)
    except FileNotFoundError as error:
        raise UserError(f"no such delta file: {path}") from error
    except DAMAGE as error:
        raise UserError(
            f"{path} is no delta file, or a damaged one: {' '.join(str(error).split())[:200]}"
        ) from error


def check_fits(delta: Delta, model: LoadedModel, path: str | os.PathLike[str]) -> None:
    """Checks that a delta was made for a model.

    Raises:
        UserError: It was made for another one.
    """
    for place, change in delta.changes.items():
        places(model.config, place.stack, [place.layer])
        shape = (change.left.shape[0], change.right.shape[1])
        if shape != kernel(model.params, place).shape:
            raise UserError(
                f"{path} changes a matrix of shape {list(shape)} in {place}; the model has "
                f"{list(kernel(model.params, place).shape)}: it was made for another model"
            )
    if delta.model != model.sha256:
        raise UserError(
            f"{path} was made for the model {delta.model[:12]}..., this one is "
            f"{model.sha256[:12]}...; apply it to the model that was edited"
        )


def with_delta(params: Params, changes: Mapping[Place, Change]) -> Params:
    """Parameters with the changes added."""
    return with_kernels(
        params, {place: applied(kernel(params, place), each) for place, each in changes.items()}
    )


def compare(one: Delta, other: Delta) -> list[dict[str, Any]]:
    """Per place of either: norms, and the cosine between the two changes where both have it."""
    rows = []
    for place in sorted({*one.changes, *other.changes}):
        pair: Sequence[np.ndarray | None] = [
            each.changes[place].matrix if place in each.changes else None for each in (one, other)
        ]
        norms = [None if each is None else float(np.linalg.norm(each)) for each in pair]
        cosine = None
        first, second = pair
        if first is not None and second is not None and first.shape == second.shape:
            product = float(norms[0] or 0) * float(norms[1] or 0)
            cosine = float((first * second).sum() / product) if product else None
        rows.append({"place": str(place), "norms": norms, "cosine": cosine})
    return rows
