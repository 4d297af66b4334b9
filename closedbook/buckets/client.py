"""Objects of Google Cloud Storage by their gs:// URLs, read and written through TensorStore."""

import contextlib
import errno
import functools
import json
import os
import re
import time
from collections.abc import Iterator
from typing import Any

from closedbook.buckets.names import GCS
from closedbook.errors import UserError

# What a user waits for is tried again for about ten seconds; what a run writes, and reads once it
# has its folder, for some minutes, since a run of days must outlast them. (TensorStore's own
# setting is a quarter of an hour.)
LOOKING = {"max_retries": 4, "initial_delay": "0.5s", "max_delay": "8s"}
WRITING = {"max_retries": 10, "initial_delay": "1s", "max_delay": "32s"}
# TensorStore looks for credentials at the metadata server of Google's machines and has no limit
# for it: where that address leads nowhere, every read would hang for ever. Seconds; bytes/s.
_LIMITS = {
    "TENSORSTORE_CURL_CONNECT_TIMEOUT_SECONDS": "10",
    "TENSORSTORE_CURL_LOW_SPEED_TIME_SECONDS": "30",
    "TENSORSTORE_CURL_LOW_SPEED_LIMIT_BYTES": "1",
}
_patient: list[bool] = []  # one for each `patiently`
_LISTING_AGE = 30.0  # seconds for which a listing that may be old is used again
_listings: dict[str, tuple[float, list[str]]] = {}
_open_buckets: set[str] = set()  # that were there and listed
_ANSWER = re.compile(r" \[http_response_\w+='(?:[^'\\]|\\.)*'\]")  # TensorStore adds it to errors
_CLOSED = ("PERMISSION_DENIED", "UNAUTHENTICATED")
_STATUS = re.compile(
    r"\b(PERMISSION_DENIED|UNAUTHENTICATED|ABORTED|UNAVAILABLE|DEADLINE_EXCEEDED|NOT_FOUND)\b"
)
_PLACE = re.compile(r"gs://[^\s\"':]+")


class BucketError(OSError):
    """An object cannot be read or written; `strerror` says why and what to do.

    Attributes:
        done: What could not be done: "read" or "written"; "" where the bucket is absent.
    """

    done = ""

    @property
    def message(self) -> str:
        """One line for people: the place, what happened, and the remedy."""
        return f"{self.filename}{self.done and f' cannot be {self.done}'}: {self.strerror}"


@contextlib.contextmanager
def patiently() -> Iterator[None]:
    """While it lasts, all threads read as patiently as they write."""
    _patient.append(True)
    try:
        yield
    finally:
        _patient.pop()


def _reading(*, hasty: bool = False) -> dict[str, Any]:
    return WRITING if _patient and not hasty else LOOKING


def check_name(url: str) -> None:
    """Checks the name of a URL's bucket.

    Raises:
        UserError: It is none that a bucket can have.
    """
    spec(url)


def spec(url: str, retries: dict[str, Any] | None = None) -> dict[str, Any]:
    """TensorStore's key-value spec of the bucket of a gs:// URL.

    Credentials are those that TensorStore finds: $GOOGLE_APPLICATION_CREDENTIALS, those of
    `gcloud auth application-default login`, the service account of a machine of Google's, or
    none, which is enough for public buckets.

    Args:
        url: Of the bucket or anything in it.
        retries: How often a server that does not answer is asked again; as for reading if None.

    Raises:
        UserError: The bucket's name is none that a bucket can have.
    """
    import tensorstore as ts

    for name, value in _LIMITS.items():
        os.environ.setdefault(name, value)
    bucket = url[len(GCS) :].partition("/")[0]
    found = {"driver": "gcs", "bucket": bucket, "gcs_request_retries": retries or _reading()}
    try:
        ts.KvStore.Spec(found)
    except ValueError as error:
        raise UserError(
            f"{url} names the bucket {bucket!r}, which no bucket can be called; write "
            "gs://BUCKET/FOLDER, the bucket in lower case, digits, '-', '_' and '.'"
        ) from error
    return found


@functools.lru_cache(maxsize=64)
def _opened(text: str) -> Any:
    import tensorstore as ts

    return ts.KvStore.open(json.loads(text)).result()


def _store(url: str, retries: dict[str, Any]) -> tuple[Any, str]:
    """An open bucket, and the name in it of what a URL names."""
    return _opened(json.dumps(spec(url, retries))), url[len(GCS) :].partition("/")[2]


def forget() -> None:
    """Forgets open buckets and listings."""
    _opened.cache_clear()
    _listings.clear()
    _open_buckets.clear()


def keys(url: str, *, hasty: bool = False) -> list[str]:
    """The rest of the names of all objects that begin with a gs:// URL, sorted.

    Args:
        url: What the names begin with.
        hasty: Do not try for minutes, even `patiently`.

    Raises:
        BucketError: The bucket does not exist or cannot be listed.
        UserError: No bucket can have its name.
    """
    store, prefix = _store(url, _reading(hasty=hasty))
    try:
        found = sorted(key.decode() for key in (store + prefix).list().result())
    except (ValueError, OSError) as error:
        raise _failed(url, error) from error
    if not found:
        check_bucket(url)
    return found


def recent_keys(url: str) -> list[str]:
    """As `keys`, or what they were at most half a minute ago, as far as this process knows.

    Args:
        url: Of a folder, with a slash at the end.
    """
    now = time.monotonic()
    for root, (listed, known) in list(_listings.items()):
        inside = url[len(root) :]
        if now - listed < _LISTING_AGE and url.startswith(root):
            return [key[len(inside) :] for key in known if key.startswith(inside)]
    found = keys(url)
    _listings[url] = (now, found)
    return found


def forget_listings() -> None:
    """Lets `recent_keys` look anew: something was written."""
    _listings.clear()


def check_bucket(url: str) -> None:
    """Raises BucketError for a bucket that is closed or absent.

    TensorStore takes the answers 401, 403 and 404 to a listing for an empty one. Reading an object
    that is not there tells whether listing is allowed: if not, the answer is 403 in place of 404.
    Whether there is a bucket, Cloud Storage tells anybody.
    """
    import tensorstore as ts

    bucket = url[len(GCS) :].partition("/")[0]
    if bucket in _open_buckets:
        return
    read(f"{GCS}{bucket}/closedbook-looks-whether-listing-is-allowed", told=url)
    server = os.environ.get("TENSORSTORE_GCS_HTTP_URL", "https://storage.googleapis.com")
    place = {"driver": "http", "base_url": f"{server}/storage/v1/b/"}
    try:
        found = ts.KvStore.open(place | {"http_request_retries": LOOKING}).result().read(bucket)
        absent = found.result().state == "missing"
    except ValueError:
        absent = False  # not for us to see, so it is there
    if absent:
        raise _no_bucket(url)
    _open_buckets.add(bucket)


def read(
    url: str,
    start: int = 0,
    end: int | None = None,
    *,
    told: str | None = None,
    hasty: bool = False,
) -> bytes | None:
    """Bytes of an object, to the end if that comes first; None if there is no such object.

    Args:
        url: Of the object.
        start: The first byte.
        end: The one after the last; None for all.
        told: What an error names; the object if None.
        hasty: As for `keys`.

    Raises:
        BucketError: It cannot be read.
    """
    store, key = _store(url, _reading(hasty=hasty))
    try:
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
        raise _failed(told or url, error) from error
    return found.value if found.state == "value" else None


def _beyond_the_end(error: ValueError) -> bool:
    return str(error).startswith("OUT_OF_RANGE")


def write(url: str, content: bytes, *, patient: bool = True) -> None:
    """Makes an object, or replaces one, at once or not at all.

    Args:
        url: Of the object.
        content: All of it.
        patient: Try for some minutes, and not only as long as people like to wait.

    Raises:
        BucketError: It cannot be written; the bucket is absent, or closed to the user.
    """
    _write(url, content, WRITING if patient else LOOKING)


def remove(url: str, *, patient: bool = True) -> None:
    """Removes an object, if it is there; arguments and errors as `write`."""
    _write(url, None, WRITING if patient else LOOKING)


def _write(url: str, content: bytes | None, retries: dict[str, Any]) -> None:
    store, key = _store(url, retries)
    try:
        store.write(key, content).result()
    except (ValueError, OSError) as error:
        raise _failed(url, error, done="written") from error
    finally:  # another thread may have listed meanwhile
        forget_listings()


def read_versioned(url: str) -> tuple[bytes | None, bytes]:
    """An object's content, None where there is none, and what `write_over` asks for.

    Raises:
        BucketError: As `read`.
    """
    store, key = _store(url, LOOKING)
    try:
        found = store.read(key).result()
    except (ValueError, OSError) as error:
        raise _failed(url, error) from error
    return found.value if found.state == "value" else None, found.stamp.generation


def write_over(url: str, content: bytes | None, version: bytes) -> bool:
    """Writes or removes an object if it still is what `read_versioned` found.

    Returns:
        Whether it was. Where an answer was lost and the request is made again, False may come
        though this write was the one that changed the object: look what stands there.

    Raises:
        BucketError: As `write`.
    """
    store, key = _store(url, LOOKING)
    try:
        return bool(store.write(key, content, if_equal=version).result().generation)
    except (ValueError, OSError) as error:
        raise _failed(url, error, done="written") from error
    finally:
        forget_listings()


def _no_bucket(url: str) -> BucketError:
    bucket = url[len(GCS) :].partition("/")[0]
    return BucketError(errno.ENOENT, f"there is no bucket {bucket!r}; check its name", url)


def fault_in(text: str) -> BucketError | None:
    """The fault of a bucket that the text of an exception tells of, TensorStore's or Orbax's."""
    place = _PLACE.search(text)
    status = _STATUS.search(text)
    if place is None or status is None:
        return None
    done = "written" if "writing" in text[: place.start()].lower() else "read"
    return _failed(place.group().rstrip("/"), f"{status.group()}{text[place.end() :]}", done=done)


def _failed(url: str, error: Exception | str, *, done: str = "read") -> BucketError:
    detail = _ANSWER.sub("", " ".join(str(error).split()))
    instead = "give a path on a disk" if done == "read" else "give another folder"
    if detail.startswith("NOT_FOUND: The specified bucket does not exist"):
        return _no_bucket(url)
    if detail.startswith(_CLOSED):
        number = errno.EACCES
        remedy = (
            "the bucket is closed to you: log in with `gcloud auth application-default login`, "
            f"set GOOGLE_APPLICATION_CREDENTIALS to a key file, or {instead}"
        )
        if done == "written":
            remedy += "; writing takes the role roles/storage.objectUser"
    else:
        number, remedy = errno.EIO, f"check the network and the name, or {instead}"
    failed = BucketError(number, f"{detail[:300]}; {remedy}", url)
    failed.done = done
    return failed
