"""Where a conversion writes: a hidden folder that takes the target's name when it is whole."""

import contextlib
import fcntl
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterator

from closedbook.errors import UserError

_MARK = ".closedbook-conversion"  # held locked while a conversion writes beside it
# What conversions write into a target, and nothing that somebody could miss.
_OWN = re.compile(
    r"^(checkpoint_\d+|model\.json|vocabulary\.model|config\.json|generation_config\.json"
    r"|model(-\d+-of-\d+)?\.safetensors(\.index\.json)?|spiece\.model|tokenizer\.json"
    r"|tokenizer_config\.json|special_tokens_map\.json)$"
)


def check_target(folder: pathlib.Path, source: str, nbytes: int, *, force: bool) -> None:
    """Checks that a target may be made, before anything is read.

    Args:
        folder: The target, absolute.
        source: The checkpoint's folder, or a file in it.
        nbytes: That will be written.
        force: Whether a checkpoint at the target may be replaced.

    Raises:
        UserError: It exists, is not only a checkpoint, lies in the source or around it, or its
            disk is too small.
    """
    if "://" not in source:
        origin = pathlib.Path(source).resolve()
        origin = origin if origin.is_dir() else origin.parent
        resolved = folder.resolve()
        if resolved == origin or resolved in origin.parents or origin in resolved.parents:
            raise UserError(f"{folder} and the source {source} lie in one another; give another")
    if folder.is_symlink():
        raise UserError(f"{folder} is a link; give the folder itself")
    if folder.exists():
        if not force:
            raise UserError(f"{folder} exists; give another folder, or --force to replace it")
        _check_replaceable(folder)
    parent = next(each for each in folder.parents if each.exists())
    if not parent.is_dir():
        raise UserError(f"{folder} cannot be made: {parent} is not a folder")
    free = shutil.disk_usage(parent).free
    if free < nbytes:
        raise UserError(
            f"{folder} needs {nbytes / 1e9:.1f} GB, its disk has {free / 1e9:.1f} GB free"
        )


def _check_replaceable(folder: pathlib.Path) -> None:
    here = pathlib.Path.cwd()
    if folder.resolve() == here or folder.resolve() in here.parents:
        raise UserError(f"{folder} is the working folder; --force does not replace it")
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else [folder.name]
    other = sorted(name for name in names if not _OWN.match(name) or (folder / name).is_symlink())
    steps = sorted(name for name in names if name.startswith("checkpoint_"))
    if other or len(steps) > 1:
        what = f"it holds {', '.join((other or steps)[:5])}"
        raise UserError(
            f"{folder} is not one checkpoint and nothing else ({what}), so --force does not "
            "replace it; move it away, or give another folder"
        )


@contextlib.contextmanager
def whole_or_nothing(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder to write into, which becomes `folder` at the end of the block, or disappears.

    What killed conversions to the same folder have left is removed first.

    Raises:
        UserError: The folder cannot be made, or has appeared meanwhile.
    """
    existed = folder.exists()
    made = [each for each in folder.parents if not each.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        prefix = _prefix(folder)
        partial = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    except OSError as error:
        raise UserError(f"{folder} cannot be made: {error.strerror}") from error
    mark = partial / _MARK
    try:
        with mark.open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            content = partial / folder.name
            content.mkdir()
            yield content
            _to_disk(content)
        partial.chmod(0o755)
        _swap(content, folder, partial / "replaced", existed=existed)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise
    shutil.rmtree(partial, ignore_errors=True)


def _to_disk(folder: pathlib.Path) -> None:
    """Waits until all files below a folder are on the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _prefix(folder: pathlib.Path) -> str:
    return f".{folder.name}.partial-"


def _swap(
    content: pathlib.Path, folder: pathlib.Path, replaced: pathlib.Path, *, existed: bool
) -> None:
    if existed:
        folder.rename(replaced)
    try:
        if folder.exists():
            raise UserError(f"{folder} has been made by another program meanwhile")
        content.rename(folder)
    except BaseException:
        if existed:
            replaced.rename(folder)
        raise


def _remove_abandoned(folder: pathlib.Path) -> None:
    for left in folder.parent.glob(f"{_prefix(folder)}*"):
        mark = left / _MARK
        if not mark.is_file():
            continue
        with mark.open("r") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue  # a conversion that is under way
            # A kill between the two renames leaves the old target here; it goes back.
            old = left / "replaced"
            if old.is_dir() and not folder.exists():
                os.rename(old, folder)
            shutil.rmtree(left, ignore_errors=True)
