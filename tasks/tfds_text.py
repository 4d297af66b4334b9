"""Titles and texts of a data set that TFDS has prepared, such as wikipedia/20230601.en."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from closedbook.errors import UserError

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


def size(name: str) -> tuple[int, int]:
    """How many examples the split of a data set has, and how many bytes.

    Args:
        name: As TFDS names it, with a version; or a folder with a prepared data set. After a
            "#" the split; "train" without.

    Raises:
        UserError: TFDS does not know it, or it has not been prepared.
    """
    builder, split = _builder(name)
    return int(builder.info.splits[split].num_examples), int(builder.info.splits[split].num_bytes)


def read(name: str, start: int, limit: int) -> Iterator[tuple[str, bytes, bytes]]:
    """(id, title, text) of the examples from `start` to `limit`; the data set as for `size`."""
    import tensorflow_datasets as tfds

    builder, split = _builder(name)
    part = f"{split}[{start}:{limit}]"
    rows: Any
    try:
        rows = tfds.as_numpy(builder.as_dataset(split=part, shuffle_files=False))
    except NotImplementedError:  # ArrayRecord files
        rows = builder.as_data_source(split=part)
    for index, row in enumerate(rows, start):
        yield f"{name}:{index}", row.get("title", b""), row["text"]


def _builder(name: str) -> "tuple[tfds.core.DatasetBuilder, str]":
    import tensorflow_datasets as tfds

    dataset, _, split = name.partition("#")
    split = split or "train"
    if os.path.isdir(os.path.expanduser(dataset)):
        builder = tfds.builder_from_directory(os.path.expanduser(dataset))
    else:
        try:
            builder = tfds.builder(dataset)
        except (tfds.core.DatasetNotFoundError, ValueError, AssertionError, OSError) as error:
            first = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            raise UserError(f"TFDS has no data set {dataset!r}: {first}") from error
    if not builder.info.splits:
        raise UserError(
            f"the data set {dataset} has not been prepared in {builder.data_path.parent}; run: "
            f"tfds build {dataset}, or set TFDS_DATA_DIR to the folder that holds it"
        )
    if split not in builder.info.splits:
        raise UserError(
            f"{dataset} has no split {split!r}; it has {', '.join(builder.info.splits)}"
        )
    if "text" not in builder.info.features:
        raise UserError(
            f"{dataset} has no feature 'text'; it has {', '.join(builder.info.features)}"
        )
    return builder, split
