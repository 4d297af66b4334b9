"""An array inside a file, mapped only while a part of it is copied out."""

import dataclasses
import mmap
import pathlib

import numpy as np

from closedbook.checkpoints.tensors import Index, Tensor


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
        """A copy of the part that slices select.

        Raises:
            ValueError: The file has become shorter.
        """
        length = self.extent * self.dtype.itemsize
        if not length:
            return np.empty(self.shape, self.dtype)[index]
        aligned = self.start - self.start % mmap.ALLOCATIONGRANULARITY
        with self.path.open("rb") as file:
            mapped = mmap.mmap(
                file.fileno(),
                self.start - aligned + length,
                access=mmap.ACCESS_READ,
                offset=aligned,
            )
        strides = tuple(step * self.dtype.itemsize for step in self.strides)
        array: np.ndarray = np.ndarray(
            self.shape, self.dtype, mapped, self.start - aligned, strides
        )
        return copied(array[index])

    def tensor(self, place: str) -> Tensor:
        """As a tensor of a checkpoint."""
        return Tensor(shape=self.shape, dtype=self.dtype, place=place, load=self)


def c_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides in elements of an array in C order."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def copied(array: np.ndarray) -> np.ndarray:
    """A copy in C order, made in blocks where rows and columns change places.

    NumPy copies a transposed matrix row by row, which touches a new page for each element.
    """
    if array.ndim != 2 or array.flags.c_contiguous:
        return np.array(array, order="C")
    result = np.empty(array.shape, array.dtype)
    block = 64
    for row in range(0, array.shape[0], block):
        for column in range(0, array.shape[1], block):
            part = slice(row, row + block), slice(column, column + block)
            result[part] = array[part]
    return result
