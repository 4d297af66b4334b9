"""Parquet and Arrow files, and folders that `datasets` saves; by the optional extra `parquet`."""

import json
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from closedbook.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

_PARQUET, _FILE, _STREAM = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"
_STATE = "state.json"  # of a data set that `datasets` saved


def is_one(path: pathlib.Path, start: bytes) -> bool:
    """Whether a file, or a folder, is one of these; told by its first bytes."""
    if path.is_dir():
        return (path / _STATE).is_file() or (path / "dataset_dict.json").is_file()
    return start.startswith((_PARQUET, _FILE, _STREAM))


def rows(path: pathlib.Path) -> Iterator[tuple[str, object]]:
    """Place and value of every row.

    Raises:
        UserError: pyarrow is missing, or the file is damaged.
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        raise UserError(
            f"{path} is a Parquet or Arrow file, which needs pyarrow: pip install "
            "'closedbook[parquet]', or save the rows as JSON lines"
        ) from error
    number = 0
    try:
        for file in _files(path):
            for batch in _batches(file):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}: row {number}", row
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"cannot read {path}: {reason}; make it again") from error


def _files(path: pathlib.Path) -> list[pathlib.Path]:
    if not path.is_dir():
        return [path]
    if not (path / _STATE).is_file():
        splits = sorted(each.parent.name for each in path.glob(f"*/{_STATE}"))
        named = ", ".join(splits) or "none"
        raise UserError(f"{path} holds several splits; give the folder of one: {named}")
    try:
        listed = json.loads((path / _STATE).read_bytes())["_data_files"]
        names = [str(each["filename"]) for each in listed]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path / _STATE} does not name the files of the data set") from error
    return [path / pathlib.PurePath(name).name for name in names]


def _batches(path: pathlib.Path) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(_PARQUET):
        import pyarrow.parquet

        with pyarrow.parquet.ParquetFile(path) as found:
            yield from found.iter_batches()
        return
    with pa.memory_map(str(path)) as source:
        if start.startswith(_FILE):
            reader = pa.ipc.open_file(source)
            yield from (reader.get_batch(i) for i in range(reader.num_record_batches))
        else:
            yield from pa.ipc.open_stream(source)
