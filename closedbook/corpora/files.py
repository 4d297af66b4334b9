"""Files by path, local or on any file system that Apache Beam knows (gs://, s3://, hdfs://)."""

import contextlib
import glob
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from closedbook import whole_files
from closedbook.errors import UserError


class Found(NamedTuple):
    """An existing file."""

    path: str
    size: int  # bytes
    modified: float  # seconds since 1970; 0 where the file system does not say


def is_remote(path: str) -> bool:
    """Whether a path names a file system, as in gs://bucket/file."""
    return "://" in path


def join(folder: str, *names: str) -> str:
    """A path within a folder."""
    return (
        "/".join((folder.rstrip("/"), *names))
        if is_remote(folder)
        else os.path.join(folder, *names)
    )


def match(pattern: str) -> list[Found]:
    """The files that a pattern matches (`**` for any depth), or those of a folder, sorted."""
    if is_remote(pattern):
        with _beam_errors(pattern):
            (result,) = _beam_files().match([pattern])
        found = [
            Found(each.path, each.size_in_bytes, each.last_updated_in_seconds or 0.0)
            for each in result.metadata_list
        ]
    else:
        pattern = os.path.expanduser(pattern)
        if os.path.isdir(pattern):
            pattern = os.path.join(glob.escape(pattern), "**", "*")
        paths = [pattern] if os.path.isfile(pattern) else glob.glob(pattern, recursive=True)
        found = []
        for path in paths:
            if os.path.isfile(path):
                status = os.stat(path)
                found.append(Found(path, status.st_size, status.st_mtime))
    return sorted(found)


def open_read(path: str) -> IO[bytes]:
    """A file's bytes as they lie; seekable."""
    if not is_remote(path):
        return open(path, "rb")
    from apache_beam.io.filesystem import CompressionTypes

    with _beam_errors(path):
        return _beam_files().open(path, compression_type=CompressionTypes.UNCOMPRESSED)


def size(path: str) -> int | None:
    """Bytes of a file; None if there is none."""
    if not is_remote(path):
        return os.path.getsize(path) if os.path.isfile(path) else None
    found = match(path)
    return found[0].size if found else None


def read_text(path: str) -> str | None:
    """A small text file; None if there is none."""
    if is_remote(path) and size(path) is None:
        return None
    try:
        with open_read(path) as file:
            return file.read().decode()
    except FileNotFoundError:
        return None


def write_text(path: str, text: str, *, scratch: str = "") -> None:
    """Writes a small text file, which appears whole; `scratch` as for `local_copy`."""
    with local_copy(path, scratch=scratch) as local:
        pathlib.Path(local).write_text(text, encoding="utf-8")


@contextlib.contextmanager
def local_copy(path: str, *, scratch: str = "") -> Iterator[str]:
    """A local path to write to; what lies there at the end moves to `path`, whole or not at all.

    Args:
        path: The file to make.
        scratch: A folder on the same file system for what is not finished; when the process is
            killed, that stays there. Default: the file's own folder.
    """
    folder, _, name = path.rpartition("/" if is_remote(path) else os.sep)
    if not is_remote(path):
        os.makedirs(scratch or folder or ".", exist_ok=True)
        with whole_files.making(path, scratch=scratch or None) as partial:
            yield str(partial)
        return
    temporary = join(scratch or folder, whole_files.hidden_name(name))
    with tempfile.TemporaryDirectory(prefix="closedbook-") as here:
        local = os.path.join(here, "file")
        yield local
        with _beam_errors(path):
            beam_files = _beam_files()
            from apache_beam.io.filesystem import CompressionTypes

            with (
                open(local, "rb") as source,
                beam_files.create(
                    temporary, compression_type=CompressionTypes.UNCOMPRESSED
                ) as target,
            ):
                shutil.copyfileobj(source, target, 1 << 20)
            if beam_files.exists(path):
                beam_files.delete([path])
            beam_files.rename([temporary], [path])


def make_folder(path: str) -> None:
    """Makes a folder where there is none."""
    if not is_remote(path):
        os.makedirs(path, exist_ok=True)
        return
    # Object stores have no folders; those file systems that do may say that it exists.
    with _beam_errors(path), contextlib.suppress(OSError):
        _beam_files().mkdirs(path)


def delete(paths: list[str]) -> None:
    """Removes files that exist."""
    remote = [path for path in paths if is_remote(path)]
    if remote:
        with _beam_errors(remote[0]):
            _beam_files().delete(remote)
    for path in paths:
        if not is_remote(path):
            pathlib.Path(path).unlink(missing_ok=True)


def delete_folder(path: str) -> None:
    """Removes a folder and what is in it, where there is one."""
    if not is_remote(path):
        shutil.rmtree(path, ignore_errors=True)
        return
    delete([found.path for found in match(join(path, "*"))])
    with contextlib.suppress(UserError, OSError):  # object stores have no folders
        delete([path])


def _beam_files() -> Any:
    from apache_beam.io.filesystems import FileSystems

    return FileSystems


@contextlib.contextmanager
def _beam_errors(path: str) -> Iterator[None]:
    """Beam's errors as a UserError with the path and the first cause."""
    from apache_beam.io.filesystem import BeamIOError

    try:
        yield
    except (BeamIOError, ValueError, ImportError) as error:
        raise UserError(
            f"{path} cannot be reached: {error}; is its file system installed "
            "(pip install 'apache-beam[gcp]' for gs://, [aws] for s3://) and are you signed in?"
        ) from error
