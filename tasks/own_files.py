"""A task out of a user's own files of questions and answers; needs no TensorFlow."""

import os
import pathlib
import sys
from collections.abc import Mapping

from closedbook.errors import UserError, unknown_name
from closedbook.eval import metrics
from closedbook.tasks import rows, specs

_METRICS = ("squad", "trivia_qa", "nq_open")
_packaged = frozenset(specs.SPECS)


def qa_from_files(
    files: Mapping[str, Mapping[str, str | os.PathLike]] | None = None,
    *,
    prefix: str = "question: ",
    metric: str = "squad",
) -> tuple[str, ...]:
    """Makes a task out of every named set of files.

    In a gin file: `tasks.qa_from_files.files = {"my_quiz": {"train": "a.jsonl"}}`, and the task
    is called by its name: `MIXTURE_OR_TASK_NAME = "my_quiz"`. Forms of files: `tasks.rows`.

    Args:
        files: Task name -> split ("train", "validation", "test") -> file.
        prefix: Before every question.
        metric: "squad", "trivia_qa" or "nq_open".

    Returns:
        The names of the tasks.

    Raises:
        UserError: A file is missing, a name is taken by a packaged task, or the metric unknown.
    """
    if metric not in _METRICS:
        raise unknown_name("metric", metric, _METRICS)
    assert all(hasattr(metrics, name) for name in _METRICS)
    for name, of_split in (files or {}).items():
        refuse_packaged(name)
        if not of_split:
            raise UserError(f'task {name!r} has no files; give {{"train": "a.jsonl"}}')
        resolved = {split: str(pathlib.Path(path).expanduser()) for split, path in of_split.items()}
        for split, path in resolved.items():
            if not pathlib.Path(path).is_file():
                raise UserError(f"task {name!r}, split {split!r}: there is no file {path}")
        add(specs.TaskSpec(name=name, dataset="own", prefix=prefix, metric=metric, files=resolved))
    return tuple(files or {})


def refuse_packaged(name: str) -> None:
    """Keeps a user's own task from taking the place of a packaged one.

    Raises:
        UserError: The name is taken.
    """
    if name in _packaged or name in specs.MIXTURES:
        raise UserError(f"{name!r} is a packaged task or a mixture; give your own another name")


def add(spec: specs.TaskSpec) -> None:
    """Makes a user's own task known, to SeqIO too; it replaces an own one of the same name."""
    specs.SPECS[spec.name] = spec
    if sys.modules.get("seqio") is not None:
        from closedbook.tasks import registry

        registry.register(spec, replace=True)


def split_rows(spec: specs.TaskSpec, split: str) -> list[rows.Row]:
    """The rows of a split of a user's own task.

    Raises:
        UserError: There is no such split, or a row is wrong (`rows.read`).
    """
    return rows.read(split_file(spec, split))


def split_file(spec: specs.TaskSpec, split: str) -> pathlib.Path:
    """The file of a split of a user's own task.

    Raises:
        UserError: There is no such split.
    """
    if split not in spec.files:
        raise UserError(
            f"task {spec.name!r} has no file for split {split!r}; it has {', '.join(spec.files)}"
        )
    return pathlib.Path(spec.files[split])
