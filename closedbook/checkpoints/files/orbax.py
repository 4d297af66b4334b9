"""Arrays in an Orbax folder, read and written one at a time.

Orbax itself restores and saves whole trees; converting needs one array at a time. An Orbax folder
is an OCDBT database (or, before 2023, plain folders) of zarr arrays by dotted name, and a
`_METADATA` file with the tree.
"""

import collections
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from closedbook.checkpoints.files import zarr_writing
from closedbook.checkpoints.places.storage import Storage
from closedbook.checkpoints.tensors import Index, Tensor
from closedbook.errors import UserError

if TYPE_CHECKING:
    import tensorstore as ts

_METADATA = "_METADATA"
_NODES = 2**26  # bytes
_DRIVERS = {".zarray": "zarr", "zarr.json": "zarr3"}  # by the file with an array's header


def read_arrays(storage: Storage) -> dict[str, Tensor]:
    """The arrays of an Orbax item ("params", "state") by name, joined with "/".

    Args:
        storage: The item's folder.

    Raises:
        UserError: The folder is not one of Orbax, or it is damaged.
    """
    import tensorstore as ts

    database = "manifest.ocdbt" in storage.names()
    base = storage.kvstore()
    kvstore = {"driver": "ocdbt", "base": base} if database else base
    # All arrays begin with the same few nodes of the database, which a bucket need not send anew.
    kept = {"cache_pool": {"total_bytes_limit": _NODES}} if storage.remote else {}
    context = ts.Context(kept)
    try:
        opened = ts.KvStore.open(kvstore, context=context).result()
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
            opening[name] = ts.open(spec, open=True, read=True, context=context)
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


def _check_whole(store: "ts.TensorStore", chunks: int, place: str) -> None:
    grid = store.chunk_layout.read_chunk.shape or ()  # a number has no grid
    sizes = [-(-n // (c or n or 1)) for n, c in zip(store.shape, grid, strict=True)]
    wanted = math.prod(sizes)
    if chunks < wanted:
        raise UserError(
            f"{place} is damaged: {wanted - chunks} of its {wanted} chunks are missing; copy or "
            "download the checkpoint again"
        )


def _tensor(store: "ts.TensorStore", place: str) -> Tensor:
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
        folder: The folder to make; it must not exist.
        tensors: The tensors by their names in the tree, joined with "/"; they are read and
            written one after the other.

    Raises:
        UserError: An array cannot be read, or the disk is full or the like.
    """
    folder.mkdir(parents=True)
    arrays_by_folder = {name.replace("/", "."): tensor for name, tensor in tensors.items()}
    # Orbax's database of arrays costs as much again as the disk, and it reads plain folders too.
    zarr_writing.write_arrays(folder, arrays_by_folder, gzipped=False)
    tree = {str(tuple(name.split("/"))): _leaf(name, t.shape) for name, t in tensors.items()}
    arrays = [
        {
            "array_metadata": {
                "param_name": name.replace("/", "."),
                "write_shape": list(tensor.shape),
                "chunk_shape": list(zarr_writing.chunk_shape(tensor.shape, tensor.dtype.itemsize)),
                "ext_metadata": None,
            }
        }
        for name, tensor in tensors.items()
    ]
    (folder / "array_metadatas").mkdir()
    _write_json(folder / "array_metadatas" / "process_0", {"array_metadatas": arrays})
    metadata = {
        "tree_metadata": tree,
        "use_ocdbt": False,
        "use_zarr3": False,
        "store_array_data_equal_to_fill_value": True,
        "custom_metadata": None,
    }
    _write_json(folder / _METADATA, metadata)


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


def _write_json(path: pathlib.Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")
