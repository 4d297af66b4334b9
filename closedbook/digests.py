"""Digests of files, by which the silent damage of a disk or of a copy is found on reading.

The digest is XXH3 (128 bits) of each 64 MiB of a file. It is made for accidents, not for forgers,
and costs a few per cent of reading a checkpoint, where the fastest hash of the standard library
costs twice to four times as much (`benchmarks/digests.py`). Parts let threads and processes share
a large file, and tell where in it the damage is.

`digests.json` in a folder lists its files. Files that are not listed are nobody's damage: a user
may put some beside. A record carries a digest of itself.
"""

import concurrent.futures
import dataclasses
import json
import os
import pathlib
import stat
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import xxhash

from closedbook.buckets import is_bucket

FILE = "digests.json"
PART_BYTES = 2**26  # of a file under one digest
_FORMAT = 1
_SMALL = 2**20  # bytes of an object that is read for its digest
_READ_BYTES = 2**20  # at once: what a core's cache holds is hashed without a second way to memory
_THREADS = min(os.cpu_count() or 1, 8)
_OWN = "digest"  # the key under which a record keeps the digest of itself
_Signature = tuple[int, ...]
_sound: dict[tuple[str, int], tuple[_Signature, str]] = {}  # parts that were as written


class DamagedError(Exception):
    """A record is not as it was written; the message says why."""


@dataclasses.dataclass(frozen=True)
class FileDigest:
    """A file as it was written.

    Attributes:
        size: Bytes.
        parts: XXH3 of each `PART_BYTES` of it, the last of what is left, in hexadecimals.
    """

    size: int
    parts: tuple[str, ...]


Record = Mapping[str, FileDigest]  # by path in a folder, with "/"


def taken(folder: pathlib.Path, names: Iterable[str]) -> dict[str, FileDigest]:
    """The digests of files in a folder.

    Raises:
        OSError: A file is absent or cannot be read.
    """
    if is_bucket(folder):
        with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
            ordered = sorted(names)
            objects = pool.map(lambda name: _of_object(folder / name), ordered)
            return dict(zip(ordered, objects, strict=True))
    sizes = {name: (folder / name).stat().st_size for name in sorted(names)}
    parts = [(folder / name, start) for name, size in sizes.items() for start in _starts(size)]
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        found = iter(list(pool.map(lambda part: _digest(*part), parts)))
    return {
        name: FileDigest(size, tuple(next(found) for _ in _starts(size)))
        for name, size in sizes.items()
    }


def write(folder: pathlib.Path, *, without: Collection[str] = ()) -> None:
    """Writes `digests.json` of all files in a folder and below.

    It is for a folder that gets its name later, so that the record appears with what it records.

    Args:
        folder: Everything in it is written.
        without: Paths in it that others may change.

    Raises:
        OSError: A file cannot be read, or the record not be written.
    """
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    record = taken(folder, [name for name in files if name not in {FILE, *without}])
    content = sealed({"format": _FORMAT, "files": as_json(record)})
    (folder / FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read(folder: pathlib.Path) -> Record | None:
    """What `digests.json` in a folder says, or None where there is none.

    Raises:
        DamagedError: It is not as it was written.
        OSError: It cannot be read.
    """
    try:
        text = (folder / FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedError("is not as it was written") from error
    check_sealed(content)
    if content.get("format") != _FORMAT:
        raise DamagedError(f"has format {content.get('format')!r}, not {_FORMAT}")
    return from_json(content.get("files"))


def as_json(record: Record) -> dict[str, Any]:
    """A record as JSON holds it."""
    return {
        name: {"bytes": each.size, "xxh3_128": list(each.parts)} for name, each in record.items()
    }


def from_json(data: Any) -> Record:
    """The inverse of `as_json`.

    Raises:
        DamagedError: It is no record, or names files outside of its folder.
    """
    try:
        record = {
            name: FileDigest(each["bytes"], tuple(each["xxh3_128"])) for name, each in data.items()
        }
        for name, each in record.items():
            if name.startswith("/") or {"..", ""} & set(name.split("/")) or "\0" in name:
                raise ValueError(name)
            if len(each.parts) != len(_starts(each.size)):
                raise ValueError(name)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise DamagedError(f"is no record of digests: {str(error)[:100]!r}") from error
    return record


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """What JSON can hold, with a digest of itself under "digest"."""
    return {**content, _OWN: _own_digest(content)}


def check_sealed(content: Any) -> None:
    """Checks what `sealed` gave, read back.

    Raises:
        DamagedError: It is not as it was written.
    """
    if not isinstance(content, dict) or content.get(_OWN) != _own_digest(content):
        raise DamagedError("is not as it was written")


def _own_digest(content: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in content.items() if name != _OWN}
    text = json.dumps(json.loads(json.dumps(rest)), sort_keys=True)  # as it is read back
    return xxhash.xxh3_128(text.encode()).hexdigest()


def first_fault(
    folder: pathlib.Path, record: Record, *, share: tuple[int, int] = (0, 1), fresh: bool = False
) -> int | None:
    """The number of the first part that is not as it was written, for `told`; None if all are.

    Args:
        folder: Where the files are.
        record: The files to check.
        share: Which parts to read: every `share[1]`th from the number `share[0]` on. Sizes are
            looked at in any case.
        fresh: Read even files that this process has found as written before and that, by their
            dates, have not changed since.

    In a bucket, which keeps checksums of its own, sizes are looked at and small files are read.
    """
    parts, signatures = _parts(record), {}
    if is_bucket(folder):
        return _first_in_bucket(folder, record, share)
    for number, (name, start) in enumerate(parts):
        if start == 0:
            signature = _signature(folder / name)
            if signature is None or signature[0] != record[name].size:
                return number
            signatures[name] = signature
    wanted = {}
    for number in range(share[0], len(parts), share[1]):
        name, start = parts[number]
        found = signatures[name], record[name].parts[start // PART_BYTES]
        if fresh or _sound.get((f"{folder}/{name}", start)) != found:
            wanted[number] = found
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        right = pool.map(lambda number: _is_right(folder, record, *parts[number]), wanted)
        for (number, found), each in zip(wanted.items(), right, strict=True):
            if not each:
                pool.shutdown(cancel_futures=True)
                return number
            name, start = parts[number]
            _sound[f"{folder}/{name}", start] = found
    return None


def told(folder: pathlib.Path, record: Record, number: int) -> str:
    """What is wrong at a number of `first_fault`: the file and what happened to it."""
    name, start = _parts(record)[number]
    if is_bucket(folder):
        return f"{name} {_wrong_object(folder / name, record[name])}"
    size, signature = record[name].size, _signature(folder / name)
    if signature is None:
        return f"{name} is missing"
    if signature[0] != size:
        return f"{name} has {signature[0]:,} bytes, not {size:,}"
    where = f" (bytes {start:,} to {min(start + PART_BYTES, size):,})" if size > PART_BYTES else ""
    return f"{name} is not as it was written{where}"


def fault(folder: pathlib.Path, record: Record) -> str | None:
    """What is wrong with the first file that is not as it was written, or None."""
    number = first_fault(folder, record)
    return None if number is None else told(folder, record, number)


def _parts(record: Record) -> list[tuple[str, int]]:
    return [(name, start) for name in sorted(record) for start in _starts(record[name].size)]


def _starts(size: int) -> range:
    """First bytes of a file's parts; an empty file has one."""
    return range(0, max(size, 1), PART_BYTES)


def _signature(path: pathlib.Path) -> _Signature | None:
    """Size, dates and number of a regular file; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev


def _is_right(folder: pathlib.Path, record: Record, name: str, start: int) -> bool:
    try:
        return _digest(folder / name, start) == record[name].parts[start // PART_BYTES]
    except OSError:  # the disk does not give it: it is damaged
        return False


def _digest(path: pathlib.Path, start: int) -> str:
    digest = xxhash.xxh3_128()
    buffer = memoryview(bytearray(_READ_BYTES))
    left = PART_BYTES
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while left and (count := file.readinto(buffer[: min(left, _READ_BYTES)])):
            digest.update(buffer[:count])
            left -= count
    return digest.hexdigest()


# In a bucket


def _of_object(path: Any) -> FileDigest:
    """The digest of an object, whose size the bucket does not tell before it is read."""
    size = 0
    parts: list[str] = []
    while True:
        part = path.read_part(size, size + PART_BYTES)
        if part or not parts:
            parts.append(xxhash.xxh3_128(part).hexdigest())
        size += len(part)
        if len(part) < PART_BYTES:
            return FileDigest(size, tuple(parts))


def _first_in_bucket(folder: pathlib.Path, record: Record, share: tuple[int, int]) -> int | None:
    firsts = [number for number, (_, start) in enumerate(_parts(record)) if start == 0]
    wanted = list(zip(firsts, sorted(record), strict=True))[share[0] :: share[1]]
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        why = pool.map(lambda each: _wrong_object(folder / each[1], record[each[1]]), wanted)
        return next((number for (number, _), wrong in zip(wanted, why, strict=True) if wrong), None)


def _wrong_object(path: Any, wanted: FileDigest) -> str:
    """What is wrong with an object, or ""."""
    small = wanted.size <= _SMALL
    start = 0 if small else wanted.size - 1
    try:
        found = path.read_part(start, wanted.size + 1)
    except FileNotFoundError:
        return "is missing"
    if start + len(found) != wanted.size:
        return f"has not {wanted.size:,} bytes"
    if small and xxhash.xxh3_128(found).hexdigest() != wanted.parts[0]:
        return "is not as it was written"
    return ""
