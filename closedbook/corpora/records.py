"""Files of records, written without TensorFlow: ArrayRecord, TFRecord, gzip-compressed TFRecord."""

import functools
import gzip
import os
import struct
from typing import IO, Protocol

import numpy as np

from closedbook.errors import unknown_name

# Records of one group are compressed together: 512 sentences are some 100 kB, which a reader of one
# sentence has to unpack. Larger groups and zstd's level 3 save 3% and 5% of a file; level 3 takes
# twice as long. One thread: the build is parallel over shards, and threads beside it would take
# other workers' cores.
ARRAY_RECORD_OPTIONS = "group_size:512,zstd:1,max_parallelism:1"
_GZIP_LEVEL = 6  # zlib's own default
_MASK_DELTA = 0xA282EAD8  # of TensorFlow's masked checksums, tensorflow/core/lib/hash/crc32c.h
_CASTAGNOLI = 0x82F63B78  # the polynomial of CRC-32C, bits reversed
_BLOCK = 4096  # bytes of one step of the checksum; its table has this many rows of 1 kB

SUFFIXES = {"array_record": "", "tfrecord": "", "tfrecord.gz": ".gz"}
"""The formats, and what stands after the numbers of a shard's name."""


class Writer(Protocol):
    """A file of records that is being written."""

    def write(self, record: bytes) -> None:
        """Appends one record."""

    def close(self) -> None:
        """Ends the file."""


def writer(path: str | os.PathLike, file_format: str) -> Writer:
    """Begins a file of records at a local path.

    Raises:
        UserError: The format is unknown.
        OSError: The file cannot be written.
    """
    check_format(file_format)
    if file_format == "array_record":
        return _ArrayRecordWriter(os.fspath(path))
    return _TFRecordWriter(os.fspath(path), compressed=file_format == "tfrecord.gz")


def check_format(file_format: str) -> None:
    """Raises a UserError if there is no such format."""
    if file_format not in SUFFIXES:
        raise unknown_name("format of shards", file_format, SUFFIXES)


def shard_name(index: int, count: int, file_format: str) -> str:
    """A shard's file name, as TFDS looks for it.

    >>> shard_name(2, 12, "array_record")
    'salient_spans-train.array_record-00002-of-00012'
    """
    kind, _, suffix = file_format.partition(".")
    return f"salient_spans-train.{kind}-{index:05d}-of-{count:05d}{'.' * bool(suffix)}{suffix}"


class _ArrayRecordWriter:
    def __init__(self, path: str) -> None:
        from array_record.python.array_record_module import ArrayRecordWriter

        open(path, "wb").close()  # an OSError with the file's name, where the library has its own
        self._writer = ArrayRecordWriter(path, ARRAY_RECORD_OPTIONS)

    def write(self, record: bytes) -> None:
        self._writer.write(record)

    def close(self) -> None:
        self._writer.close()


class _TFRecordWriter:
    """Length, checksum of it, data, checksum of it: tensorflow/core/lib/io/record_writer.h."""

    def __init__(self, path: str, *, compressed: bool) -> None:
        self._file = open(path, "wb")  # noqa: SIM115
        # Neither name nor time in the header, so that the same records give the same bytes.
        self._out: IO[bytes] | gzip.GzipFile = (
            gzip.GzipFile("", "wb", _GZIP_LEVEL, self._file, mtime=0) if compressed else self._file
        )

    def write(self, record: bytes) -> None:
        header = _header(len(record))
        self._out.write(b"".join((header, record, struct.pack("<I", _masked(crc32c(record))))))

    def close(self) -> None:
        if self._out is not self._file:
            self._out.close()
        self._file.close()


@functools.lru_cache(maxsize=1 << 14)
def _header(length: int) -> bytes:
    packed = struct.pack("<Q", length)
    return packed + struct.pack("<I", _masked(crc32c(packed)))


def _masked(checksum: int) -> int:
    return ((checksum >> 15 | checksum << 17) + _MASK_DELTA) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """The CRC-32C of some bytes.

    The checksum is linear: it is the sum (XOR) of what each byte contributes by its value and its
    distance from the end, and NumPy looks those up together.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    state = 0xFFFFFFFF
    table, rows = _contributions()
    for start in range(0, len(data) or 1, _BLOCK):
        block = np.frombuffer(data, np.uint8, min(_BLOCK, len(data) - start), start)
        contributed = int(np.bitwise_xor.reduce(table[rows[_BLOCK - len(block) :] + block]))
        state = contributed ^ _carried(state, len(block))
    return state ^ 0xFFFFFFFF


@functools.lru_cache(maxsize=1 << 14)
def _carried(state: int, length: int) -> int:
    """What a checksum so far contributes to that of `length` more bytes.

    It acts as if it were added to the first four of them; of fewer, its upper bytes remain.
    """
    table, rows = _contributions()
    carried = state >> 8 * length if length < 4 else 0
    for index, byte in enumerate(struct.pack("<I", state)[:length]):
        carried ^= int(table[rows[_BLOCK - length + index] + byte])
    return carried


@functools.cache
def _contributions() -> tuple[np.ndarray, np.ndarray]:
    """(contribution of [distance from the end, byte] flattened, where each row of it starts)."""
    single = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        single = np.where(single & 1, single >> 1 ^ np.uint32(_CASTAGNOLI), single >> 1)
    table = np.empty((_BLOCK, 256), np.uint32)
    table[0] = single
    for distance in range(1, _BLOCK):
        before = table[distance - 1]
        table[distance] = single[before & 0xFF] ^ before >> 8
    # Row i of a block's bytes stands at distance _BLOCK - 1 - i from its end.
    rows = np.arange(_BLOCK - 1, -1, -1, dtype=np.int64) * 256
    return table.ravel(), rows
