"""T5X's native format, version 3: a msgpack file with the tree, and a zarr folder for each array.

The public T5X checkpoints are in it. A leaf of the tree is an array, or the TensorStore spec of a
folder beside the file. T5X writes as arrays what it does not partition: the step, `v_row` and
`v_col`, and slots that are not used (t5x/checkpoints.py, `Checkpointer`; t5x/adafactor.py,
`derive_logical_axes`).
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import serialization

from closedbook.checkpoints.files.msgpack import read_msgpack
from closedbook.checkpoints.files.zarr_folders import ZarrArray, open_arrays
from closedbook.checkpoints.files.zarr_writing import LEVEL, chunk_shape, write_arrays
from closedbook.checkpoints.formats import Format
from closedbook.checkpoints.places.storage import Storage
from closedbook.checkpoints.t5x.state import VERSION, checkpoint_of, state_of
from closedbook.checkpoints.tensors import Checkpoint, Tensor, flatten, nest
from closedbook.errors import UserError

FILE = "checkpoint"
_WRAPPER = "state"  # where Orbax keeps T5X's train state
_FILES = ("file", "gfile")  # TensorStore's names for local and for Google's files
_PLACEHOLDER = "PLACEHOLDER://"  # Orbax, before it had a database: the folder's name follows


def open_t5x(storage: Storage) -> Checkpoint:
    """Opens a `checkpoint_<step>` folder.

    Args:
        storage: The folder, local or in a bucket.

    Raises:
        UserError: A file is absent or damaged, or the tree refers to something else than the
            arrays beside it.
    """
    names = storage.names()
    if FILE not in names and f"{_WRAPPER}/" in names and FILE in (storage / _WRAPPER).names():
        storage = storage / _WRAPPER
    elif FILE not in names:
        raise UserError(
            f"{storage.root} is not a T5X checkpoint: it has no file {FILE!r}; give a "
            "checkpoint_<step> folder"
        )
    tree = read_msgpack(storage, FILE)
    return checkpoint_of(
        resolved(tree, storage, FILE), format=Format.T5X, path=f"{storage.root}/{FILE}"
    )


def resolved(tree: dict[str, Any], storage: Storage, file: str) -> dict[str, Any]:
    """A tree whose references to folders have become tensors.

    Args:
        tree: From a msgpack file.
        storage: The folder where the file is.
        file: The file's name, for messages.

    Raises:
        UserError: A folder is not in `storage`, is damaged, or differs from the reference.
    """
    flat = flatten(tree, leaf=_is_spec)
    folders = {}
    for name, leaf in flat.items():
        place = f"{storage.root}/{file}: {name}"
        if isinstance(leaf, dict):
            folders[name] = _folder(leaf, place)
        elif isinstance(leaf, str) and leaf.startswith(_PLACEHOLDER):
            folders[name] = _inside(leaf.removeprefix(_PLACEHOLDER), place)
    if not storage.remote:
        root = storage.local.resolve()
        for name, folder in folders.items():
            if not (root / folder).resolve().is_relative_to(root):
                raise UserError(f"{storage.root}/{folder} ({name}) is a link out of the checkpoint")
    arrays = open_arrays(storage, folders)
    for name, array in arrays.items():
        if isinstance(flat[name], dict):
            _check(flat[name], array, f"{storage.root}/{file}: {name}")
    # A dict without entries is no leaf, so `flatten` leaves it out: such are optax's empty states.
    return nest(flat | {name: array.tensor() for name, array in arrays.items()})


def _is_spec(node: Mapping[str, object]) -> bool:
    return isinstance(node.get("driver"), str)


def _folder(spec: dict[str, Any], place: str) -> str:
    """The folder that a spec names. Nothing else of a spec is ever given to TensorStore."""
    kvstore = spec.get("kvstore")
    driver = kvstore.get("driver") if isinstance(kvstore, dict) else kvstore
    if spec.get("driver") != "zarr" or driver not in (*_FILES, "gcs"):
        raise UserError(
            f"{place} is to be read by the drivers {spec.get('driver')!r:.40} and "
            f"{driver!r:.40}; T5X writes zarr arrays in files, and nothing else is opened"
        )
    path = kvstore.get("path", spec.get("path")) if isinstance(kvstore, dict) else None
    if not isinstance(path, str):
        raise UserError(f"{place} has no path to its array's folder")
    if driver == "gcs":  # a path in the bucket where it was written; the folder's name is the last
        path = path.rstrip("/").rpartition("/")[2]
    return _inside(path, place)


def _inside(path: str, place: str) -> str:
    parts = path.removesuffix("/").split("/")
    if not {"", ".", ".."}.isdisjoint(parts) or "\\" in path or "\0" in path:
        raise UserError(
            f"{place} is to be read from {path!r:.100}; a folder inside the checkpoint is expected"
        )
    return "/".join(parts)


def _check(spec: dict[str, Any], array: ZarrArray, place: str) -> None:
    """That a reference says of its array what the array says of itself."""
    metadata = spec.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    shape, dtype = metadata.get("shape"), spec.get("dtype", array.dtype.name)
    if shape != list(array.shape):
        raise UserError(
            f"{place} has shape {shape!r:.80}, and {array.storage.root} shape {list(array.shape)}"
        )
    if dtype != array.dtype.name:
        raise UserError(f"{place} is {dtype!r:.40}, and {array.storage.root} {array.dtype.name}")


def write_t5x(folder: pathlib.Path, checkpoint: Checkpoint) -> None:
    """Writes what belongs into a `checkpoint_<step>` folder.

    Without slots T5X restores it for evaluation and inference, and for a training where
    `RestoreCheckpointConfig.fallback_to_scratch` is True.

    Args:
        folder: Exists and is empty.
        checkpoint: Read and written array by array.

    Raises:
        UserError: An array cannot be read, or the disk is full.
    """
    leaves: dict[str, Any] = {}
    arrays: dict[str, Tensor] = {}
    for name, tensor in state_of(checkpoint).items():
        if _inline(name, tensor):
            leaves[name] = np.asarray(tensor.read())
        else:
            arrays[name.replace("/", ".")] = tensor
            leaves[name] = _spec(name, tensor)
    write_arrays(folder, arrays)
    content = serialization.msgpack_serialize(
        {"version": VERSION, "optimizer": _sorted(nest(leaves))}, in_place=True
    )
    try:
        (folder / FILE).write_bytes(content)
    except OSError as error:
        raise UserError(f"{folder / FILE} cannot be written: {error.strerror}") from error


def _inline(name: str, tensor: Tensor) -> bool:
    if not name.startswith("state/param_states/"):
        return not name.startswith("target/")
    return name.rpartition("/")[2] in ("v_row", "v_col") or tensor.shape == (1,)


def _spec(name: str, tensor: Tensor) -> dict[str, Any]:
    return {
        "driver": "zarr",
        "dtype": tensor.dtype.name,
        "kvstore": {"driver": "file", "path": f"{name.replace('/', '.')}/"},
        "metadata": {
            "chunks": list(chunk_shape(tensor.shape, tensor.dtype.itemsize)),
            "compressor": {"id": "gzip", "level": LEVEL},
            "shape": list(tensor.shape),
        },
    }


def _sorted(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _sorted(value) if isinstance(value, dict) else value
        for name, value in sorted(tree.items())
    }
