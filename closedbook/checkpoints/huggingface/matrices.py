"""Tensors of Hugging Face folders, whatever the model: turned, compared, written in files."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping

import numpy as np

from closedbook.checkpoints.files.file_arrays import FileArray, copied
from closedbook.checkpoints.files.safetensors import write_safetensors
from closedbook.checkpoints.huggingface.config import write_json
from closedbook.checkpoints.tensors import Index, Tensor
from closedbook.errors import UserError

SAFETENSORS = "model.safetensors"
INDEX = ".index.json"
_ROWS = 4096  # of an embedding, compared at once


def transposed(tensor: Tensor) -> Tensor:
    """The transpose of a matrix; anything else as it is."""
    if len(tensor.shape) != 2:
        return tensor
    load: Callable[[Index], np.ndarray]
    if isinstance(tensor.load, FileArray):
        load = tensor.load.transposed
    else:

        def load(index: Index) -> np.ndarray:
            full = (*index, *[slice(None)] * (2 - len(index)))
            return copied(tensor.read(full[::-1]).T)

    return dataclasses.replace(tensor, shape=tensor.shape[::-1], load=load)


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two matrices are equal bit by bit; reads only what does not share its bytes."""
    if one is other or one.load == other.load:
        return True
    if one.shape != other.shape or one.dtype != other.dtype or not one.shape:
        return False
    return all(
        one.read((slice(row, row + _ROWS),)).tobytes()
        == other.read((slice(row, row + _ROWS),)).tobytes()
        for row in range(0, one.shape[0], _ROWS)
    )


def check_floats(params: Mapping[str, Tensor]) -> None:
    """Refuses parameters that are whole numbers.

    Raises:
        UserError: One is; quantised models are such.
    """
    for tensor in params.values():
        if not np.issubdtype(tensor.dtype, np.floating) and tensor.dtype.name != "bfloat16":
            raise UserError(
                f"{tensor.place} is of type {tensor.dtype}; give the model before it was quantised"
            )


def common_type(tensors: Mapping[str, Tensor]) -> np.dtype:
    """The type that most of the tensors have."""
    dtypes = [tensor.dtype for tensor in tensors.values()]
    return max(dtypes, key=dtypes.count, default=np.dtype(np.float32))


def write_weights(folder: pathlib.Path, tensors: Mapping[str, Tensor], max_bytes: int) -> None:
    """Writes tensors as one safetensors file, or as several with an index.

    Args:
        folder: An existing folder.
        tensors: By the names that they are to have.
        max_bytes: Of tensors in a file; a larger tensor has a file of its own.
    """
    shards = _shards(tensors, max_bytes)
    if len(shards) == 1:
        write_safetensors(folder / SAFETENSORS, shards[0])
        return
    weight_map = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        write_safetensors(folder / file, shard)
        weight_map.update(dict.fromkeys(shard, file))
    total = sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    write_json(folder / (SAFETENSORS + INDEX), index)


def _shards(tensors: Mapping[str, Tensor], max_bytes: int) -> list[dict[str, Tensor]]:
    shards: list[dict[str, Tensor]] = [{}]
    room = max_bytes
    for name, tensor in tensors.items():
        if tensor.nbytes > room and shards[-1]:
            shards.append({})
            room = max_bytes
        shards[-1][name] = tensor
        room -= tensor.nbytes
    return shards
