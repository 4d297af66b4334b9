"""Where a conversion may write: nothing that somebody could miss is replaced."""

import pathlib
import re
import shutil

from closedbook.errors import UserError
from closedbook.memory import readable

# What conversions write into a target, and nothing that somebody could miss.
_OWN = re.compile(
    r"^(checkpoint_\d+|digests\.json|model\.json|vocabulary\.model|config\.json|generation_config\.json"
    r"|model(-\d+-of-\d+)?\.safetensors(\.index\.json)?|spiece\.model|tokenizer\.json"
    r"|tokenizer_config\.json|special_tokens_map\.json)$"
)


def check_target(folder: pathlib.Path, source: str, nbytes: int, *, force: bool) -> None:
    """Checks that a target may be made, before anything is read.

    Args:
        folder: The target, absolute.
        source: The checkpoint's folder, or a file in it.
        nbytes: Bytes that will be written.
        force: Whether a checkpoint at the target may be replaced.

    Raises:
        UserError: The target exists and may not be replaced, or holds more than one checkpoint,
            or source and target lie in one another, or the disk is too small.
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
        raise UserError(f"{folder} needs {readable(nbytes)}, its disk has {readable(free)} free")


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
