"""Reads GGUF files (llama.cpp's format), tensor by tensor, quantised ones as float32.

A file is a header of counts, typed keys and values, a table of tensors, and the tensors at
aligned offsets (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). The header is read
here because every claim of an untrusted file is checked against its size before anything is
allocated; quantised blocks are unpacked by the package gguf.
"""

import dataclasses
import math
import pathlib
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from closedbook.checkpoints.files.file_arrays import FileArray, check_name
from closedbook.checkpoints.tensors import Index, Tensor
from closedbook.errors import UserError

if TYPE_CHECKING:
    import gguf

MAGIC = b"GGUF"
_VERSIONS = (2, 3)  # 1 had other counts, for some weeks of 2023
_ALIGNMENT = 32  # unless general.alignment says otherwise
_MOST_AXES = 4  # GGML_MAX_DIMS
_MOST_BYTES = 2**62
# Types of values by number; a text is a length and its bytes, an array a type, a length and items.
_SCALARS = {
    0: "<u1",
    1: "<i1",
    2: "<u2",
    3: "<i2",
    4: "<u4",
    5: "<i4",
    6: "<f4",
    7: "?",
    10: "<u8",
    11: "<i8",
    12: "<f8",
}
_TEXT, _ARRAY = 8, 9
_NOT_WHOLE = "the file is incomplete or damaged, copy or download it again"


@dataclasses.dataclass(frozen=True, kw_only=True)
class GGUFFile:
    """An opened file; no tensor is read yet.

    Attributes:
        path: Where it lies.
        metadata: Its keys and values; arrays are lists.
        tensors: By their names in the file, in row-major order (the file lists axes in reverse).
            They are float32 on reading, whatever the file holds.
        types: How each is stored: "F32", "Q4_1", ...
    """

    path: pathlib.Path
    metadata: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    types: Mapping[str, str]


def open_gguf_file(path: pathlib.Path) -> GGUFFile:
    """The metadata and tensors of a file; only its header is read.

    Raises:
        UserError: The package gguf is absent, or the file is no valid GGUF file, or is stored in
            a way that cannot be read.
    """
    _package(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header = _Header(path, file, size)
            tensor_count, value_count = header.start()
            metadata = header.values(value_count)
            entries = header.table(tensor_count)
            end = file.tell()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    alignment = metadata.get("general.alignment", _ALIGNMENT)
    if type(alignment) is not int or alignment < 1 or alignment & (alignment - 1):
        raise UserError(f"{path}: general.alignment is {alignment!r}; it must be a power of two")
    start = end + -end % alignment
    _check_overlaps(path, entries)
    tensors = {}
    for entry in entries:
        if entry.offset % alignment:
            raise UserError(
                f"{path}: {entry.name} begins at {entry.offset}, no multiple of {alignment}; "
                "the file is damaged"
            )
        if start + entry.offset + entry.nbytes > size:
            raise UserError(
                f"{path}: {entry.name} lies at bytes {start + entry.offset} to "
                f"{start + entry.offset + entry.nbytes} of a file of {size}; {_NOT_WHOLE}"
            )
        tensors[entry.name] = entry.tensor(path, start)
    return GGUFFile(
        path=path,
        metadata=metadata,
        tensors=tensors,
        types={entry.name: entry.type.name for entry in entries},
    )


def _package(path: pathlib.Path) -> None:
    try:
        import gguf  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"{path} is a GGUF file, which needs the package gguf: pip install 'closedbook[gguf]'"
        ) from error


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Entry:
    """A line of the table of tensors, checked but for its place in the file."""

    name: str
    type: "gguf.GGMLQuantizationType"
    shape: tuple[int, ...]  # row-major
    row_bytes: int  # of the last axis
    offset: int

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape[:-1]) * self.row_bytes

    def tensor(self, path: pathlib.Path, start: int) -> Tensor:
        begin, place = start + self.offset, f"{path}: {self.name}"
        if self.type.name == "F32":
            return FileArray.contiguous(path, begin, np.dtype("<f4"), self.shape).tensor(place)
        stored = (*self.shape[:-1], self.row_bytes)
        array = FileArray.contiguous(path, begin, np.dtype("u1"), stored)
        return Tensor(
            shape=self.shape,
            dtype=np.dtype(np.float32),
            place=place,
            load=_Unpacked(array, self.type),
        )


@dataclasses.dataclass(frozen=True)
class _Unpacked:
    """A quantised array: its rows are read and unpacked, then the last axis is cut."""

    array: FileArray
    type: "gguf.GGMLQuantizationType"

    def __call__(self, index: Index = ()) -> np.ndarray:
        axes = len(self.array.shape)
        blocks = self.array(index[: axes - 1])  # all of the last axis: blocks must stay whole
        last: tuple[Any, ...] = (..., *index[axes - 1 :])
        return _unpack(blocks, self.type)[last]


def _unpack(blocks: np.ndarray, kind: "gguf.GGMLQuantizationType") -> np.ndarray:
    """float32 out of rows of blocks, bytes in C order."""
    from gguf import quants

    if not blocks.size:
        block, width = _block(kind)
        return np.empty((*blocks.shape[:-1], blocks.shape[-1] // width * block), np.float32)
    return quants.dequantize(blocks, kind)


def _block(kind: "gguf.GGMLQuantizationType") -> tuple[int, int]:
    """Elements and bytes of a block."""
    import gguf

    return gguf.GGML_QUANT_SIZES[kind]


def _check_overlaps(path: pathlib.Path, entries: list[_Entry]) -> None:
    covered, before = 0, ""
    for entry in sorted(entries, key=lambda entry: entry.offset):
        if entry.offset < covered:
            raise UserError(f"{path}: {before} and {entry.name} overlap; the file is damaged")
        covered, before = entry.offset + entry.nbytes, entry.name


class _Header:
    """The part of a file before its tensors, read from front to back."""

    def __init__(self, path: pathlib.Path, file: BinaryIO, size: int) -> None:
        self._path = path
        self._file = file
        self._left = size

    def start(self) -> tuple[int, int]:
        """The numbers of tensors and of values."""
        if self._left < 24 or self._take(4, "its beginning") != MAGIC:
            raise UserError(
                f"{self._path} is no GGUF file, or an incomplete one: it does not begin with "
                f"{MAGIC.decode()} and a version"
            )
        version = self._number("<I", "its version")
        if version not in _VERSIONS:
            swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
            found = "big-endian" if swapped in _VERSIONS else f"of version {version}"
            raise UserError(
                f"{self._path} is a GGUF file that is {found}; those of versions 2 and 3, "
                "little-endian, can be read"
            )
        return self._number("<Q", "its counts"), self._number("<Q", "its counts")

    def values(self, count: int) -> dict[str, Any]:
        """All keys and values."""
        self._enough(count, 13, "keys")
        values: dict[str, Any] = {}
        for _ in range(count):
            key = self._text("a key")
            check_name(self._path, key)
            if key in values:
                raise UserError(f"{self._path} has the key {key} twice; the file is damaged")
            values[key] = self._value(self._number("<I", key), key)
        return values

    def table(self, count: int) -> list[_Entry]:
        """The table of tensors, names unique."""
        self._enough(count, 32, "tensors")
        entries: dict[str, _Entry] = {}
        for _ in range(count):
            name = self._text("the name of a tensor")
            check_name(self._path, name)
            if name in entries:
                raise UserError(f"{self._path} has the tensor {name} twice; the file is damaged")
            entries[name] = self._entry(name)
        return list(entries.values())

    def _entry(self, name: str) -> _Entry:
        axes = self._number("<I", name)
        if not 1 <= axes <= _MOST_AXES:
            raise UserError(
                f"{self._path}: {name} has {axes} axes; 1 to {_MOST_AXES} are possible, the file "
                "is damaged"
            )
        shape = tuple(self._number("<Q", name) for _ in range(axes))[::-1]
        kind = self._kind(name, self._number("<I", name))
        offset = self._number("<Q", name)
        block, width = _block(kind)
        if 0 in shape or shape[-1] % block or math.prod(shape) // block * width > _MOST_BYTES:
            raise UserError(
                f"{self._path}: {name} has the shape {list(shape)}, which {kind.name} in blocks "
                f"of {block} cannot have; the file is damaged"
            )
        row_bytes = shape[-1] // block * width
        return _Entry(name=name, type=kind, shape=shape, row_bytes=row_bytes, offset=offset)

    def _kind(self, name: str, number: int) -> "gguf.GGMLQuantizationType":
        import gguf

        try:
            kind = gguf.GGMLQuantizationType(number)
            _unpack(np.zeros((1, _block(kind)[1]), np.uint8), kind)
        except (ValueError, KeyError, NotImplementedError) as error:
            known = isinstance(error, NotImplementedError)
            raise UserError(
                f"{self._path}: {name} is quantised as {kind.name if known else f'type {number}'}, "
                "which the installed gguf does not unpack; take the model in another form, such "
                "as Q8_0, Q4_K or F16"
            ) from error
        return kind

    def _value(self, kind: int, key: str) -> Any:
        if kind == _TEXT:
            return self._text(key)
        if kind in _SCALARS:
            return self._array(_SCALARS[kind], 1, key)[0]
        if kind != _ARRAY:
            raise UserError(f"{self._path}: {key} is of the unknown type {kind}; {_NOT_WHOLE}")
        inner, count = self._number("<I", key), self._number("<Q", key)
        if inner in _SCALARS:
            return self._array(_SCALARS[inner], count, key)
        if inner != _TEXT:
            raise UserError(
                f"{self._path}: {key} is an array of the type {inner}; only numbers and texts can "
                "be read"
            )
        self._enough(count, 8, f"texts in {key}")
        return [self._text(key) for _ in range(count)]

    def _array(self, dtype: str, count: int, key: str) -> list[Any]:
        itemsize = np.dtype(dtype).itemsize
        self._enough(count, itemsize, f"numbers in {key}")
        return np.frombuffer(self._take(count * itemsize, key), dtype).tolist()

    def _text(self, key: str) -> str:
        length = self._number("<Q", key)
        try:
            return self._take(length, key).decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"{self._path}: {key} holds a text that is not UTF-8") from error

    def _number(self, form: str, key: str) -> int:
        return struct.unpack(form, self._take(struct.calcsize(form), key))[0]

    def _take(self, count: int, key: str) -> bytes:
        if count > self._left:
            raise UserError(
                f"{self._path}: {key} takes {count} bytes where {self._left} are left; {_NOT_WHOLE}"
            )
        self._left -= count
        data = self._file.read(count)
        if len(data) != count:
            raise UserError(f"{self._path} became shorter while it was read; {_NOT_WHOLE}")
        return data

    def _enough(self, count: int, width: int, what: str) -> None:
        """Refuses a count that the rest of the file cannot hold."""
        if count * width > self._left:
            raise UserError(
                f"{self._path} claims {count} {what} with {self._left} bytes left; {_NOT_WHOLE}"
            )
