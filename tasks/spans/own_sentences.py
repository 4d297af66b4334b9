"""Pretraining tasks out of folders of sentences that `closedbook ssm build` wrote.

Needs no TensorFlow.
"""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Literal

from closedbook.errors import UserError
from closedbook.tasks import specs
from closedbook.tasks.sources import Sentences
from closedbook.tasks.spans import sentence_files
from closedbook.tasks.spans.masking import Masking


def ssm_from_files(
    files: Mapping[str, str | os.PathLike] | None = None,
    *,
    style: Literal["nem", "sentinel", "sentinel_bare"] = "nem",
    spans_per_example: int | Literal["all"] = 1,
    labels: Sequence[str] = (),
    passes: int = 1,
    seed: int = 0,
    held_out: float = 0.0,
) -> tuple[str, ...]:
    """Makes a task of salient span masking out of every named folder.

    In a gin file: `tasks.ssm_from_files.files = {"my_ssm": "DIR"}`, and the task is called by its
    name: `MIXTURE_OR_TASK_NAME = "my_ssm"`. Its splits: "train", and "validation" with `held_out`.

    Args:
        files: Task name -> folder.
        style: As for `masking.Masking`, like all that follow.
        spans_per_example: Spans masked at once.
        labels: Keep only spans with these labels.
        passes: Passes over the corpus that the token cache holds. They differ only where a
            sentence has more spans than are masked at once, and more than one is.
        seed: Of which spans are masked together.
        held_out: Share of the titles in the split "validation".

    Returns:
        The names of the tasks.

    Raises:
        UserError: A folder is no finished build, a name is taken, or an option is wrong.
    """
    return _make(
        files,
        Masking(
            style=style,
            spans_per_example=spans_per_example,
            labels=(labels,) if isinstance(labels, str) else tuple(labels),
            passes=passes,
            seed=seed,
            held_out=held_out,
        ),
    )


def span_corruption_from_files(
    files: Mapping[str, str | os.PathLike] | None = None,
    *,
    corruption: Literal["matched", "t5"] = "matched",
    style: Literal["nem", "sentinel", "sentinel_bare"] = "nem",
    spans_per_example: int | Literal["all"] = 1,
    labels: Sequence[str] = (),
    passes: int = 1,
    seed: int = 0,
    held_out: float = 0.0,
) -> tuple[str, ...]:
    """Makes a task of random span corruption out of every named folder.

    With "matched" it is the control of `ssm_from_files` with the same options: as many examples,
    each with as many tokens masked, in the same format, at uniformly random places.

    Args:
        files: Task name -> folder.
        corruption: "matched", or "t5" for T5's own span corruption, which takes no notice of the
            spans, so that `style`, `spans_per_example` and `labels` do not apply.
        style: As for `ssm_from_files`, like all that follow.
        spans_per_example: Spans masked at once.
        labels: Count only spans with these labels.
        passes: Passes over the corpus that the token cache holds, each with other masks.
        seed: Of the masks.
        held_out: Share of the titles in the split "validation".

    Returns:
        The names of the tasks.

    Raises:
        UserError: As for `ssm_from_files`.
    """
    if corruption not in ("matched", "t5"):
        raise UserError(f'corruption is {corruption!r}; use "matched" or "t5"')
    return _make(
        files,
        Masking(
            corruption=corruption,
            style=style,
            spans_per_example=spans_per_example,
            labels=(labels,) if isinstance(labels, str) else tuple(labels),
            passes=passes,
            seed=seed,
            held_out=held_out,
        ),
    )


def _make(files: Mapping[str, str | os.PathLike] | None, masking: Masking) -> tuple[str, ...]:
    for name, given in (files or {}).items():
        folder = pathlib.Path(given).expanduser().absolute()
        try:
            sentence_files.manifest(folder)
        except UserError as error:
            raise UserError(f"task {name!r}: {error}") from error
        source = Sentences(folder=folder, held_out=masking.held_out)
        specs.add_task(specs.TaskSpec(name=name, source=source, masking=masking))
    return tuple(files or {})
