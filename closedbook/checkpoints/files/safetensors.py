"""Reads and writes safetensors files, tensor by tensor.

A file is a length (8 bytes, little-endian), a JSON header of that length, and the arrays without
gaps in between (https://github.com/huggingface/safetensors#format). The reader is ours because
one tensor must not leave its pages mapped when the next is read, and because every claim of a
header is checked against the file before anything is allocated.
"""

import json
import pathlib
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from closedbook.checkpoints.files.file_arrays import FileArray, check_name
from closedbook.checkpoints.tensors import Tensor, read_ahead
from closedbook.errors import UserError

DTYPES: dict[str, np.dtype] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
MAX_HEADER = 100_000_000  # bytes; the limit of the specification
WRITE_BYTES = 64 << 20  # of a tensor at once


def open_safetensors(path: pathlib.Path) -> dict[str, Tensor]:
    """The tensors of a file by their names; only the header is read.

    Raises:
        UserError: The file is not valid safetensors.
    """
    header, start = _header(path)
    size = path.stat().st_size - start
    tensors: dict[str, Tensor] = {}
    spans = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        check_name(path, name)
        dtype, shape, begin, end = _entry(path, name, entry, size)
        spans.append((begin, end, name))
        array = FileArray.contiguous(path, start + begin, dtype, shape)
        tensors[name] = array.tensor(f"{path}: {name}")
    covered = 0
    for begin, end, name in sorted(spans):
        if begin != covered:
            what = "overlap other tensors" if begin < covered else "leave a gap before them"
            raise UserError(f"{path}: {name}: its data_offsets {what}; the file is damaged")
        covered = end
    if covered != size:
        raise UserError(
            f"{path} holds {size} bytes of tensors where its header describes {covered}; "
            "the file is incomplete or damaged, copy or download it again"
        )
    return tensors


def _header(path: pathlib.Path) -> tuple[dict[str, Any], int]:
    """The header, and the byte at which the arrays start."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, MAX_HEADER):
                raise UserError(
                    f"{path} is no safetensors file, or an incomplete one: it has {size} bytes "
                    f"and claims a header of {length}; copy or download it again"
                )
            text = file.read(length)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} has a damaged safetensors header: {error}") from error
    if not isinstance(header, dict):
        raise UserError(f"{path} has a safetensors header that is not an object; it is damaged")
    return header, 8 + length


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name[:200]!r} appears twice")
        found[name] = value
    return found


def _natural(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _entry(
    path: pathlib.Path, name: str, entry: object, size: int
) -> tuple[np.dtype, tuple[int, ...], int, int]:
    """Type, shape, first byte and end of a tensor, checked against the `size` bytes of arrays."""
    place = f"{path}: {name}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise UserError(f"{place}: its header needs dtype, shape and data_offsets, no more")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise UserError(
            f"{place} has the type {str(dtype)[:40]!r}; types that can be read: {', '.join(DTYPES)}"
        )
    if not isinstance(shape, list) or len(shape) > 32 or not all(map(_natural, shape)):
        raise UserError(f"{place}: its shape is not a list of natural numbers")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_natural, offsets)):
        raise UserError(f"{place}: its data_offsets are not two natural numbers")
    begin, end = offsets
    if not begin <= end <= size:
        raise UserError(
            f"{place}: its data_offsets {begin}, {end} are not within the file's {size} bytes of "
            "tensors; the file is incomplete or damaged, copy or download it again"
        )
    length = DTYPES[dtype].itemsize
    for n in shape:
        length *= n
    if length != end - begin:
        raise UserError(
            f"{place}: shape {shape} of {dtype} takes {length} bytes, its data_offsets span "
            f"{end - begin}; the file is damaged"
        )
    return DTYPES[dtype], tuple(shape), begin, end


def write_safetensors(path: pathlib.Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes a file, holding one tensor at a time in memory, and at most one copy of it.

    Raises:
        UserError: A tensor cannot be read or is of a type that safetensors lacks, or the file
            cannot be written.
    """
    assert sys.byteorder == "little"
    names = {dtype: name for name, dtype in DTYPES.items()}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    # The widest types first, so that each array starts at a multiple of its item.
    ordered = sorted(tensors.items(), key=lambda item: -item[1].dtype.itemsize)
    for name, tensor in ordered:
        if tensor.dtype not in names:
            raise UserError(f"{tensor.place} is of type {tensor.dtype}; safetensors has none such")
        begin, end = end, end + tensor.nbytes
        header[name] = {
            "dtype": names[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # arrays start at a multiple of 8
    try:
        with path.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            arrays = read_ahead(tensor for _, tensor in ordered)
            for (_, tensor), array in zip(ordered, arrays, strict=True):
                _write(file, tensor, array)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error


def _write(file: BinaryIO, tensor: Tensor, array: np.ndarray) -> None:
    array = np.asarray(array, order="C")
    if array.shape != tensor.shape or array.dtype != tensor.dtype:
        raise UserError(
            f"{tensor.place} was {tensor.dtype}{list(tensor.shape)} when it was opened, now it is "
            f"{array.dtype}{list(array.shape)}; did another program change it?"
        )
    data = array.reshape(-1).view(np.uint8)
    for start in range(0, data.size, WRITE_BYTES):
        file.write(data[start : start + WRITE_BYTES].data)
