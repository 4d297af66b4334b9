"""What is wrong with a configuration that shows without data, devices or a network."""

import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from closedbook.buckets import folder_at
from closedbook.cli import gin_files
from closedbook.cli.gin_files import messages
from closedbook.data.task_facts import task_rates, task_splits
from closedbook.errors import UserError, unknown_name
from closedbook.tasks import specs
from closedbook.telemetry.opening import check_services
from closedbook.training import checks
from closedbook.training.settings import DatasetConfig

_USUAL_SPLITS = ("train", "validation", "test")


def check(mode: str, arguments: Mapping[str, Any]) -> None:
    """Checks a mode's arguments, so that a dry run tells what a run would end by.

    Args:
        mode: "train", "eval" or "infer".
        arguments: Of its function, as `gin_files.resolve` gives them.

    Raises:
        UserError: Something is wrong; it tells all of that.
    """
    found: list[str] = []
    for look in (_vocabulary, _tasks, _folders, _settings):
        found += look(mode, arguments)
    if found:
        raise messages.together(list(dict.fromkeys(found)))


def _told(check: Any, *args: Any, **kwargs: Any) -> list[str]:
    """The message of a check, in a list, or none."""
    try:
        check(*args, **kwargs)
    except UserError as error:
        return [str(error)]
    return []


def _vocabulary(mode: str, arguments: Mapping[str, Any]) -> list[str]:
    """The vocabulary's file, where it is one of this machine."""
    vocabulary = arguments["model"].vocabulary
    if "://" in os.fspath(vocabulary.path):
        return []
    return _told(checks.check_vocabulary_ids, arguments["model"])


def _tasks(mode: str, arguments: Mapping[str, Any]) -> Iterator[str]:
    """Names of tasks and splits, where no module that is imported later may add some."""
    if gin_files.task_modules(arguments):
        return
    for key, each in arguments.items():
        if not isinstance(each, DatasetConfig):
            continue
        name = each.mixture_or_task_name
        if name not in specs.SPECS and name not in specs.MIXTURES:
            error = unknown_name("task or mixture", name, {*specs.SPECS, *specs.MIXTURES})
            yield (
                f"{error}; your own files become a task by tasks.qa_from_files.files, your own "
                "module by MIXTURE_OR_TASK_MODULE"
            )
            continue
        splits = {split for task in task_rates(name) for split in task_splits(task).names}
        # A training evaluates what there is, so a usual name is no slip there.
        optional = mode == "train" and key != "train_dataset_cfg" and each.split in _USUAL_SPLITS
        if each.split not in splits and not optional:
            error = unknown_name("split", each.split, splits)
            yield f"{error} ({name})"
        if each.data_dir is None or "://" in each.data_dir:
            continue
        if not pathlib.Path(each.data_dir).expanduser().is_dir():
            yield f"DATA_DIR is {each.data_dir!r}; there is no such folder"


def _folders(mode: str, arguments: Mapping[str, Any]) -> Iterator[str]:
    """Folders that are to be written to."""
    names = {"model_dir": "MODEL_DIR", "output_dir": "the folder of results (output_dir)"}
    for name in names.keys() & arguments.keys():
        given = str(arguments[name])
        if not given.strip():
            yield f"{names[name]} is empty; give a folder, such as 'runs/my_run'"
        elif "://" not in given and pathlib.Path(given).expanduser().is_file():
            yield f"{names[name]} is {given!r}, which is a file; give a folder"
        else:
            yield from _told(folder_at, given, names[name])


def _settings(mode: str, arguments: Mapping[str, Any]) -> list[str]:
    """What the mode's function itself checks before it reads anything."""
    return _told(check_settings, mode, arguments)


def check_settings(mode: str, arguments: Mapping[str, Any]) -> None:
    """What a run checks of its arguments before it reads anything.

    Args:
        mode: "train", "eval" or "infer".
        arguments: Of its function.

    Raises:
        UserError: The run would stop there.
    """
    if mode == "train":
        check_services(arguments.get("metric_services") or ())
        checks.check_run(**arguments)
    elif mode == "infer":
        checks.check_shards(**arguments)
    else:
        checks.check_trained(arguments["restore_checkpoint_cfg"])
