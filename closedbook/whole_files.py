"""Files and folders that appear whole or not at all: written under a hidden name, then renamed.

The hidden name is `.<name>.<machine>-<process id>-<random>.partial` and lies in the same folder,
so that several writers of one name do not meet. Of files the last to finish wins. Of folders too,
but for one case: where another program makes the folder between the two renames that replace it,
the one that was replacing fails, and its message tells where the folder that was there before is.
A link is followed: what it leads to is written, and the link stays.

In a bucket (gs://) an object is written at once or not at all: the new file is made on this
machine, and nothing has a hidden name. A bucket has no folders, and `folder` makes none there.

A fault while writing removes what there is of the new one and leaves the old one as it was. A
killed process leaves the hidden name behind, and the next write of the same name removes it if it
is surely abandoned: its process ran on this machine and is gone, or it is another machine's and
nothing in it has changed for a day. A former folder in it is put back first. No lock is needed,
which network file systems do not have or keep to one machine.

Errors of the disk are raised as they are, as an OSError: the caller knows the remedy.
"""

import contextlib
import errno
import hashlib
import logging
import os
import pathlib
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO

from closedbook import this_machine
from closedbook.buckets import is_bucket
from closedbook.errors import UserError

Path = str | os.PathLike[str]

_NEW = "new"  # in the hidden folder: the folder under its own name, until it takes its place
_FORMER = "former"  # in the hidden folder: what stood at the target before
_LONGEST_NAME = 200  # bytes; a file system takes 255, and the hidden name adds at most 41
_SILENCE = 24 * 3600.0  # seconds without a change, after which another machine's is abandoned
_HIDDEN_END = re.compile(
    r"(?P<machine>[0-9a-f]{12})-(?P<process>[1-9]\d{0,8})-[0-9a-f]{8}\.partial\Z"
)
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

_log = logging.getLogger(__name__)


def hidden_name(name: str) -> str:
    """A new hidden name for a file or folder that is going to be called `name`."""
    return f".{_short(name)}.{this_machine.machine()}-{os.getpid()}-{secrets.token_hex(4)}.partial"


def leavings(path: Path, *, scratch: Path | None = None) -> list[pathlib.Path]:
    """What stands under hidden names for a file or folder, sorted.

    A process that was killed has left it, or one that still runs is writing it.

    Args:
        path: The file or folder, not a link.
        scratch: The folder to look in, as for `making`.
    """
    target = pathlib.Path(path)
    folder = target.parent if scratch is None else pathlib.Path(scratch)
    start = f".{_short(target.name)}."
    try:
        names = [name for name in os.listdir(folder) if name.startswith(start)]
    except OSError:  # there is no such folder, or one that may be written and not be listed
        return []
    return sorted(folder / name for name in names if _HIDDEN_END.fullmatch(name, len(start)))


def _short(name: str) -> str:
    """The name, or for a long one its start and a hash."""
    encoded = os.fsencode(name)
    if len(encoded) <= _LONGEST_NAME:
        return name
    start = encoded[: _LONGEST_NAME - 20].decode(errors="ignore")
    return f"{start}~{hashlib.sha256(encoded).hexdigest()[:16]}"


# Files


@contextlib.contextmanager
def making(path: Path, *, scratch: Path | None = None) -> Iterator[pathlib.Path]:
    """A path to write a file to; what lies there at the end of the block becomes `path`.

    The new file has the rights of the one that it replaces, else those of any new file.

    Args:
        path: The file to make, in a folder that exists; of a link, the file that it leads to.
        scratch: A folder on the same file system for what is not finished. Default: the file's.

    Raises:
        UserError: There is something at `path` that is no file, such as a pipe or a device.
    """
    if is_bucket(path):
        with _uploading(os.fspath(path)) as partial:
            yield partial
        return
    target = _behind_link(path)
    folder = target.parent if scratch is None else pathlib.Path(scratch)
    _remove_abandoned(target, folder)
    _check_regular(path)
    partial = folder / hidden_name(target.name)
    try:
        yield partial
        with contextlib.suppress(OSError):  # nothing to replace, or a file system without rights
            shutil.copymode(target, partial)
        partial.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


@contextlib.contextmanager
def _uploading(url: str) -> Iterator[pathlib.Path]:
    """A file on this machine, which becomes an object of a bucket at the end of the block."""
    from closedbook.buckets import client

    with tempfile.TemporaryDirectory(prefix="closedbook-") as folder:
        partial = pathlib.Path(folder) / "object"
        yield partial
        client.write(url, partial.read_bytes())


def _behind_link(path: Path) -> pathlib.Path:
    target = pathlib.Path(path)
    return pathlib.Path(os.path.realpath(target)) if target.is_symlink() else target


def _check_regular(path: Path) -> None:
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)
    except OSError:  # there is none, or the write itself fails and tells why
        return
    if kind != stat.S_IFREG:
        raise UserError(
            f"{os.fspath(path)} is {_KINDS.get(kind, 'no file')}, where a file is to appear once "
            "it is whole; give the name of a file"
        )


@contextlib.contextmanager
def opened(path: Path, *, to_disk: bool = False) -> Iterator[BinaryIO]:
    """A file open for writing bytes, which becomes `path` at the end of the block.

    Args:
        path: The file to make, as for `making`.
        to_disk: Whether to wait until the content is on the disk before it takes the name, so
            that not even a crash of the machine leaves an empty file.
    """
    with making(path) as partial, partial.open("wb") as file:
        yield file
        file.flush()
        if to_disk:
            os.fsync(file.fileno())


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file at once or not at all."""
    with opened(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Writes a text file in UTF-8, its line ends as given, at once or not at all."""
    write_bytes(path, text.encode())


def copy(source: Path, path: Path) -> None:
    """Copies a file's content to `path`, at once or not at all."""
    with making(path) as partial:
        shutil.copyfile(source, partial)


def remove_folder(path: pathlib.Path) -> None:
    """Removes a folder with all that is in it, on a disk or in a bucket."""
    if is_bucket(path):
        path.rmtree()  # type: ignore[attr-defined]  # of a BucketPath
    else:
        shutil.rmtree(path)


# Folders


@contextlib.contextmanager
def folder(
    path: Path, *, replace: bool | Callable[[], bool] = False, to_disk: bool = False
) -> Iterator[pathlib.Path]:
    """An empty folder to write into, which becomes `path` at the end of the block.

    Folders around it are made, and after a fault removed again. What killed processes have left
    of the same folder is removed first; the one that they were replacing comes back.

    Args:
        path: The folder to make; of a link, the folder that it leads to.
        replace: Whether one that is there may be replaced; a function is asked at the end.
        to_disk: Whether to wait until all files are on the disk before the folder takes the name.

    Raises:
        FileExistsError: The folder is there, or has appeared meanwhile, and is not to be
            replaced; or another program has made it just while it was replaced.
        NotADirectoryError: What is there is no folder.
        UserError: It lies in a bucket, where a folder cannot appear at once.
    """
    if is_bucket(path):
        raise UserError(f"{os.fspath(path)}: a whole folder is made on a disk; give one there")
    target = _behind_link(path).absolute()
    made = [each for each in target.parents if not each.exists()]
    hidden = target.with_name(hidden_name(target.name))
    content = hidden / _NEW / target.name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target, target.parent)
        if replace is False and os.path.lexists(target):
            raise _exists(target, "exists already")
        if os.path.lexists(target) and not target.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "is no folder", str(target))
        content.mkdir(parents=True)
        yield content
        if to_disk:
            _wait_for_disk(content)
        _swap(hidden, target, replace=replace() if callable(replace) else replace)
    except BaseException:
        with contextlib.suppress(OSError):  # then it stays hidden, and nothing is removed
            _remove(hidden, target)
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise
    shutil.rmtree(hidden, ignore_errors=True)


def _exists(target: pathlib.Path, words: str) -> FileExistsError:
    return FileExistsError(errno.EEXIST, words, str(target))


def _wait_for_disk(folder: pathlib.Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _swap(hidden: pathlib.Path, target: pathlib.Path, *, replace: bool) -> None:
    """Gives the new folder its name. What it leaves half done, `_give_back` undoes."""
    content = hidden / _NEW / target.name
    content.stat()  # as long as it is here, the former folder is needed
    try:
        if replace and target.is_dir():
            target.rename(hidden / _FORMER)
        if os.path.lexists(target):
            raise _exists(target, "has been made by another program meanwhile")
        content.rename(target)
    except OSError as error:
        former = _give_back(hidden, target)
        if former is not None:
            words = f"has been made by another program meanwhile; the former one is now {former}"
            raise _exists(target, words) from error
        if error.errno in (errno.ENOTEMPTY, errno.ENOTDIR):  # made after the look
            raise _exists(target, "has been made by another program meanwhile") from error
        raise


def _give_back(hidden: pathlib.Path, target: pathlib.Path) -> pathlib.Path | None:
    """Takes the former folder out of a hidden one if the new one has not taken its place.

    It goes back to the target, or beside it if another program has made that meanwhile.

    Returns:
        Where it is, if that is not the target.
    """
    former = hidden / _FORMER
    if not former.exists() or not (hidden / _NEW / target.name).exists():
        return None
    if not os.path.lexists(target):
        former.rename(target)
        return None
    aside = target.with_name(f"{_short(target.name)}.former-{secrets.token_hex(4)}")
    former.rename(aside)
    _log.warning("%s has been made by another program; the former one is now %s", target, aside)
    return aside


def _remove(hidden: pathlib.Path, target: pathlib.Path) -> None:
    """Removes a hidden folder; it stays if the former one in it cannot be given back."""
    _give_back(hidden, target)
    shutil.rmtree(hidden, ignore_errors=True)


# What killed processes have left


def remove_abandoned(folder: Path) -> list[pathlib.Path]:
    """Removes what is surely abandoned in a folder, of files and folders of any name.

    A former folder goes back where it was first. What cannot be removed stays.

    Returns:
        What is gone.
    """
    folder = pathlib.Path(folder)
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    found = [(name, _HIDDEN_END.search(name)) for name in names if name.startswith(".")]
    targets = {folder / name: folder / name[1 : end.start() - 1] for name, end in found if end}
    for left, target in targets.items():
        # Of a name that is too long for a hidden one the folder inside has the whole.
        whole = next(iter((left / _NEW).glob("*")), target)
        _remove_if_abandoned(left, target.with_name(whole.name))
    return [left for left in targets if not os.path.lexists(left)]


def _remove_abandoned(target: pathlib.Path, folder: pathlib.Path) -> None:
    """Removes what is surely abandoned of a file or folder; a former folder goes back first."""
    for left in leavings(target, scratch=folder):
        _remove_if_abandoned(left, target)


def _remove_if_abandoned(left: pathlib.Path, target: pathlib.Path) -> None:
    with contextlib.suppress(OSError):  # somebody else removes it, or we may not
        if not _is_abandoned(left):
            return
        if not stat.S_ISDIR(left.lstat().st_mode):
            left.unlink()
        elif set(os.listdir(left)) <= {_NEW, _FORMER}:  # else it is not ours
            _remove(left, target)


def _is_abandoned(left: pathlib.Path) -> bool:
    found = _HIDDEN_END.search(left.name)
    if found is None:
        return False
    if found["machine"] == this_machine.machine():
        return not this_machine.runs(int(found["process"]))
    changes = (each.lstat() for each in (left, *left.rglob("*")))
    return time.time() - max(max(each.st_mtime, each.st_ctime) for each in changes) > _SILENCE
