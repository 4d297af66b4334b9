"""Reads a folder of sentences with salient spans, as `closedbook ssm build` writes it.

Needs neither TensorFlow nor TFDS. The folder's formats: docs/salient_spans.md.
"""

import gzip
import json
import os
import pathlib
import struct
import zlib
from collections.abc import Iterator
from typing import IO, Any

from closedbook.errors import UserError
from closedbook.tasks.spans import sentence_records
from closedbook.tasks.spans.sentences import Sentence

MANIFEST = "manifest.json"
SCHEMA = 1  # of manifest.json; raised when an older reader would misread it
_RECORDS_AT_ONCE = 1024  # taken from an ArrayRecord file together
_LONGEST_RECORD = 1 << 30  # bytes; a larger length in a TFRecord file is damage


def read(folder: str | os.PathLike) -> Iterator[Sentence]:
    """All sentences of a folder, shard by shard, in the order of the text they came from.

    Raises:
        UserError: The folder is not whole, or a shard is damaged; the message names the file.
    """
    found = manifest(folder)
    for path, shard in zip(shard_paths(folder), found["shards"], strict=True):
        count = 0
        for record in records(path, found["format"]):
            try:
                sentence = sentence_records.decode(record)
            except (UserError, UnicodeDecodeError) as error:
                raise UserError(f"{path}, record {count}: {error}") from error
            count += 1
            yield sentence
        if count != shard["sentences"]:
            raise UserError(
                f"{path} has {count:,} sentences, {MANIFEST} says {shard['sentences']:,}; "
                "copy or build the folder again"
            )


def shard_paths(folder: str | os.PathLike) -> list[pathlib.Path]:
    """The shards of a folder, in order.

    Raises:
        UserError: The folder is not a finished build, or a shard is missing.
    """
    paths = [pathlib.Path(folder) / shard["file"] for shard in manifest(folder)["shards"]]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(paths)} shards are missing, the first {missing[0]}; "
            "copy or build the folder again"
        )
    return paths


def manifest(folder: str | os.PathLike) -> dict[str, Any]:
    """What manifest.json says: format, tagger, counts, inputs, shards; see docs/salient_spans.md.

    Raises:
        UserError: There is none, or it is damaged or of a later version.
    """
    path = pathlib.Path(folder).expanduser() / MANIFEST
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or not isinstance(found["schema"], int):
            raise ValueError("it is not a manifest of sentences")
        if found["schema"] > SCHEMA:
            raise UserError(f"{path} is of a later version of closedbook; update closedbook")
        if not all(isinstance(shard["file"], str) for shard in found["shards"]):
            raise ValueError("it lists no shards")
    except FileNotFoundError as error:
        raise UserError(
            f"{path} does not exist: {folder} is not a finished folder of sentences; write one "
            "with: closedbook ssm build --input 'text/*.jsonl' --output DIR"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged: {error}; build the folder again") from error
    return found


def records(path: str | os.PathLike, file_format: str) -> Iterator[bytes]:
    """The records of one shard, still encoded.

    Args:
        path: The shard.
        file_format: "array_record", "tfrecord" or "tfrecord.gz".

    Raises:
        UserError: The file is damaged or ends early.
    """
    try:
        if file_format == "array_record":
            yield from _array_records(os.fspath(path))
        else:
            opened: IO[bytes] | gzip.GzipFile = (
                gzip.open(path) if file_format == "tfrecord.gz" else open(path, "rb")  # noqa: SIM115
            )
            with opened as file:
                yield from _tf_records(file)
    except (ValueError, IndexError, RuntimeError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is damaged: {error}; copy or build the folder again") from error


def _array_records(path: str) -> Iterator[bytes]:
    from array_record.python.array_record_module import ArrayRecordReader

    reader = ArrayRecordReader(path)
    try:
        count = reader.num_records()
        for start in range(0, count, _RECORDS_AT_ONCE):
            yield from reader.read(start, min(start + _RECORDS_AT_ONCE, count))
    finally:
        reader.close()


def _tf_records(file: IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
    """TFRecord: length, checksum of it, data, checksum; protobuf notices what is damaged."""
    while header := file.read(12):
        if len(header) < 12:
            raise ValueError("it ends within a record")
        (length,) = struct.unpack_from("<Q", header)
        if length > _LONGEST_RECORD:
            raise ValueError(f"a record of {length:,} bytes")
        data = file.read(length + 4)
        if len(data) < length + 4:
            raise ValueError("it ends within a record")
        yield data[:-4]
