"""The tree of a Flax msgpack file, whose arrays stay on disk until they are read.

`flax.serialization.msgpack_restore` holds the file and all arrays in memory at once, and reports
damage in the words of four libraries. This reader notes where arrays lie, and believes no size
that the file merely claims.
"""

import dataclasses
import math
import mmap
import struct
from collections.abc import Callable, Mapping
from typing import Any

import ml_dtypes
import numpy as np

from closedbook.checkpoints.files.file_arrays import FileArray
from closedbook.checkpoints.places.storage import Storage
from closedbook.checkpoints.tensors import Tensor
from closedbook.errors import UserError

_MOST_VALUES = 4_000_000  # in a file; an 11B T5 with its optimiser has about 50,000
_MOST_ITEMS = 64  # of a list: only shapes are lists
_DEEPEST = 64  # maps within maps

_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS = dict(
    zip(range(0xCA, 0xD4), (">f", ">d", *(f">{code}" for code in "BHIQbhiq")), strict=True)
)
_BINARY = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I"}
_EXTENSION = {0xC7: ">B", 0xC8: ">H", 0xC9: ">I"}
_TEXT = {0xD9: ">B", 0xDA: ">H", 0xDB: ">I"}
_LIST = {0xDC: ">H", 0xDD: ">I"}
_MAP = {0xDE: ">H", 0xDF: ">I"}

# Flax's extension types, and how it cuts arrays of more than 1 GiB (flax/serialization.py).
_ARRAY, _COMPLEX, _SCALAR = 1, 2, 3
_CUT = "__msgpack_chunked_array__"

DTYPES: dict[str, np.dtype] = {
    name: np.dtype(name)
    for name in (
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64", "complex64", "complex128"),
    )
} | {"bfloat16": np.dtype(ml_dtypes.bfloat16)}


@dataclasses.dataclass(frozen=True)
class _Span:
    """Bytes that are not read: of a binary string, or of an extension with its type."""

    start: int
    length: int
    code: int | None = None


def read_msgpack(storage: Storage, name: str) -> dict[str, Any]:
    """The tree in a file: nested dicts with str keys, their leaves `Tensor` or Python values.

    Args:
        storage: The file's folder.
        name: The file's name.

    Raises:
        UserError: It is absent, damaged, or no msgpack file of Flax.
    """
    place = f"{storage.root}/{name}"
    if storage.remote:
        data = storage.read(name)

        def in_memory(start: int, dtype: np.dtype, shape: tuple[int, ...], where: str) -> Tensor:
            flat = np.frombuffer(data, dtype, math.prod(shape), start)
            return Tensor.of(flat.reshape(shape), where)

        return _Scanner(data, place, in_memory).tree()
    path = storage.local / name

    def on_disk(start: int, dtype: np.dtype, shape: tuple[int, ...], where: str) -> Tensor:
        return FileArray.contiguous(path, start, dtype, shape).tensor(where)

    try:
        with path.open("rb") as file:
            if not path.stat().st_size:
                raise UserError(f"{place} is empty; copy or download it again")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                return _Scanner(mapped, place, on_disk).tree()
    except OSError as error:
        raise UserError(f"{place} cannot be read: {error.strerror}") from error


class _Scanner:
    """Walks through a file once.

    Args:
        data: The file's bytes.
        place: Its name, for messages.
        array: Makes a tensor from start, type, shape and place.
    """

    def __init__(
        self,
        data: bytes | mmap.mmap,
        place: str,
        array: Callable[[int, np.dtype, tuple[int, ...], str], Tensor],
    ) -> None:
        self._data, self._place, self._array = data, place, array
        self._at, self._end = 0, len(data)
        self._names: list[str] = []
        self._values = 0

    def tree(self) -> dict[str, Any]:
        """The whole file."""
        tree = self._value()
        if not isinstance(tree, dict):
            raise UserError(
                f"{self._place} is not a T5X checkpoint: it should hold a map by name, and holds "
                f"{tree!r:.60}"
            )
        if self._at < self._end:
            raise self._damaged(f"{self._end - self._at} bytes follow the end of its tree")
        return tree

    def _where(self) -> str:
        return f"{self._place}: {'/'.join(self._names)}" if self._names else self._place

    def _damaged(self, what: str) -> UserError:
        return UserError(
            f"{self._where()}: {what} (byte {self._at}); the file is damaged or no msgpack file, "
            "copy or download it again"
        )

    def _take(self, length: int) -> int:
        """Steps over bytes; returns where they start."""
        if length > self._end - self._at:
            raise self._damaged(
                f"{length} bytes should follow, {self._end - self._at} are left of the file"
            )
        self._at += length
        return self._at - length

    def _length(self, code: str) -> int:
        return struct.unpack_from(code, self._data, self._take(struct.calcsize(code)))[0]

    def _value(self) -> object:
        self._values += 1
        if self._values > _MOST_VALUES:
            raise self._damaged(f"it holds more than {_MOST_VALUES} values")
        first = self._data[self._take(1)]
        if first < 0x80:
            return first
        if first >= 0xE0:
            return first - 0x100
        if first < 0x90:
            return self._map(first & 0x0F)
        if first < 0xA0:
            return self._list(first & 0x0F)
        if first < 0xC0:
            return self._text(first & 0x1F)
        if first in _CONSTANTS:
            return _CONSTANTS[first]
        if first in _NUMBERS:
            code = _NUMBERS[first]
            return struct.unpack_from(code, self._data, self._take(struct.calcsize(code)))[0]
        if first in _MAP:
            return self._map(self._length(_MAP[first]))
        if first in _LIST:
            return self._list(self._length(_LIST[first]))
        if first in _TEXT:
            return self._text(self._length(_TEXT[first]))
        if first in _BINARY:
            length = self._length(_BINARY[first])
            return _Span(self._take(length), length)
        if first in _EXTENSION:
            return self._extension(self._length(_EXTENSION[first]))
        if 0xD4 <= first <= 0xD8:
            return self._extension(1 << (first - 0xD4))
        raise self._damaged(f"no value starts with {first:#x}")

    def _text(self, length: int) -> str:
        start = self._take(length)
        try:
            return self._data[start : start + length].decode()
        except UnicodeDecodeError as error:
            raise self._damaged("a text is not UTF-8") from error

    def _list(self, length: int) -> list[object]:
        if length > _MOST_ITEMS:
            raise self._damaged(f"it has a list of {length} items")
        return [self._value() for _ in range(length)]

    def _map(self, length: int) -> dict[str, object] | Tensor:
        if len(self._names) > _DEEPEST:
            raise self._damaged(f"it holds more than {_DEEPEST} maps within maps")
        result: dict[str, object] = {}
        for _ in range(length):
            key = self._value()
            if not isinstance(key, str | int) or "/" in str(key):
                raise self._damaged(f"{key!r:.60} is the key of a map; a name is expected")
            self._names.append(str(key))
            if str(key) in result:
                raise self._damaged("it is there twice")
            result[str(key)] = self._value()
            self._names.pop()
        return self._joined(result) if _CUT in result else result

    def _extension(self, length: int) -> Tensor | complex:
        code = self._length(">b")
        start, end = self._take(length), self._end
        following, self._at, self._end = self._at, start, start + length
        result: Tensor | complex
        if code in (_ARRAY, _SCALAR):
            result = self._stored()
        elif code == _COMPLEX:
            match self._value():
                case [int() | float() as real, int() | float() as imaginary]:
                    result = complex(real, imaginary)
                case _:
                    raise self._damaged("a complex number is not two numbers")
        else:
            raise self._damaged(f"it has extension type {code}, which Flax does not write")
        self._at, self._end = following, end
        return result

    def _stored(self) -> Tensor:
        """An array: shape, name of the type, bytes."""
        match self._value():
            case [[*sizes], str(name), _Span() as span] if all(map(_natural, sizes)):
                shape = tuple(n for n in sizes if isinstance(n, int))
                if name not in DTYPES:
                    raise self._damaged(f"it is an array of type {name!r:.40}")
                size = math.prod(shape) * DTYPES[name].itemsize
                if size != span.length:
                    raise self._damaged(
                        f"an array of {name} and shape {shape} takes {size} bytes, and "
                        f"{span.length} are there"
                    )
                return self._array(span.start, DTYPES[name], shape, self._where())
        raise self._damaged("an array is not stored as shape, type and bytes")

    def _joined(self, parts: Mapping[str, object]) -> Tensor:
        """An array that Flax cut into flat pieces."""
        sizes, found = parts.get("shape"), parts.get("chunks")
        if not isinstance(sizes, dict) or not isinstance(found, dict) or not found:
            raise self._damaged("an array in pieces lacks its shape or its pieces")
        lengths = [sizes.get(str(axis)) for axis in range(len(sizes))]
        shape = tuple(n for n in lengths if isinstance(n, int) and n >= 0)
        listed = [found.get(str(n)) for n in range(len(found))]
        pieces = [piece for piece in listed if isinstance(piece, Tensor)]
        if len(shape) < len(lengths):
            raise self._damaged(f"an array in pieces has shape {lengths!r:.80}")
        if len(pieces) < len(listed) or len({piece.dtype for piece in pieces}) > 1:
            raise self._damaged("the pieces of an array are not all arrays of one type")
        if math.prod(shape) != sum(math.prod(p.shape) for p in pieces):
            raise self._damaged(f"its pieces do not make up its shape {shape}")
        dtype = pieces[0].dtype

        def load(index: tuple[slice, ...]) -> np.ndarray:
            flat, at = np.empty(math.prod(shape), dtype), 0
            for piece in pieces:
                array = piece.read().reshape(-1)
                flat[at : at + array.size] = array
                at += array.size
            return flat.reshape(shape)[index]

        return Tensor(shape=shape, dtype=dtype, place=self._where(), load=load)


def _natural(value: object) -> bool:
    return type(value) is int and value >= 0
