"""From what a user calls a model to a checkpoint folder."""

import json
import pathlib
import re

from closedbook import digests
from closedbook.buckets import folder_at, is_bucket
from closedbook.checkpoints.places.storage import Storage, read_part
from closedbook.errors import UserError, unknown_name
from closedbook.tasks import atlas

PACKAGED = "closedbook://"
STEP = re.compile(r"^checkpoint_(\d+)$")
_METADATA = "_CHECKPOINT_METADATA"  # Orbax writes it first
_OWN = {_METADATA, "params/", "optimizer/", "run/"}
_MARKS = {"commit_success.txt", digests.FILE}  # written last


def packaged_models() -> dict[str, pathlib.Path]:
    """Folders of the models that ship with the package, by name."""
    return atlas.models()


def packaged_model(name: str) -> pathlib.Path:
    """The folder of a packaged model.

    Raises:
        UserError: There is none of this name.
    """
    models = packaged_models()
    if name not in models:
        raise unknown_name("packaged model", name, models)
    return models[name]


def model_folder(path: str | pathlib.Path) -> pathlib.Path:
    """The folder with `model.json` for a path to a model or to one of its checkpoints.

    Args:
        path: A run's folder, one of its `checkpoint_<step>` folders, or "closedbook://NAME" for a
            packaged model.

    Raises:
        UserError: There is nothing, or the packaged name is unknown.
    """
    if str(path).startswith(PACKAGED):
        return packaged_model(str(path)[len(PACKAGED) :])
    if is_bucket(path):
        place = folder_at(str(path), "the run's folder")
        return place.parent if STEP.match(place.name) else place
    if "://" in str(path):
        raise UserError(f"{path} is not a folder; give one that `t5x train` wrote")
    folder = pathlib.Path(path).expanduser().absolute()
    if not folder.exists():
        raise UserError(f"no such folder: {folder}; give a run's MODEL_DIR or a checkpoint in it")
    return folder.parent if STEP.match(folder.name) else folder


def steps(folder: pathlib.Path) -> list[int]:
    """Steps of the finished checkpoints in a folder, ascending."""
    place = Storage.at(folder)
    names = (name.removesuffix("/") for name in place.names() if name.endswith("/"))
    found = [(STEP.match(name), place / name) for name in names]
    return sorted(int(match.group(1)) for match, each in found if match and is_finished(each))


def is_finished(checkpoint: Storage) -> bool:
    """Whether a folder with a checkpoint's name is not one that is still being written.

    On a disk it has its name only when it is whole. In a bucket what closedbook writes there is
    marked in the end, and what it removes loses the mark first.
    """
    names = checkpoint.names() if checkpoint.remote else []
    if not _OWN.intersection(names) or _MARKS.intersection(names):
        return True
    if _METADATA not in names:
        return False
    try:  # of an older Orbax, from a disk
        content = read_part(f"{checkpoint.root}/{_METADATA}")
        return bool(json.loads(content or b"{}").get("commit_timestamp_nsecs"))
    except (ValueError, AttributeError):
        return False


def find_checkpoint(path: str | pathlib.Path) -> tuple[pathlib.Path, int]:
    """A checkpoint's folder and step: the named one, or the newest of a run.

    Raises:
        UserError: There is none.
    """
    folder = model_folder(path)
    named = STEP.match(pathlib.Path(path).name)
    if named and not str(path).startswith(PACKAGED):
        return folder / named.group(0), int(named.group(1))
    found = steps(folder)
    if not found:
        raise UserError(
            f"no checkpoint_<step> folder in {folder}; give a run's MODEL_DIR or a checkpoint in it"
        )
    return folder / f"checkpoint_{found[-1]}", found[-1]
