"""Files that grow while a run goes on: lines of metrics, TensorBoard's events.

On a disk what is written is handed to the operating system at once, so a killed process loses
none. An object in a bucket cannot grow: the file grows on this machine, and a thread uploads it
anew from time to time; `secure` waits until all that was written so far is there.
"""

import logging
import os
import pathlib
import tempfile
import threading
from typing import BinaryIO, Protocol

from closedbook.buckets import is_bucket

_log = logging.getLogger(__name__)

UPLOAD_PERIOD = 30.0  # seconds between two uploads of a file that grows, at least


class Appended(Protocol):
    """A file that grows."""

    def write(self, content: bytes, /) -> object:
        """Adds to the end of the file."""

    def flush(self) -> None:
        """Hands over what was written: a process that is killed does not lose it on a disk."""

    def secure(self) -> None:
        """Waits until all that was written is where the file is to be."""

    def close(self) -> None:
        """Ends the writing."""


class _OnDisk:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.write, self.flush, self.close = file.write, file.flush, file.close

    def secure(self) -> None:
        self._file.flush()


class _InBucket:
    """The bucket's error is raised by the next call, if it lasts."""

    def __init__(self, url: str, content: bytes) -> None:
        self._url = url
        self._file = tempfile.TemporaryFile(prefix="closedbook-")  # noqa: SIM115  # it stays open
        self._file.write(content)
        self._lock = threading.Lock()  # on the file and what is known of it
        self._uploading = threading.Lock()
        self._unsent = False
        self._error: OSError | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._send_now_and_then, name="upload", daemon=True)
        self._thread.start()

    def write(self, content: bytes, /) -> int:
        with self._lock:
            self._unsent = True
            return self._file.write(content)

    def flush(self) -> None:
        if self._error is not None:
            raise self._error

    def secure(self) -> None:
        self._send()
        self.flush()

    def close(self) -> None:
        if self._ended.is_set():
            return
        self._ended.set()
        try:
            self.secure()
        except OSError as error:
            _log.warning("%s lacks what was written last: %s", self._url, error.strerror)
            raise
        finally:
            self._file.close()

    def _send_now_and_then(self) -> None:
        while not self._ended.wait(UPLOAD_PERIOD):
            self._send()

    def _send(self) -> None:
        from closedbook.buckets import client

        with self._uploading:
            with self._lock:
                if not self._unsent:
                    return
                self._file.seek(0)
                content = self._file.read()
                self._unsent = False
            try:
                client.write(self._url, content)
                self._error = None
            except OSError as error:
                self._error = error
                with self._lock:
                    self._unsent = True


def opened(path: str | os.PathLike[str], *, new: bool = False) -> Appended:
    """Opens a file to add to its end.

    Args:
        path: The file, on a disk in a folder that exists.
        new: Whether there must be none yet.

    Raises:
        FileExistsError: There is one, and is not to be.
        OSError: It cannot be written.
    """
    if not is_bucket(path):
        return _OnDisk(pathlib.Path(path).open("xb" if new else "ab"))
    from closedbook.buckets import client

    content = client.read(os.fspath(path))
    if new and content is not None:
        raise FileExistsError(17, "exists already", os.fspath(path))
    return _InBucket(os.fspath(path), content or b"")
