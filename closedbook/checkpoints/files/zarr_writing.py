"""Writes arrays as zarr version 2 folders: `.zarray` and chunk files of at most 64 MiB.

T5X's own chunks are gzip files. gzip at level 1 makes float32 weights 7% smaller at a twentieth of
a disk's speed. A chunk that hardly shrinks is therefore stored as it is inside its gzip file, which
any reader of gzip takes.
"""

import collections
import concurrent.futures
import itertools
import json
import math
import pathlib
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

import numpy as np

from closedbook.checkpoints.files.zarr_folders import METADATA, THREADS, raw
from closedbook.checkpoints.tensors import Index, Tensor
from closedbook.errors import UserError

LEVEL = 1  # of gzip, as T5X's files say
_CHUNK_BYTES = 64 * 2**20  # T5X's rule; its readers on many hosts each take some chunks
_HELD_BYTES = 256 * 2**20  # of small arrays that are written together; a larger one goes alone
_SAMPLE = 2**17  # bytes of a chunk that tell how it compresses
_WORTH = 0.7  # a chunk is compressed where that leaves less than this part of it
_STORED_BLOCK = 65535  # the longest of deflate


def chunk_shape(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """T5X's chunks: while one is above 64 MiB, its longest axis shrinks to the next divisor.

    Args:
        shape: Shape of the array.
        itemsize: Bytes per element.
    """
    chunk = [max(n, 1) for n in shape]
    while math.prod(chunk) * itemsize > _CHUNK_BYTES:
        axis = chunk.index(max(chunk))
        chunk[axis] = next(n for n in range(chunk[axis] - 1, 0, -1) if shape[axis] % n == 0)
    return tuple(chunk)


def write_arrays(
    folder: pathlib.Path, tensors: Mapping[str, Tensor], *, gzipped: bool = True
) -> None:
    """Writes a folder for each tensor; chunks of several tensors are written at once.

    Args:
        folder: Where the folders are made.
        tensors: The tensors by the names of their folders.
        gzipped: Whether chunks are gzip files, as T5X wants them; otherwise they are the bare
            numbers.

    Raises:
        UserError: The disk is full, or the like.
    """
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        waiting: collections.deque[tuple[int, list[concurrent.futures.Future]]]
        waiting, held = collections.deque(), 0
        try:
            for name, tensor in tensors.items():
                while waiting and held + tensor.nbytes > _HELD_BYTES:
                    size, writes = waiting.popleft()
                    held -= size
                    collections.deque((write.result() for write in writes), maxlen=0)
                array = np.asarray(tensor.read())
                array = array.astype(array.dtype.newbyteorder("<"), copy=False)
                chunks = chunk_shape(array.shape, array.itemsize)
                _make(folder / name, array, chunks, gzipped=gzipped)
                writes = [
                    pool.submit(_write_chunk, folder / name / key, array[part], gzipped)
                    for key, part in _cells(array.shape, chunks)
                ]
                waiting.append((array.nbytes, writes))
                held += array.nbytes
                del array
            for _, writes in waiting:
                collections.deque((write.result() for write in writes), maxlen=0)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _cells(shape: Sequence[int], chunks: Sequence[int]) -> Iterator[tuple[str, Index]]:
    grid = (range(-(-n // c)) for n, c in zip(shape, chunks, strict=True))
    for cell in itertools.product(*grid):
        part = tuple(slice(i * c, (i + 1) * c) for i, c in zip(cell, chunks, strict=True))
        yield ".".join(map(str, cell)) or "0", part


def _make(folder: pathlib.Path, array: np.ndarray, chunks: Sequence[int], *, gzipped: bool) -> None:
    meta: dict[str, Any] = {
        "chunks": list(chunks),
        "compressor": {"id": "gzip", "level": LEVEL} if gzipped else None,
        "dimension_separator": ".",
        "dtype": "bfloat16" if array.dtype.name == "bfloat16" else array.dtype.str,
        "fill_value": None,
        "filters": None,
        "order": "C",
        "shape": list(array.shape),
        "zarr_format": 2,
    }
    try:
        folder.mkdir()
        (folder / METADATA).write_text(json.dumps(meta, separators=(",", ":")), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}") from error


def _write_chunk(path: pathlib.Path, chunk: np.ndarray, gzipped: bool) -> None:
    data = raw(np.ascontiguousarray(chunk))
    middle = len(data) // 2
    sample = data[middle : middle + _SAMPLE]
    try:
        with path.open("wb", buffering=2**20) as file:
            if not gzipped:
                file.write(data)
            elif len(zlib.compress(sample, LEVEL)) < _WORTH * len(sample):
                deflate = zlib.compressobj(LEVEL, wbits=31)
                for at in range(0, len(data), 2**20):
                    file.write(deflate.compress(data[at : at + 2**20]))
                file.write(deflate.flush())
            else:
                _store(file, data)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error


def _store(file: IO[bytes], data: memoryview) -> None:
    """Writes a gzip file of deflate's stored blocks (RFC 1951, section 3.2.4; RFC 1952)."""
    file.write(b"\x1f\x8b\x08\0\0\0\0\0\x04\xff")  # gzip, deflate, no time, fastest, any system
    for at in range(0, len(data), _STORED_BLOCK):
        block = data[at : at + _STORED_BLOCK]
        last, size = at + len(block) == len(data), len(block)
        file.write(struct.pack("<BHH", last, size, size ^ 0xFFFF))
        file.write(block)
    file.write(struct.pack("<II", zlib.crc32(data), len(data) % 2**32))
