"""Arrays in an Orbax folder, read and written one at a time.

Orbax itself restores and saves whole trees; converting needs one array at a time. An Orbax folder
is an OCDBT database (or, before 2023, plain folders) of zarr arrays by dotted name, and a
`_METADATA` file with the tree.
"""

import collections
import json
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from closedbook.checkpoints.storage import Storage
from closedbook.checkpoints.tensors import Index, Tensor, read_ahead
from closedbook.checkpoints.zarr_writing import chunk_shape
from closedbook.errors import UserError

_IN_FLIGHT_BYTES = 2**27  # of writes that are under way; a larger array is written alone
_METADATA = "_METADATA"
_DRIVERS = {".zarray": "zarr", "zarr.json": "zarr3"}  # by the file with an array's header


def read_arrays(storage: Storage) -> dict[str, Tensor]:
    """The arrays of an Orbax item ("params", "state") by name, joined with "/".

    Args:
        storage: The item's folder.

    Raises:
        UserError: It is not an Orbax folder, or damaged.
    """
    import tensorstore as ts

    database = "manifest.ocdbt" in storage.names()
    base = storage.kvstore()
    kvstore = {"driver": "ocdbt", "base": base} if database else base
    try:
        opened = ts.KvStore.open(kvstore).result()
        keys = [key.decode() for key in opened.list().result()]
    except (ValueError, OSError) as error:
        detail = " ".join(str(error).split())[:300]
        raise UserError(f"{storage.root} cannot be read as an Orbax folder: {detail}") from error
    chunks = collections.Counter(key.rpartition("/")[0] for key in keys)
    opening = {}
    for key in sorted(keys):
        name, _, file = key.rpartition("/")
        if file in _DRIVERS:
            spec = {"driver": _DRIVERS[file], "kvstore": kvstore, "path": f"{name}/"}
            opening[name] = ts.open(spec, open=True, read=True)
    if not opening:
        raise UserError(
            f"{storage.root} holds no arrays; expected is an Orbax folder with {_METADATA}"
        )
    full = _stores_fill_values(storage)
    found: dict[str, Tensor] = {}
    for name, future in opening.items():
        place = f"{storage.root}: {name}"
        try:
            store = future.result()
        except (ValueError, OSError) as error:
            detail = " ".join(str(error).split())[:300]
            raise UserError(f"{place} cannot be read: {detail}") from error
        if full and store.spec().to_json()["driver"] == "zarr":
            _check_whole(store, chunks[name] - 1, place)
        found[name.replace(".", "/")] = _tensor(store, place)
    return found


def _check_whole(store: Any, chunks: int, place: str) -> None:
    grid = store.chunk_layout.read_chunk.shape or ()  # a number has no grid
    wanted = math.prod(-(-n // c) for n, c in zip(store.shape, grid, strict=True))
    if chunks < wanted:
        raise UserError(
            f"{place} is damaged: {wanted - chunks} of its {wanted} chunks are missing; copy or "
            "download the checkpoint again"
        )


def _tensor(store: Any, place: str) -> Tensor:
    def load(index: Index) -> np.ndarray:
        return np.asarray((store[index] if index else store).read().result())

    return Tensor(
        shape=tuple(store.shape),
        dtype=np.dtype(store.dtype.numpy_dtype),
        place=place,
        load=load,
    )


def _stores_fill_values(storage: Storage) -> bool:
    """Whether arrays of zeros have chunks too, so that a missing chunk means damage."""
    if _METADATA not in storage.names():
        return False
    try:
        tree = json.loads(storage.read(_METADATA))
        return bool(tree.get("store_array_data_equal_to_fill_value"))
    except (ValueError, AttributeError) as error:
        raise UserError(
            f"{storage.root}/{_METADATA} is damaged: {error}; copy the checkpoint again"
        ) from error


def write_arrays(folder: pathlib.Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes an Orbax item that `ocp.StandardCheckpointHandler` and T5X restore.

    Args:
        folder: Is made; must not exist.
        tensors: By name, joined with "/"; read and written one after the other.

    Raises:
        UserError: An array cannot be read, or the disk is full or the like.
    """
    import tensorstore as ts

    folder.mkdir(parents=True)
    kvstore = {"driver": "ocdbt", "base": Storage.at(folder).kvstore()}
    # Every array's header is a commit to the database; made at once they share one.
    context = ts.Context({"cache_pool": {"total_bytes_limit": 0}, "file_io_sync": False})
    opening = {}
    for name, tensor in tensors.items():
        spec = {
            "driver": "zarr",
            "kvstore": kvstore,
            "path": f"{name.replace('/', '.')}/",
            "metadata": {
                "chunks": list(chunk_shape(tensor.shape, tensor.dtype.itemsize)),
                "compressor": None,  # weights hardly shrink, and the disk is faster than zstd
                "dimension_separator": ".",
                "shape": list(tensor.shape),
            },
            "dtype": tensor.dtype.name,
            "store_data_equal_to_fill_value": True,
        }
        opening[name] = ts.open(spec, create=True, open=True, context=context)
    waiting: list[tuple[int, Any]] = []  # bytes of a write that is under way, and its end
    try:
        for name, array in zip(tensors, read_ahead(tensors.values()), strict=True):
            store = opening[name].result()
            written = store.write(array, can_reference_source_data_indefinitely=True)
            waiting.append((array.nbytes, written))
            del array, written
            while waiting and sum(size for size, _ in waiting) > _IN_FLIGHT_BYTES:
                waiting.pop(0)[1].result()
        for _, written in waiting:
            written.result()
    except BaseException as error:
        # What is under way would bring files back into a folder that the caller removes.
        for future in [*opening.values(), *(written for _, written in waiting)]:
            future.exception()
        if isinstance(error, ValueError | OSError):  # of TensorStore; tensors raise UserError
            detail = " ".join(str(error).split())[:300]
            raise UserError(f"{folder} cannot be written: {detail}") from error
        raise
    tree = {str(tuple(name.split("/"))): _leaf(name, t.shape) for name, t in tensors.items()}
    arrays = [
        {
            "array_metadata": {
                "param_name": name.replace("/", "."),
                "write_shape": list(tensor.shape),
                "chunk_shape": list(chunk_shape(tensor.shape, tensor.dtype.itemsize)),
                "ext_metadata": None,
            }
        }
        for name, tensor in tensors.items()
    ]
    (folder / "array_metadatas").mkdir()
    _write_json(folder / "array_metadatas" / "process_0", {"array_metadatas": arrays})
    metadata = {
        "tree_metadata": tree,
        "use_ocdbt": True,
        "use_zarr3": False,
        "store_array_data_equal_to_fill_value": True,
        "custom_metadata": None,
    }
    _write_json(folder / _METADATA, metadata)
    _to_disk(folder)


def _leaf(name: str, shape: Sequence[int]) -> dict[str, Any]:
    dict_key = 2  # Orbax's KeyType.DICT
    return {
        "key_metadata": [{"key": key, "key_type": dict_key} for key in name.split("/")],
        "value_metadata": {
            "value_type": "jax.Array",
            "skip_deserialize": False,
            "write_shape": list(shape),
        },
    }


def _to_disk(folder: pathlib.Path) -> None:
    """Waits until all files below a folder are on the disk, as the writes themselves did not."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _write_json(path: pathlib.Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")
