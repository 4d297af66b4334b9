"""An array inside a file, mapped only while a part of it is copied out."""

import dataclasses
import functools
import mmap
import pathlib
import zlib
from collections.abc import Iterable, Iterator

import numpy as np

from closedbook.checkpoints.tensors import Index, Tensor
from closedbook.errors import UserError

_AT_ONCE = 2**20  # bytes that a checksum reads at once
_ROWS, _COLUMNS = 256, 128  # of a tile that is transposed at once: 128 KiB of float32


@dataclasses.dataclass(frozen=True)
class Checksum:
    """The CRC-32 that a format keeps of some bytes of a file.

    Attributes:
        start: The first byte.
        length: How many.
        crc32: Of them.
    """

    start: int
    length: int
    crc32: int

    def check(self, path: pathlib.Path) -> None:
        """Compares it with the file, once as long as that does not change.

        Raises:
            ValueError: The bytes are others.
        """
        if _crc32(path, path.stat().st_mtime_ns, self.start, self.length) != self.crc32:
            raise ValueError("its bytes are not those that were written (CRC-32)")


@functools.lru_cache(maxsize=2**16)
def _crc32(path: pathlib.Path, changed: int, start: int, length: int) -> int:
    del changed  # of the key alone
    crc, buffer = 0, memoryview(bytearray(_AT_ONCE))
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while length and (count := file.readinto(buffer[: min(length, _AT_ONCE)])):
            crc = zlib.crc32(buffer[:count], crc)
            length -= count
    return crc


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileArray:
    """Where an array lies in a file. Two that compare equal are the same bytes.

    The file is mapped for one read only: pages of a mapping that stays open count as our memory.

    Attributes:
        path: The file.
        start: Byte of the first element.
        dtype: Type of the elements, little-endian.
        shape: Elements along each axis.
        strides: Steps to the next element of each axis, in elements, never negative.
        checksum: Of bytes around the array, checked before it is read; None if there is none.
    """

    path: pathlib.Path
    start: int
    dtype: np.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    checksum: Checksum | None = None

    @classmethod
    def contiguous(
        cls, path: pathlib.Path, start: int, dtype: np.dtype, shape: tuple[int, ...]
    ) -> "FileArray":
        """An array in C order."""
        return cls(path=path, start=start, dtype=dtype, shape=shape, strides=c_strides(shape))

    @property
    def extent(self) -> int:
        """Elements from the first one to the end of the last one; 0 for an empty array."""
        if 0 in self.shape:
            return 0
        return 1 + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))

    @property
    def transposed(self) -> "FileArray":
        """The same bytes with the axes in reverse."""
        return dataclasses.replace(self, shape=self.shape[::-1], strides=self.strides[::-1])

    def __call__(self, index: Index = ()) -> np.ndarray:
        """A copy of the part that slices select, in C order.

        Raises:
            ValueError: The file has become shorter, or its bytes are not those of the checksum.
        """
        if self.checksum is not None:
            self.checksum.check(self.path)
        length = self.extent * self.dtype.itemsize
        if not length:
            return np.empty(self.shape, self.dtype)[index]
        if index == () and self.strides == c_strides(self.shape):
            data = np.fromfile(self.path, np.uint8, length, offset=self.start)
            if data.size != length:
                raise ValueError("the file has become shorter")
            return data.view(self.dtype).reshape(self.shape)
        turned = self.transposed
        if index == () and _turnable(self.dtype) and turned.strides == c_strides(turned.shape):
            return _turned(turned._row_strips(), self.shape, self.dtype)
        aligned = self.start - self.start % mmap.ALLOCATIONGRANULARITY
        skipped = self.start - aligned
        with self.path.open("rb") as file:
            mapped = mmap.mmap(
                file.fileno(), skipped + length, access=mmap.ACCESS_READ, offset=aligned
            )
        strides = tuple(step * self.dtype.itemsize for step in self.strides)
        return copied(np.ndarray(self.shape, self.dtype, mapped, skipped, strides)[index])

    def _row_strips(self) -> Iterator[np.ndarray]:
        """Some rows at a time of a matrix in C order, all in one buffer."""
        buffer = np.empty((_ROWS, *self.shape[1:]), self.dtype)
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.start)
            for row in range(0, self.shape[0], _ROWS):
                strip = buffer[: self.shape[0] - row]
                if file.readinto(strip.view(np.uint8).data) != strip.nbytes:
                    raise ValueError("the file has become shorter")
                yield strip

    def tensor(self, place: str) -> Tensor:
        """As a tensor of a checkpoint."""
        return Tensor(shape=self.shape, dtype=self.dtype, place=place, load=self)


def check_name(path: pathlib.Path, name: str) -> None:
    """Refuses names that no parameter has and that would garble a message."""
    if not name.isascii() or not name.isprintable() or len(name) > 200:
        raise UserError(f"{path} has a tensor of the malformed name {ascii(name)[:100]}")


def c_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides in elements of an array in C order."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def copied(array: np.ndarray) -> np.ndarray:
    """A copy in C order; of a transposed matrix four times as fast as NumPy's."""
    if array.ndim != 2 or array.strides[0] >= array.strides[1] or not _turnable(array.dtype):
        return np.array(array, order="C")
    strips = (array.T[row : row + _ROWS] for row in range(0, array.shape[1], _ROWS))
    return _turned(strips, array.shape, array.dtype)


def _turnable(dtype: np.dtype) -> bool:
    """Whether there are whole numbers of the size, which NumPy copies fastest."""
    return dtype.itemsize in (1, 2, 4, 8)


def _turned(strips: Iterable[np.ndarray], shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """The transpose, of that shape, of a matrix that comes in strips of `_ROWS` rows.

    NumPy would touch another page for each element. Here tiles go through a buffer that stays in
    the processor's cache; its rows are padded so that a column does not fall into one cache set.
    """
    whole = f"u{dtype.itemsize}"
    result = np.empty(shape, dtype)
    target = result.view(whole)
    buffer = np.empty((_ROWS, _COLUMNS + 16), whole)
    row = 0
    for strip in strips:
        end = row + len(strip)
        for column in range(0, strip.shape[1], _COLUMNS):
            part = strip[:, column : column + _COLUMNS].view(whole)
            tile = buffer[: part.shape[0], : part.shape[1]]
            tile[...] = part
            target[column : column + _COLUMNS, row:end] = tile.T
        row = end
    return result
