"""From what a user calls a model to a checkpoint folder."""

import pathlib
import re

from closedbook.errors import UserError, unknown_name
from closedbook.tasks import atlas

PACKAGED = "closedbook://"
STEP = re.compile(r"^checkpoint_(\d+)$")


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
    if "://" in str(path):
        raise UserError(f"{path} is not a local folder; give one that `t5x train` wrote")
    folder = pathlib.Path(path).expanduser().absolute()
    if not folder.exists():
        raise UserError(f"no such folder: {folder}; give a run's MODEL_DIR or a checkpoint in it")
    return folder.parent if STEP.match(folder.name) else folder


def steps(folder: pathlib.Path) -> list[int]:
    """Steps of the finished checkpoints in a folder, ascending."""
    if not folder.is_dir():
        return []
    found = (STEP.match(entry.name) for entry in folder.iterdir() if entry.is_dir())
    return sorted(int(match.group(1)) for match in found if match)


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
