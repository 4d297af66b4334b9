"""Files of a checkpoint, in a local folder or under gs://, read in place."""

import dataclasses
import os
import pathlib
import time
from typing import Any

from closedbook.errors import UserError

GCS = "gs://"
# A bucket is tried again for about ten seconds, then the user hears of it. (TensorStore's own
# setting is 32 times, a quarter of an hour.)
_RETRIES = {"max_retries": 4, "initial_delay": "0.5s", "max_delay": "8s"}
# TensorStore looks for credentials at the metadata server of Google's machines and has no limit
# for it: where that address leads nowhere, every read would hang for ever. Seconds; bytes/s.
_LIMITS = {
    "TENSORSTORE_CURL_CONNECT_TIMEOUT_SECONDS": "10",
    "TENSORSTORE_CURL_LOW_SPEED_TIME_SECONDS": "30",
    "TENSORSTORE_CURL_LOW_SPEED_LIMIT_BYTES": "1",
}
_LISTING_AGE = 30.0  # seconds for which a bucket's listing is used again
_listings: dict[str, tuple[float, list[str]]] = {}


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
        return bucket_spec(self.root) | {"path": f"{prefix}/{inside}" if prefix else inside}

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
        now = time.monotonic()
        for root, (listed, keys) in list(_listings.items()):
            inside = f"{self.root}/"[len(root) + 1 :]
            if now - listed < _LISTING_AGE and f"{self.root}/".startswith(f"{root}/"):
                return [key[len(inside) :] for key in keys if key.startswith(inside)]
        keys = [key for key in list_bucket(f"{self.root}/") if not key.endswith("/")]
        _listings[self.root] = (now, keys)
        return keys

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


def bucket_spec(url: str) -> dict[str, Any]:
    """TensorStore's key-value spec of the bucket of a gs:// URL.

    Credentials are those that TensorStore finds: $GOOGLE_APPLICATION_CREDENTIALS, those of
    `gcloud auth application-default login`, the service account of a machine of Google's, or
    none, which is enough for public buckets.

    Raises:
        UserError: The bucket's name is none that a bucket can have.
    """
    import tensorstore as ts

    for name, value in _LIMITS.items():
        os.environ.setdefault(name, value)
    bucket = url[len(GCS) :].partition("/")[0]
    spec = {"driver": "gcs", "bucket": bucket, "gcs_request_retries": _RETRIES}
    try:
        ts.KvStore.Spec(spec)
    except ValueError as error:
        raise UserError(
            f"{url} names the bucket {bucket!r}, which no bucket can be called; write "
            "gs://BUCKET/FOLDER, the bucket in lower case, digits, '-', '_' and '.'"
        ) from error
    return spec


def list_bucket(url: str) -> list[str]:
    """The rest of the names of all objects that begin with a gs:// URL, sorted.

    Raises:
        UserError: The bucket does not exist or cannot be listed.
    """
    import tensorstore as ts

    prefix = url[len(GCS) :].partition("/")[2]
    try:
        store = ts.KvStore.open(bucket_spec(url) | {"path": prefix}).result()
        keys = sorted(key.decode() for key in store.list().result())
        if not keys:
            _check_bucket(url)
    except (ValueError, OSError) as error:
        raise _unreachable(url, error) from error
    return keys


def _check_bucket(url: str) -> None:
    """Raises UserError for a bucket that is closed or absent.

    TensorStore takes the answers 401, 403 and 404 to a listing for an empty one. Reading an object
    that is not there tells whether listing is allowed: if not, the answer is 403 in place of 404.
    Whether there is a bucket, Cloud Storage tells anybody.
    """
    import tensorstore as ts

    bucket = url[len(GCS) :].partition("/")[0]
    read_part(f"{GCS}{bucket}/closedbook-looks-whether-listing-is-allowed")
    server = os.environ.get("TENSORSTORE_GCS_HTTP_URL", "https://storage.googleapis.com")
    spec = {"driver": "http", "base_url": f"{server}/storage/v1/b/"}
    try:
        found = ts.KvStore.open(spec | {"http_request_retries": _RETRIES}).result().read(bucket)
        absent = found.result().state == "missing"
    except ValueError:
        return  # not for us to see, so it is there
    if absent:
        raise UserError(f"{url}: there is no bucket {bucket!r}; check its name")


def read_part(url: str, start: int = 0, end: int | None = None) -> bytes | None:
    """Bytes of an object, to the end if that comes first; None if there is no such object.

    Raises:
        UserError: It cannot be read.
    """
    import tensorstore as ts

    key = url[len(GCS) :].partition("/")[2]
    try:
        store = ts.KvStore.open(bucket_spec(url)).result()
        try:
            found = store.read(key, byte_range=slice(start, end)).result()
        except ValueError as error:
            if not _beyond_the_end(error):
                raise
            try:
                found = store.read(key, byte_range=slice(start, None)).result()
            except ValueError as again:
                if not _beyond_the_end(again):
                    raise
                return b""
    except (ValueError, OSError) as error:
        raise _unreachable(url, error) from error
    return found.value if found.state == "value" else None


def _beyond_the_end(error: ValueError) -> bool:
    return str(error).startswith("OUT_OF_RANGE")


def _unreachable(url: str, error: Exception) -> UserError:
    detail = " ".join(str(error).split())[:300]
    if detail.startswith(("PERMISSION_DENIED", "UNAUTHENTICATED")):
        remedy = (
            "the bucket is closed to you: log in with `gcloud auth application-default login`, "
            "set GOOGLE_APPLICATION_CREDENTIALS to a key file, or give a local copy"
        )
    else:
        remedy = "check the network and the name, or give a local copy"
    return UserError(f"{url} cannot be read: {detail}; {remedy}")
