"""Pretraining tasks out of folders of sentences that `closedbook ssm build` wrote, and mixtures.

Needs no TensorFlow.
"""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Literal

from closedbook.errors import UserError
from closedbook.tasks import own_files, specs
from closedbook.tasks.spans import sentence_files
from closedbook.tasks.spans.masking import Masking

_OF_DATASET = "salient_span_wikipedia"


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
        style: As for `masking_options.Masking`, like all that follow.
        spans_per_example: Spans masked at once.
        labels: Keep only spans with these labels.
        passes: Passes over the corpus that the token cache holds; they differ only where several
            of a sentence's spans are masked at once, and not all.
        seed: Of what is drawn.
        held_out: Share of titles in the split "validation".

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
        held_out: Share of titles in the split "validation".

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
        own_files.refuse_packaged(name)
        folder = pathlib.Path(given).expanduser().absolute()
        try:
            sentence_files.manifest(folder)
        except UserError as error:
            raise UserError(f"task {name!r}: {error}") from error
        own_files.add(
            specs.TaskSpec(
                name=name,
                dataset="sentences",
                prefix="",
                metric=None,
                files=dict.fromkeys(masking.splits, str(folder)),
                masking=masking,
            )
        )
    return tuple(files or {})


def folder(spec: specs.TaskSpec, data_dir: str | os.PathLike | None) -> pathlib.Path | None:
    """The folder of sentences that a task reads; None: it reads TFDS.

    Args:
        spec: A task of sentences.
        data_dir: For packaged tasks, a folder of sentences, or one that has it within, in
            `salient_span_wikipedia`.

    Raises:
        UserError: There is none.
    """
    if spec.files:
        return pathlib.Path(spec.files["train"])
    if data_dir is None:
        return None
    given = pathlib.Path(data_dir).expanduser()
    for found in (given, given / _OF_DATASET):
        if (found / sentence_files.MANIFEST).is_file():
            return found
    raise UserError(
        f"{spec.name} finds no sentences in {given} and {given / _OF_DATASET}: neither has a "
        f"{sentence_files.MANIFEST}; give a folder that `closedbook ssm build` wrote, or leave "
        "DATA_DIR and CLOSEDBOOK_DATA_DIR out to read TFDS"
    )
