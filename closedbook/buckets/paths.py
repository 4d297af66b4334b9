"""Paths in buckets that act like those of a disk, for this package and for Orbax.

Both write through `etils.epath`, whose own ways to a bucket are TensorFlow or gcsfs; here it is the
client that reads and writes arrays as well. A bucket has no folders: one is there while an object
lies below it, so that making one does nothing. What replaces an object does so at once, but a
folder is moved and removed object by object: nothing here relies on that being whole.
"""

import concurrent.futures
import fnmatch
import io
import os
import pathlib
import typing
from collections.abc import Callable, Iterator
from typing import Any, cast

from etils import epath
from etils.epath import backend, gpath, stat_utils

from closedbook.buckets import client
from closedbook.buckets.names import GCS

_THREADS = 16  # requests at once: each waits for the network


@epath.register_path_cls(GCS)
class BucketPath(gpath.PosixGPath):
    """A path in a bucket; `closedbook.buckets.folder_at` makes it."""

    @property
    def _backend(self) -> backend.Backend:
        return _OBJECTS

    def is_symlink(self) -> bool:
        """False: a bucket has no links."""
        return False

    def is_file(self) -> bool:
        """Whether there is such an object."""
        return client.read(str(self), 0, 1) is not None

    def absolute(self) -> "BucketPath":
        """The path itself."""
        return self

    resolve = absolute

    def rglob(self, pattern: str) -> Iterator["BucketPath"]:
        """All objects below whose names match."""
        for key in client.keys(f"{self}/"):
            if fnmatch.fnmatchcase(key.rpartition("/")[2], pattern):
                yield self / key

    def read_part(self, start: int, end: int) -> bytes:
        """Bytes of the object, as many as there are.

        Raises:
            FileNotFoundError: There is no such object.
            client.BucketError: It cannot be read.
        """
        part = client.read(str(self), start, end)
        if part is None:
            raise FileNotFoundError(2, "there is no such object", str(self))
        return part

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        """The object's content, a text in UTF-8."""
        return self.read_bytes().decode("utf-8", errors or "strict")


class _Upload(io.BytesIO):
    """What is written to it becomes an object as it is closed."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def __exit__(self, kind: Any, *rest: Any) -> None:
        if kind is not None:  # half of a file becomes none
            super().close()
        self.close()

    def close(self) -> None:
        if not self.closed:
            content = self.getvalue()
            super().close()
            client.write(self._url, content)


class _Stat(stat_utils.StatResult):
    @property
    def st_size(self) -> int:
        """As the disk's own calls the size, in bytes."""
        return self.length


class _Objects(backend.Backend):
    """What etils asks of a file system."""

    def open(self, path: Any, mode: str) -> typing.IO[Any]:
        """A file that is read whole, or written whole as it is closed."""
        url, kind = os.fspath(path), mode.replace("b", "")
        file: Any
        if kind == "r":
            content = client.read(url)
            if content is None:
                raise FileNotFoundError(2, "there is no such object", url)
            file = io.BytesIO(content)
        elif kind == "w":
            file = _Upload(url)
        else:
            raise io.UnsupportedOperation(f"{url} cannot be opened with {mode!r}")
        text = "b" not in mode
        return io.TextIOWrapper(file, encoding="utf-8", newline="") if text else file

    def exists(self, path: Any) -> bool:
        return client.read(os.fspath(path), 0, 1) is not None or self.isdir(path)

    def isdir(self, path: Any) -> bool:
        return bool(client.keys(_inside(path)))

    def listdir(self, path: Any) -> list[str]:
        found = client.keys(_inside(path))
        if not found:
            raise FileNotFoundError(2, "there is no such folder", os.fspath(path))
        return sorted({key.partition("/")[0] for key in found} - {""})

    def glob(self, path: Any) -> list[str]:
        pattern = os.fspath(path)
        folder = "/".join(_plain(pattern.split("/")[:-1]))
        wanted = pattern[len(folder) + 1 :].split("/")
        found = set()
        for key in client.keys(f"{folder}/"):
            parts = key.split("/")[: len(wanted)]
            if len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted)):
                found.add(f"{folder}/{'/'.join(parts)}")
        return sorted(found)

    def walk(
        self,
        top: Any,
        *,
        top_down: bool = True,
        on_error: Callable[[OSError], object] | None = None,
    ) -> Iterator[tuple[Any, list[str], list[str]]]:
        del on_error
        folders: dict[str, tuple[set[str], set[str]]] = {"": (set(), set())}
        for key in client.keys(_inside(top)):
            *parents, name = key.split("/")
            for depth, parent in enumerate(parents):
                folders.setdefault("/".join(parents[:depth]), (set(), set()))[0].add(parent)
            folders.setdefault("/".join(parents), (set(), set()))[1].add(name)
        for folder, (inside, files) in sorted(folders.items(), reverse=not top_down):
            yield os.path.join(os.fspath(top), folder), sorted(inside), sorted(files - {""})

    def makedirs(self, path: Any, *, exist_ok: bool = False, mode: int | None = None) -> None:
        self.mkdir(path, exist_ok=exist_ok, mode=mode)

    def mkdir(self, path: Any, *, exist_ok: bool = False, mode: int | None = None) -> None:
        if not exist_ok and self.exists(path):
            raise FileExistsError(17, "is there already", os.fspath(path))

    def rmtree(self, path: Any) -> None:
        """Removes files before folders: of a checkpoint, first what says that it is whole."""
        root = _inside(path)
        found = client.keys(root)
        if not found:
            raise FileNotFoundError(2, "there is no such folder", os.fspath(path))
        above = [key for key in found if "/" not in key]
        for each in (above, [key for key in found if "/" in key]):
            _at_once(client.remove, [root + key for key in each])

    def remove(self, path: Any) -> None:
        if client.read(os.fspath(path), 0, 1) is None:
            raise FileNotFoundError(2, "there is no such object", os.fspath(path))
        client.remove(os.fspath(path))

    def rename(self, path: Any, dst: Any) -> None:
        if self.exists(dst):
            raise FileExistsError(17, "is there already", os.fspath(dst))
        self._move(path, dst)

    def replace(self, path: Any, dst: Any) -> None:
        self._move(path, dst)

    def _move(self, path: Any, dst: Any) -> None:
        source, target = os.fspath(path), os.fspath(dst)
        names = [f"/{key}" for key in client.keys(_inside(path))]
        if client.read(source, 0, 1) is not None:
            names.append("")
        if not names:
            raise FileNotFoundError(2, "there is no such object", source)
        _at_once(lambda name: self.copy(source + name, target + name, overwrite=True), names)
        _at_once(lambda name: client.remove(source + name), names)

    def copy(self, path: Any, dst: Any, overwrite: bool) -> None:
        if not overwrite and self.exists(dst):
            raise FileExistsError(17, "is there already", os.fspath(dst))
        content = self.open(path, "rb").read()
        if os.fspath(dst).startswith(GCS):
            client.write(os.fspath(dst), content)
        else:
            pathlib.Path(dst).write_bytes(content)

    def stat(self, path: Any) -> _Stat:
        """Size and kind; the size costs reading all of it."""
        content = client.read(os.fspath(path))
        if content is None and not self.isdir(path):
            raise FileNotFoundError(2, "there is no such object", os.fspath(path))
        return _Stat(
            is_directory=content is None,
            length=len(content or b""),
            mtime=0,
            owner=None,
            group=None,
            mode=None,
        )


_OBJECTS = _Objects()


def at(url: str) -> pathlib.Path:
    """A path in a bucket, as if it were one on a disk."""
    return cast(pathlib.Path, BucketPath(url.rstrip("/")))


def _inside(path: Any) -> str:
    return os.fspath(path).rstrip("/") + "/"


def _plain(parts: list[str]) -> list[str]:
    """The first parts of a pattern, up to one that may stand for several names."""
    for number, part in enumerate(parts):
        if any(sign in part for sign in "*?["):
            return parts[:number]
    return parts


def _at_once(do: Callable[[str], Any], names: list[str]) -> None:
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(do, names))
