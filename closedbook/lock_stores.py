"""Where the files of locks lie: a folder on a disk, or one in a bucket (`folder_locks`)."""

import contextlib
import os
import pathlib
from typing import Protocol

from closedbook.buckets import client, is_bucket


class Store(Protocol):
    """Where the files of locks lie. All of it is seen at once by everybody who shares the store."""

    def names(self) -> list[str]:
        """The names of all files."""

    def read(self, name: str) -> str | None:
        """A file's text; None where there is none."""

    def create(self, name: str, text: str) -> bool:
        """Makes a file if there is none of this name; whether it did."""

    def rewrite(self, name: str, text: str) -> None:
        """Replaces a file's text by one of the same length; FileNotFoundError if it is gone."""

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""

    def where(self, name: str) -> str:
        """A file's place, for people."""

    def keep(self) -> None:
        """Leaves the folder there at the end, though nothing else may have come to it."""


class LocalFolder:
    """A folder on a disk, a network's too.

    Args:
        folder: Made with the first lock, and removed with the last one if nothing else came to it.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._made: list[pathlib.Path] = []

    def names(self) -> list[str]:
        """The names of all files."""
        try:
            return os.listdir(self._folder)
        except FileNotFoundError:
            return []

    def read(self, name: str) -> str | None:
        """A file's text; None where there is none."""
        try:
            return (self._folder / name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None

    def create(self, name: str, text: str) -> bool:
        """Makes a file if there is none of this name; whether it did."""
        folders = [self._folder, *self._folder.parents]
        missing = [each for each in folders if not each.exists()]
        self._folder.mkdir(parents=True, exist_ok=True)
        self._made = self._made or missing
        try:
            with (self._folder / name).open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            return False
        return True

    def rewrite(self, name: str, text: str) -> None:
        """Replaces a file's text by one of the same length; FileNotFoundError if it is gone."""
        with (self._folder / name).open("r+", encoding="utf-8") as file:
            file.write(text)

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""
        (self._folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty: they are in use now
            for folder in self._made:
                folder.rmdir()

    def where(self, name: str) -> str:
        """A file's place, for people."""
        return str(self._folder / name)

    def keep(self) -> None:
        """Leaves the folder there at the end, though nothing else may have come to it."""
        self._made = []


class BucketFolder:
    """A folder in a bucket. Of several that make an object, one does: generations tell.

    Args:
        url: Of the folder.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def names(self) -> list[str]:
        """The names of all files."""
        found = client.keys(f"{self._url}/", hasty=True)
        return [key for key in found if key and "/" not in key]

    def read(self, name: str) -> str | None:
        """A file's text; None where there is none."""
        content = client.read(self.where(name), hasty=True)
        return None if content is None else content.decode(errors="replace")

    def create(self, name: str, text: str) -> bool:
        """Makes a file if there is none of this name; whether it did."""
        content, version = client.read_versioned(self.where(name))
        return content is None and self._changed(name, text, version)

    def rewrite(self, name: str, text: str) -> None:
        """Replaces a file's text; FileNotFoundError if it is gone, or another's meanwhile."""
        content, version = client.read_versioned(self.where(name))
        if content is None or not self._changed(name, text, version):
            raise FileNotFoundError(self.where(name))

    def _changed(self, name: str, text: str, version: bytes) -> bool:
        # Where the answer to the write was lost, the next try finds what this one made.
        done = client.write_over(self.where(name), text.encode(), version)
        return done or self.read(name) == text

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""
        client.remove(self.where(name), patient=False)

    def where(self, name: str) -> str:
        """A file's place, for people."""
        return f"{self._url}/{name}"

    def keep(self) -> None:
        """Nothing: a bucket has no folders."""


def store_of(folder: str) -> Store:
    """The store of a folder on a disk or in a bucket."""
    if is_bucket(folder):
        return BucketFolder(folder)
    return LocalFolder(pathlib.Path(folder).absolute())
