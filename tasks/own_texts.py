"""A task of language modelling out of a user's own files of text; needs no TensorFlow."""

import os
import pathlib
from collections.abc import Mapping, Sequence

from closedbook.errors import UserError
from closedbook.tasks import specs
from closedbook.tasks.sources import Texts

_Files = str | os.PathLike | Sequence[str | os.PathLike]


def language_model_from_files(
    files: Mapping[str, Mapping[str, _Files]] | None = None, *, held_out: float = 0.0
) -> tuple[str, ...]:
    """Makes a task of predicting each next token out of every named set of files.

    In a gin file: `tasks.language_model_from_files.files = {"my_text": {"train": "a.txt"}}`, and
    the task is called by its name: `MIXTURE_OR_TASK_NAME = "my_text"`. Forms of files:
    `tasks.texts`. Documents are tokenised whole and end in EOS. A batch cuts what is longer than
    a row, and goes on with it in another row.

    Args:
        files: Task name -> split ("train", "validation", ...) -> a file or a list of files.
        held_out: Share of the training documents that make up the split "validation", where the
            files give none. Equal documents fall into the same split.

    Returns:
        The names of the tasks.

    Raises:
        UserError: A file is missing, a name is taken, or `held_out` is no share.
    """
    if isinstance(held_out, bool) or not 0 <= held_out < 1:
        raise UserError(
            f"language_model_from_files.held_out is {held_out!r}; use a share from 0, below 1"
        )
    for name, of_split in (files or {}).items():
        if not isinstance(of_split, Mapping) or not of_split:
            raise UserError(f'task {name!r} has no files; give {{"train": "a.txt"}}')
        found = {split: _paths(name, split, given) for split, given in of_split.items()}
        if held_out and ("train" not in found or "validation" in found):
            raise UserError(
                f"task {name!r} has files for {', '.join(found)}, so held_out = {held_out} has "
                'nothing to do: it makes "validation" out of "train"; give one of the two'
            )
        source = Texts(files=found, held_out=held_out)
        specs.add_task(specs.TaskSpec(name=name, source=source))
    return tuple(files or {})


def _paths(name: str, split: str, given: _Files) -> tuple[pathlib.Path, ...]:
    listed = [given] if isinstance(given, str | os.PathLike) else list(given)
    paths = tuple(pathlib.Path(path).expanduser() for path in listed)
    if not paths:
        raise UserError(f'task {name!r}, split {split!r}: no file; give "a.txt"')
    for path in paths:
        if path.is_dir():
            raise UserError(
                f"task {name!r}, split {split!r}: {path} is a folder; name its files in a list"
            )
        if not path.is_file():
            raise UserError(
                f"task {name!r}, split {split!r}: there is no file {path}; give one that is there "
                "(in lm_tiny.gin and lm_from_files.gin by TEXT)"
            )
        if not path.stat().st_size:
            raise UserError(f"task {name!r}, split {split!r}: {path} is empty")
    return paths
