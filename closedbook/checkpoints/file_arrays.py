"""An array inside a file, mapped only while a part of it is copied out."""

import dataclasses
import math
import mmap
import pathlib

import numpy as np

from closedbook.checkpoints.tensors import Index, Tensor
from closedbook.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileArray:
    """Where an array lies in a file; two that are equal are the same bytes.

    A mapping lives for one read: the pages of one that stays open count as our memory.

    Attributes:
        path: The file.
        start: Byte of the first element.
        dtype: Type of the elements, little-endian.
        shape: Shape.
        strides: Steps to the next element of each axis, in elements, never negative.
    """

    path: pathlib.Path
    start: int
    dtype: np.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...]

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
            ValueError: The file has become shorter.
        """
        length = self.extent * self.dtype.itemsize
        if not length:
            return np.empty(self.shape, self.dtype)[index]
        strides = tuple(step * self.dtype.itemsize for step in self.strides)
        if index == () and self.extent == math.prod(self.shape):  # all of it: in one sweep
            data = np.fromfile(self.path, np.uint8, length, offset=self.start)
            if data.size != length:
                raise ValueError(f"the file ends {length - data.size} bytes too early")
            array: np.ndarray = np.ndarray(self.shape, self.dtype, data, 0, strides)
            return array if array.flags.c_contiguous else copied(array)
        aligned = self.start - self.start % mmap.ALLOCATIONGRANULARITY
        skipped = self.start - aligned
        with self.path.open("rb") as file:
            mapped = mmap.mmap(
                file.fileno(), skipped + length, access=mmap.ACCESS_READ, offset=aligned
            )
        return copied(np.ndarray(self.shape, self.dtype, mapped, skipped, strides)[index])

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
    """A copy in C order; of a transposed matrix five times as fast as NumPy's.

    NumPy touches another page for each element. Here tiles go through a buffer that stays in the
    processor's cache; its rows are padded so that a column does not fall into one cache set.
    """
    size = array.dtype.itemsize
    if array.ndim != 2 or array.strides[0] >= array.strides[1] or size not in (1, 2, 4, 8):
        return np.array(array, order="C")
    result = np.empty(array.shape, array.dtype)
    source, target = array.T.view(f"u{size}"), result.view(f"u{size}")
    rows, columns = 512, 64
    buffer = np.empty((rows, columns + 16), source.dtype)
    for row in range(0, source.shape[0], rows):
        for column in range(0, source.shape[1], columns):
            part = source[row : row + rows, column : column + columns]
            tile = buffer[: part.shape[0], : part.shape[1]]
            tile[...] = part
            target[column : column + columns, row : row + rows] = tile.T
    return result
