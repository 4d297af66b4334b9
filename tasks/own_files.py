"""A task out of a user's own files of questions and answers; needs no TensorFlow."""

import os
import pathlib
from collections.abc import Mapping

from closedbook.errors import UserError, unknown_name
from closedbook.tasks import specs
from closedbook.tasks.sources import OwnFiles

_METRICS = ("squad", "trivia_qa", "nq_open")  # functions of closedbook.eval.metrics
_SPLITS = ("train", "validation", "test")


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
        UserError: A file is missing or empty, a name is taken by a packaged task, or a split or the
            metric is unknown.
    """
    if metric not in _METRICS:
        raise unknown_name("metric", metric, _METRICS)
    for name, of_split in (files or {}).items():
        if not of_split:
            raise UserError(f'task {name!r} has no files; give {{"train": "a.jsonl"}}')
        for split in of_split:
            if split not in _SPLITS:
                raise unknown_name(f"split of task {name!r},", split, _SPLITS)
        splits = {split: pathlib.Path(path).expanduser() for split, path in of_split.items()}
        for split, path in splits.items():
            if not path.is_file():
                raise UserError(
                    f"task {name!r}, split {split!r}: there is no file {path}; give one that is "
                    "there"
                )
            if not path.stat().st_size:
                raise UserError(f"task {name!r}, split {split!r}: {path} is empty")
        source = OwnFiles(splits=splits)
        specs.add_task(specs.TaskSpec(name=name, source=source, prefix=prefix, metric=metric))
    return tuple(files or {})
