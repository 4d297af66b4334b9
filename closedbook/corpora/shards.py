"""Writes sentences that have their spans already as a folder of shards."""

import hashlib
import os
import pathlib
from collections.abc import Iterable
from typing import Any

from closedbook import whole_files
from closedbook.corpora import manifest, records
from closedbook.errors import UserError
from closedbook.tasks.spans import sentence_files, sentence_records
from closedbook.tasks.spans.sentences import Sentence

_HASHED_AT_ONCE = 1 << 20  # bytes


class ShardWriter:
    """One shard at a local path, counting what goes into it."""

    def __init__(self, path: str | os.PathLike, file_format: str) -> None:
        self._path = path
        self._writer = records.writer(path, file_format)
        self.sentences = 0
        self.record_bytes = 0

    def write(self, record: bytes) -> None:
        """Appends one encoded sentence."""
        self._writer.write(record)
        self.sentences += 1
        self.record_bytes += len(record)

    def close(self, name: str) -> manifest.Shard:
        """Ends the file; describes it under the name that it is going to have."""
        self._writer.close()
        return manifest.Shard(
            file=name,
            sentences=self.sentences,
            record_bytes=self.record_bytes,
            file_bytes=os.path.getsize(self._path),
            sha256=file_sha256(self._path),
        )


def file_sha256(path: str | os.PathLike) -> str:
    """The SHA-256 of a local file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_HASHED_AT_ONCE):
            digest.update(block)
    return digest.hexdigest()


def write_sentences(
    folder: str | os.PathLike,
    sentences: Iterable[Sentence],
    *,
    format: str = "array_record",
    shard_sentences: int = 200_000,  # some 10 MB of compressed text
    tagger: str = "given",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Writes a folder as `closedbook ssm build` does, out of sentences with their spans.

    All of it appears at once: the folder has another name until it is whole.

    Args:
        folder: The folder to make.
        sentences: In the order in which they are to lie; those without spans are written too.
        format: "array_record", "tfrecord", or "tfrecord.gz".
        shard_sentences: Most sentences per file.
        tagger: The name of what marked the spans, for the manifest.
        overwrite: Whether to replace a folder of sentences that is there.

    Returns:
        The manifest.

    Raises:
        UserError: The folder exists, or a span lies outside its sentence.
    """
    records.check_format(format)
    if shard_sentences < 1:
        raise UserError(f"shard_sentences is {shard_sentences}; give a number from 1 on")
    target = pathlib.Path(folder).expanduser()
    if target.exists() and not (
        overwrite and ((target / sentence_files.MANIFEST).exists() or not any(target.iterdir()))
    ):
        raise UserError(f"{target} exists already; give the name of a folder that does not")
    with whole_files.folder(target, replace=overwrite) as building:
        counts, shards = _write_shards(building, sentences, format, shard_sentences)
        for index, shard in enumerate(shards):
            name = records.shard_name(index, len(shards), format)
            os.rename(building / shard["file"], building / name)
            shard["file"] = name
        texts = manifest.files(
            counts=counts,
            shards=[manifest.Shard(**shard) for shard in shards],
            file_format=format,
            tagger=tagger,
        )
        for name, text in texts.items():
            (building / name).write_text(text, encoding="utf-8")
    return sentence_files.manifest(target)


def _write_shards(
    folder: pathlib.Path, sentences: Iterable[Sentence], file_format: str, most: int
) -> tuple[manifest.Counts, list[dict[str, Any]]]:
    counts = manifest.Counts()
    shards: list[dict[str, Any]] = []
    writer: ShardWriter | None = None
    for sentence in sentences:
        if writer is not None and writer.sentences == most:
            shards.append(vars(writer.close(f"{len(shards)}")))
            writer = None
        if writer is None:
            writer = ShardWriter(folder / f"{len(shards)}", file_format)
        writer.write(_record(sentence, counts))
    if writer is not None:
        shards.append(vars(writer.close(f"{len(shards)}")))
    return counts, shards


def _record(sentence: Sentence, counts: manifest.Counts) -> bytes:
    text = sentence.text.encode()
    for start, limit, label in sentence.spans:
        if not 0 <= start < limit <= len(text):
            raise UserError(
                f"span {label} from byte {start} to {limit} lies outside a sentence of "
                f"{len(text)} bytes: {sentence.text[:80]!r}"
            )
        counts.spans[label] += 1
    counts.sentences += 1
    counts.text_bytes += len(text)
    return sentence_records.encode(text, sentence.title.encode(), sentence.spans)
