"""Reads arrays in zarr version 2 folders as T5X writes them: `.zarray` and one gzip file per chunk.

TensorStore reads them too, but it takes a missing chunk for zeros, allocates what `.zarray`
claims, and holds a chunk twice more while it decodes it. Here a missing chunk is an error, and
chunks are decoded where they belong.
"""

import collections
import concurrent.futures
import dataclasses
import io
import itertools
import json
import math
import os
import zlib
from collections.abc import Iterator, Mapping
from typing import IO

import numpy as np

from closedbook.checkpoints.files.msgpack import DTYPES
from closedbook.checkpoints.places.storage import Storage
from closedbook.checkpoints.tensors import Index, Tensor
from closedbook.errors import UserError

METADATA = ".zarray"
THREADS = min(8, os.cpu_count() or 1)
_REQUESTS = 32  # files of a bucket that are asked for at once
_MOST_CHUNKS = 100_000  # of an array
_PIECE = 2**18  # bytes of a compressed file that are decoded at once

_CODES: dict[str, np.dtype] = {
    **{dtype.str: dtype for name, dtype in DTYPES.items() if name != "bfloat16"},
    "bfloat16": DTYPES["bfloat16"],
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZarrArray:
    """An array's folder, opened.

    Attributes:
        storage: The folder.
        name: The tensor's name, for messages.
        shape: Shape of the array.
        chunks: Shape of one chunk; chunks at an end may reach beyond the array.
        dtype: Type of the elements, little-endian.
        compressed: Whether chunks are gzip or zlib files, or plain bytes.
        order: "C" or "F".
        separator: Between the numbers in the name of a chunk's file.
    """

    storage: Storage
    name: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype
    compressed: bool
    order: str
    separator: str

    @classmethod
    def open(cls, storage: Storage, folder: str, name: str) -> "ZarrArray":
        """Reads `.zarray`.

        Raises:
            UserError: It is absent, damaged, or says what T5X never writes.
        """
        place = f"{storage.root}/{folder}"
        try:
            text = (storage / folder).read(METADATA)
        except UserError as error:
            raise UserError(
                f"{error}: the array {name} is missing; copy or download the checkpoint again"
            ) from error
        damaged = f"{place}/{METADATA} ({name}) is damaged"
        try:
            meta = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{damaged}: {error!r:.200}") from error
        match meta:
            case {"shape": [*shape], "chunks": [*chunks], "dtype": code, "compressor": compressor}:
                pass
            case _:
                raise UserError(f"{damaged}: it lacks shape, chunks, dtype or compressor")
        sizes = all(type(n) is int and 0 <= n < 2**48 for n in (*shape, *chunks))
        if not sizes or len(shape) != len(chunks) or 0 in chunks:
            raise UserError(f"{damaged}: shape {shape!r:.80} in chunks {chunks!r:.80}")
        order, separator = meta.get("order", "C"), meta.get("dimension_separator", ".")
        method = compressor.get("id", "") if isinstance(compressor, dict) else compressor
        known = meta.get("zarr_format") == 2 and meta.get("filters") is None
        known = known and isinstance(code, str) and code in _CODES and order in ("C", "F")
        if not known or separator not in (".", "/") or method not in (None, "gzip", "zlib"):
            raise UserError(
                f"{place}/{METADATA} ({name}) says what T5X never writes: {json.dumps(meta):.300}"
            )
        return cls(
            storage=storage / folder,
            name=name,
            shape=tuple(shape),
            chunks=tuple(chunks),
            dtype=_CODES[code],
            compressed=method is not None,
            order=order,
            separator=separator,
        )

    def tensor(self) -> Tensor:
        """As a tensor of a checkpoint."""
        place = f"{self.storage.root}: {self.name}"
        return Tensor(shape=self.shape, dtype=self.dtype, place=place, load=self)

    def __call__(self, index: Index = ()) -> np.ndarray:
        """The part that slices select.

        Raises:
            UserError: A chunk is missing or damaged.
        """
        if any(part.step not in (None, 1) for part in index):
            return self()[index]
        whole = [slice(None)] * (len(self.shape) - len(index))
        ranges = [range(n)[part] for n, part in zip(self.shape, (*index, *whole), strict=True)]
        grid = [
            range(r.start // c, -(-r.stop // c)) if r else range(0)
            for r, c in zip(ranges, self.chunks, strict=True)
        ]
        count = math.prod(map(len, grid))
        if count > _MOST_CHUNKS:
            raise UserError(f"{self.storage.root} ({self.name}) claims to have {count} chunks")
        try:
            # Memory that is not written to costs nothing, whatever size the metadata claims.
            result = np.empty([len(r) for r in ranges], self.dtype)
        except (MemoryError, ValueError) as error:
            raise UserError(
                f"{self.storage.root} ({self.name}) claims shape {self.shape}, which does not fit "
                "into memory"
            ) from error

        def read(cell: tuple[int, ...]) -> None:
            starts = [n * c for n, c in zip(cell, self.chunks, strict=True)]
            ends = [s + c for s, c in zip(starts, self.chunks, strict=True)]
            low = [max(s, r.start) for s, r in zip(starts, ranges, strict=True)]
            high = [min(e, r.stop) for e, r in zip(ends, ranges, strict=True)]
            box = list(zip(low, high, strict=True))
            inside = tuple(slice(a - s, b - s) for (a, b), s in zip(box, starts, strict=True))
            offsets = [r.start for r in ranges]
            target = tuple(slice(a - o, b - o) for (a, b), o in zip(box, offsets, strict=True))
            part = result[target]
            if part.shape == self.chunks and part.flags.c_contiguous and self.order == "C":
                self._decode(cell, part)
            else:
                chunk = np.empty(self.chunks[:: 1 if self.order == "C" else -1], self.dtype)
                self._decode(cell, chunk)
                result[target] = (chunk if self.order == "C" else chunk.T)[inside]

        threads = _REQUESTS if self.storage.remote else THREADS
        if count < 2 or threads < 2:
            for cell in itertools.product(*grid):
                read(cell)
            return result
        with concurrent.futures.ThreadPoolExecutor(min(threads, count)) as pool:
            try:
                collections.deque(pool.map(read, itertools.product(*grid)), maxlen=0)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return result

    def _decode(self, cell: tuple[int, ...], target: np.ndarray) -> None:
        """Reads a chunk's file into a contiguous array."""
        key = self.separator.join(map(str, cell)) or "0"
        place = f"{self.storage.root}/{key}"
        flat = raw(target)
        try:
            with self._file(key) as file:
                pieces = iter(lambda: file.read(_PIECE), b"")
                at = 0
                for piece in _inflated(pieces, len(flat)) if self.compressed else pieces:
                    if at + len(piece) > len(flat):
                        raise ValueError(f"it holds more than the {len(flat)} bytes of a chunk")
                    flat[at : at + len(piece)] = piece
                    at += len(piece)
            if at < len(flat):
                raise ValueError(f"it holds {at} of the {len(flat)} bytes of a chunk")
        except UserError as error:
            raise UserError(f"{error} (a chunk of {self.name})") from error
        except FileNotFoundError as error:
            raise UserError(
                f"{place} is missing, a chunk of {self.name}; copy or download the checkpoint again"
            ) from error
        except (OSError, ValueError, zlib.error, MemoryError) as error:
            raise UserError(
                f"{place}, a chunk of {self.name}, is damaged: {error}; copy or download the "
                "checkpoint again"
            ) from error

    def _file(self, key: str) -> IO[bytes]:
        if self.storage.remote:
            return io.BytesIO(self.storage.read(key))
        return open(self.storage.local / key, "rb")


def open_arrays(storage: Storage, folders: Mapping[str, str]) -> dict[str, ZarrArray]:
    """Opens the folders of arrays, many at once.

    Args:
        storage: Where the folders are.
        folders: The folder of each tensor, by the tensor's name.
    """
    with concurrent.futures.ThreadPoolExecutor(_REQUESTS) as pool:
        opened = pool.map(lambda item: ZarrArray.open(storage, item[1], item[0]), folders.items())
        return dict(zip(folders, opened, strict=True))


def _inflated(pieces: Iterator[bytes], length: int) -> Iterator[bytes]:
    """What gzip or zlib data of one member holds, at most a piece more than `length` bytes."""
    inflate = zlib.decompressobj(wbits=47)
    for piece in pieces:
        if inflate.eof:
            raise ValueError("data follow its end")
        inflated = inflate.decompress(piece, length + 1)
        length -= len(inflated)
        yield inflated
    if not inflate.eof or inflate.unused_data:
        raise ValueError("it ends too early" if not inflate.eof else "data follow its end")


def raw(array: np.ndarray) -> memoryview:
    """The memory of a contiguous array; bfloat16 itself has no buffer format."""
    return array.reshape(-1).view(np.uint8).data
