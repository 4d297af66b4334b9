"""Files of a checkpoint, in a local folder or under gs://, read in place."""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from closedbook.buckets import GCS, client, is_bucket
from closedbook.errors import UserError


@dataclasses.dataclass(frozen=True)
class Storage:
    """A folder on this machine or a prefix of a bucket.

    Attributes:
        root: Absolute folder, or "gs://bucket/prefix"; no slash at the end.
    """

    root: str

    @classmethod
    def at(cls, path: str | pathlib.Path) -> "Storage":
        """The storage for a path that a user wrote."""
        if is_bucket(path):
            return cls(GCS + str(path)[len(GCS) :].rstrip("/"))
        return cls(str(pathlib.Path(path).expanduser().absolute()))

    @property
    def remote(self) -> bool:
        """Whether it is a bucket."""
        return self.root.startswith(GCS)

    @property
    def local(self) -> pathlib.Path:
        """The folder; for local storage only."""
        assert not self.remote
        return pathlib.Path(self.root)

    def __truediv__(self, name: str) -> "Storage":
        return Storage(f"{self.root}/{name}")

    def kvstore(self, name: str = "") -> dict[str, Any]:
        """TensorStore's key-value spec of a folder in it ("" is the root).

        Raises:
            UserError: The bucket's name is none that a bucket can have.
        """
        inside = f"{name}/" if name else ""
        if not self.remote:
            # TensorStore takes no path with ".." in it.
            return {"driver": "file", "path": f"{os.path.realpath(self.root)}/{inside}"}
        _, _, prefix = self.root[len(GCS) :].partition("/")
        return client.spec(self.root) | {"path": f"{prefix}/{inside}" if prefix else inside}

    def names(self) -> list[str]:
        """What is directly in it, sorted; folders with a slash at the end. [] if there is nothing.

        Raises:
            UserError: The bucket cannot be listed.
        """
        if not self.remote:
            if not self.local.is_dir():
                return []
            entries = self.local.iterdir()
            return sorted(entry.name + "/" * entry.is_dir() for entry in entries)
        found = set()
        for key in self.keys():
            first, slash, _ = key.partition("/")
            found.add(first + slash)
        return sorted(found)

    def keys(self) -> list[str]:
        """All files below it, with their folders, sorted.

        A bucket is asked once in half a minute for a folder and all that is below.

        Raises:
            UserError: The bucket cannot be listed.
        """
        if not self.remote:
            files = (path for path in self.local.rglob("*") if path.is_file())
            return sorted(path.relative_to(self.local).as_posix() for path in files)
        with _told():
            keys = client.recent_keys(f"{self.root}/")
        return [key for key in keys if key and not key.endswith("/")]

    def read(self, name: str, *, size: int | None = None) -> bytes:
        """A file's content.

        Args:
            name: Path of the file in the storage.
            size: Read that many bytes from its beginning, or as many as there are.

        Raises:
            UserError: It is absent or cannot be read.
        """
        place = f"{self.root}/{name}"
        if not self.remote:
            try:
                with (self.local / name).open("rb") as file:
                    return file.read(-1 if size is None else size)
            except OSError as error:
                raise UserError(f"{place} cannot be read: {error.strerror}") from error
        part = None if size is None else read_part(place, 0, size)
        content = read_part(place) if part is None else part
        if content is None:
            raise UserError(f"{place} does not exist")
        return content


def list_bucket(url: str) -> list[str]:
    """The rest of the names of all objects that begin with a gs:// URL, sorted.

    Raises:
        UserError: The bucket does not exist or cannot be listed.
    """
    with _told():
        return client.keys(url)


def read_part(url: str, start: int = 0, end: int | None = None) -> bytes | None:
    """Bytes of an object, to the end if that comes first; None if there is no such object.

    Raises:
        UserError: It cannot be read.
    """
    with _told():
        return client.read(url, start, end)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except client.BucketError as error:
        raise UserError(error.message) from error
