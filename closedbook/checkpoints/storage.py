"""Files of a checkpoint, in a local folder or under gs://, read in place."""

import dataclasses
import pathlib
from typing import Any

from closedbook.errors import UserError

GCS = "gs://"


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
        if str(path).startswith(GCS):
            return cls(str(path).rstrip("/"))
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
        """TensorStore's key-value spec of a folder in it ("" is the root)."""
        inside = f"{name}/" if name else ""
        if not self.remote:
            return {"driver": "file", "path": f"{self.root}/{inside}"}
        bucket, _, prefix = self.root[len(GCS) :].partition("/")
        return {
            "driver": "gcs",
            "bucket": bucket,
            "path": f"{prefix}/{inside}" if prefix else inside,
        }

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
        """All files below it, with their folders, sorted."""
        if not self.remote:
            files = (path for path in self.local.rglob("*") if path.is_file())
            return sorted(path.relative_to(self.local).as_posix() for path in files)
        import tensorstore as ts

        try:
            keys = ts.KvStore.open(self.kvstore()).result().list().result()
        except (ValueError, OSError) as error:
            raise _unreachable(self.root, error) from error
        return sorted(key.decode() for key in keys if key)

    def read(self, name: str) -> bytes:
        """A file's content.

        Raises:
            UserError: It is absent or cannot be read.
        """
        if not self.remote:
            try:
                return (self.local / name).read_bytes()
            except OSError as error:
                raise UserError(f"{self.root}/{name} cannot be read: {error.strerror}") from error
        import tensorstore as ts

        try:
            found = ts.KvStore.open(self.kvstore()).result().read(name).result()
        except (ValueError, OSError) as error:
            raise _unreachable(f"{self.root}/{name}", error) from error
        if found.state != "value":
            raise UserError(f"{self.root}/{name} does not exist")
        return found.value


def _unreachable(url: str, error: Exception) -> UserError:
    detail = " ".join(str(error).split())[:300]
    return UserError(
        f"{url} cannot be read: {detail}; check the network, the name and your rights to the "
        "bucket (GOOGLE_APPLICATION_CREDENTIALS), or give a local copy"
    )
