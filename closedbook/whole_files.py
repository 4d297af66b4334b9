"""Files and folders that appear whole or not at all: written under a hidden name, then renamed.

The hidden name is `.<name>.<process id>-<random>.partial` and lies in the same folder, so that
several writers of one name do not meet: the last to finish wins. A fault while writing removes
what there is of the new one and leaves the old one as it was. A killed process leaves the hidden
name behind; `leavings` finds these, and the next `folder` of the same name removes them.

Errors of the disk are raised as they are, as an OSError: the caller knows the remedy.
"""

import contextlib
import errno
import os
import pathlib
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from typing import BinaryIO

Path = str | os.PathLike[str]

_LOCK = ".being-written"  # in the hidden folder, locked as long as somebody writes there
_REPLACED = "replaced"  # in the hidden folder: what stood at the target before


def hidden_name(name: str) -> str:
    """A new hidden name for a file or folder that is going to be called `name`."""
    return f".{name}.{os.getpid()}-{secrets.token_hex(4)}.partial"


def leavings(path: Path) -> list[pathlib.Path]:
    """What stands under hidden names for a file or folder, sorted.

    A process that was killed has left it, or one that still runs is writing it.
    """
    target = pathlib.Path(path)
    pattern = re.compile(rf"\.{re.escape(target.name)}\.\d+-[0-9a-f]{{8}}\.partial")
    if not target.parent.is_dir():
        return []
    return sorted(each for each in target.parent.iterdir() if pattern.fullmatch(each.name))


@contextlib.contextmanager
def making(path: Path, *, scratch: Path | None = None) -> Iterator[pathlib.Path]:
    """A path to write a file to; what lies there at the end of the block becomes `path`.

    The new file has the rights of the one that it replaces, else those of any new file.

    Args:
        path: The file to make, in a folder that exists.
        scratch: A folder on the same file system for what is not finished. Default: the file's.
    """
    target = pathlib.Path(path)
    folder = target.parent if scratch is None else pathlib.Path(scratch)
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
def opened(path: Path, *, to_disk: bool = False) -> Iterator[BinaryIO]:
    """A file open for writing bytes, which becomes `path` at the end of the block.

    Args:
        path: The file to make, in a folder that exists.
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


@contextlib.contextmanager
def folder(
    path: Path, *, replace: bool | Callable[[], bool] = False, to_disk: bool = False
) -> Iterator[pathlib.Path]:
    """An empty folder to write into, which becomes `path` at the end of the block.

    Folders around it are made, and after a fault removed again. What killed processes have left
    of the same folder is removed first; the one that they were replacing comes back.

    Args:
        path: The folder to make.
        replace: Whether one that is there may be replaced; a function is asked at the end.
        to_disk: Whether to wait until all files are on the disk before the folder takes the name.

    Raises:
        FileExistsError: The folder is there, or has appeared meanwhile, and is not to be replaced.
    """
    target = pathlib.Path(path).absolute()
    made = [each for each in target.parents if not each.exists()]
    hidden = target.with_name(hidden_name(target.name))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target)
        if replace is False:
            _refuse_existing(target, "exists already")
        hidden.mkdir()
        with _locked(hidden / _LOCK):
            content = hidden / target.name
            content.mkdir()
            yield content
            if to_disk:
                _wait_for_disk(content)
            _swap(content, target, replace=replace() if callable(replace) else replace)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise
    shutil.rmtree(hidden, ignore_errors=True)


def _refuse_existing(target: pathlib.Path, words: str) -> None:
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, words, str(target))


@contextlib.contextmanager
def _locked(mark: pathlib.Path) -> Iterator[None]:
    import fcntl  # only Unix has it; files alone are written anywhere

    with mark.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _wait_for_disk(folder: pathlib.Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _swap(content: pathlib.Path, target: pathlib.Path, *, replace: bool) -> None:
    replaced = content.with_name(_REPLACED)
    if replace and target.exists():
        target.rename(replaced)
    try:
        _refuse_existing(target, "has been made by another program meanwhile")
        content.rename(target)
    except BaseException:
        if replaced.exists():
            replaced.rename(target)
        raise


def _remove_abandoned(target: pathlib.Path) -> None:
    import fcntl

    for left in leavings(target):
        mark = left / _LOCK
        if not mark.is_file():
            continue  # a file of the same name, or another program's
        with mark.open("r") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue  # somebody is writing it
            # A kill between the two renames leaves the old folder here; it goes back.
            old = left / _REPLACED
            if old.is_dir() and not target.exists():
                old.rename(target)
            shutil.rmtree(left, ignore_errors=True)
