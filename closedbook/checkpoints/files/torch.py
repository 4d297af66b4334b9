"""Reads pytorch_model.bin files without torch: state dicts of tensors, never code.

Two formats: since torch 1.6 an uncompressed zip (`*/data.pkl` describes, `*/data/<key>` are the
storages), whose CRC-32s are checked; before, a stream of pickles followed by the storages.
"""

import pathlib
import struct
import zipfile
from typing import BinaryIO

import numpy as np

from closedbook.checkpoints.files.file_arrays import Checksum, FileArray, check_name
from closedbook.checkpoints.files.state_pickles import (
    ForbiddenPickleError,
    StorageRef,
    TensorRef,
    read_pickle,
)
from closedbook.checkpoints.tensors import Tensor
from closedbook.errors import UserError

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
# What `zipfile` raises at one damaged byte or another.
_MALFORMED = (
    *(ValueError, EOFError, OverflowError, NotImplementedError),
    *(struct.error, zipfile.BadZipFile),
)
_DAMAGED = "the file is incomplete or damaged, copy or download it again"


def open_torch(path: pathlib.Path) -> dict[str, Tensor]:
    """The tensors of a state dict by their names; only the description is read.

    Raises:
        UserError: The file is damaged, holds more than a state dict, or names code.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) == b"PK\x03\x04":
                state, places = _read_zip(path, file)
            else:
                state, starts = _read_stream(path, file)
                places = {key: (start, None) for key, start in starts.items()}
    except ForbiddenPickleError as error:
        raise UserError(
            f"{path} holds {error}, which a file of weights does not need; it was not run. Only "
            "plain state dicts are read: save model.state_dict(), or better safetensors"
        ) from error
    except _MALFORMED as error:
        raise UserError(
            f"{path} is no readable torch file: {str(error)[:300]}; {_DAMAGED}"
        ) from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    return {name: _tensor(path, name, ref, *places[ref.storage.key]) for name, ref in state.items()}


def _weights(path: pathlib.Path, state: object) -> dict[str, TensorRef]:
    """The object of a file if it is a state dict; raises UserError if not."""
    if isinstance(state, dict) and "state_dict" in state:
        raise UserError(
            f"{path} is a training checkpoint (keys {', '.join(sorted(map(str, state)))[:200]}); "
            "give the file of weights alone, as model.save_pretrained writes it"
        )
    if not isinstance(state, dict) or not all(type(name) is str for name in state):
        raise UserError(f"{path} holds no dict of named tensors; it is no file of weights")
    for name, ref in state.items():
        check_name(path, name)
        if type(ref) is not TensorRef:
            raise UserError(
                f"{path}: {name} is no tensor but {type(ref).__name__}; give the file of "
                "weights alone, as model.save_pretrained writes it"
            )
    return state


def _tensor(
    path: pathlib.Path, name: str, ref: TensorRef, start: int, checksum: Checksum | None
) -> Tensor:
    dtype = ref.storage.dtype
    array = FileArray(
        path=path,
        start=start + ref.offset * dtype.itemsize,
        dtype=dtype,
        shape=ref.shape,
        strides=ref.strides,
        checksum=checksum,
    )
    return array.tensor(f"{path}: {name}")


def _storages(state: dict[str, TensorRef]) -> dict[str, StorageRef]:
    """The storages of a state dict's tensors by key."""
    found: dict[str, StorageRef] = {}
    for ref in state.values():
        storage = found.setdefault(ref.storage.key, ref.storage)
        if storage != ref.storage:
            raise ValueError(f"storage {storage.key[:80]!r} is described in two ways")
    return found


def _read_zip(
    path: pathlib.Path, file: BinaryIO
) -> tuple[dict[str, TensorRef], dict[str, tuple[int, Checksum | None]]]:
    """The state dict, and of each storage the first byte and the checksum."""
    size = path.stat().st_size
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        if len(entries) != len(archive.infolist()):
            raise ValueError("it holds two entries of one name")
        pickles = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ValueError("it has no single data.pkl")
        root = pickles[0].partition("/")[0]
        order = entries.get(f"{root}/byteorder")
        if order is not None:
            file.seek(_data_start(file, order, size))
            if file.read(min(order.file_size, 10)) != b"little":
                raise ValueError("its numbers are big-endian")
        start = _data_start(file, entries[pickles[0]], size)
        if checksum := _checksum(entries[pickles[0]], start):
            checksum.check(path)
        file.seek(start)
        state = _weights(path, read_pickle(file))
        places = {}
        for key, storage in _storages(state).items():
            entry = entries.get(f"{root}/data/{key}")
            if entry is None:
                raise ValueError(f"storage {key[:80]!r} is absent")
            if entry.file_size != storage.numel * storage.dtype.itemsize:
                raise ValueError(
                    f"storage {key[:80]!r} has {entry.file_size} bytes, not {storage.numel} "
                    f"times {storage.dtype}"
                )
            start = _data_start(file, entry, size)
            places[key] = start, _checksum(entry, start)
    return state, places


def _checksum(entry: zipfile.ZipInfo, start: int) -> Checksum | None:
    """An entry's; None where it is 0, which torch writes if it is told to compute none."""
    return Checksum(start, entry.file_size, entry.CRC) if entry.CRC else None


def _data_start(file: BinaryIO, entry: zipfile.ZipInfo, size: int) -> int:
    """First byte of an entry's content, which must be stored as it is and lie within the file."""
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
        raise ValueError(f"{entry.filename[:80]!r} is compressed or encrypted; torch does neither")
    file.seek(entry.header_offset)
    header = file.read(30)  # the local header: two lengths at its end precede name and padding
    if len(header) != 30 or header[:4] != b"PK\x03\x04":
        raise ValueError(f"{entry.filename[:80]!r} has no header")
    start = entry.header_offset + 30
    start += int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    if entry.file_size != entry.compress_size or start + entry.file_size > size:
        raise ValueError(f"{entry.filename[:80]!r} reaches beyond the file's end")
    return start


def _read_stream(path: pathlib.Path, file: BinaryIO) -> tuple[dict[str, TensorRef], dict[str, int]]:
    """As `_read_zip`, of the format before torch 1.6."""
    size = path.stat().st_size
    file.seek(0)
    if file.read(1) != b"\x80":
        raise ValueError("it is neither a zip nor a pickle")
    file.seek(0)
    if read_pickle(file) != _MAGIC or read_pickle(file) != _PROTOCOL:
        raise ValueError("it is a pickle, but not one of torch's")
    system = read_pickle(file)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise ValueError("its numbers are big-endian")
    state = _weights(path, read_pickle(file))
    keys = read_pickle(file)
    storages = _storages(state)
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages):
        raise ValueError("its list of storages is not that of its tensors")
    starts: dict[str, int] = {}
    for key in keys:
        storage = storages[key]
        numel = int.from_bytes(file.read(8), "little")
        starts[key] = file.tell()
        end = starts[key] + numel * storage.dtype.itemsize
        if numel != storage.numel or end > size:
            raise ValueError(
                f"storage {key[:80]!r} of {numel} {np.dtype(storage.dtype)} is cut off"
            )
        file.seek(end)
    return state, starts
