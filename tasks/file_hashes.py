"""Which contents files have, so that a token cache is known by what it was built from."""

import functools
import hashlib
import pathlib
from collections.abc import Iterable
from typing import TypedDict


class FileHash(TypedDict):
    """One file as the key of a token cache has it."""

    name: str  # without its folder, so that a data folder may be moved
    bytes: int
    sha256: str  # hexadecimal


def file_hashes(paths: Iterable[pathlib.Path]) -> list[FileHash]:
    """Name, size and SHA-256 of each file, in the order given.

    A process reads each file once, and again only after its size or time of change differs.
    """
    found: list[FileHash] = []
    for path in paths:
        status = path.stat()
        digest = _sha256(path.absolute(), status.st_size, status.st_mtime_ns)
        found.append({"name": path.name, "bytes": status.st_size, "sha256": digest})
    return found


@functools.lru_cache(maxsize=4096)  # files; EntityQuestions has 72
def _sha256(path: pathlib.Path, size: int, changed: int) -> str:
    del size, changed  # parts of the key alone
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
