"""One unit of work: a part of the input becomes a finished shard, with a note of what is in it."""

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

from closedbook.corpora import annotate, documents, files, records
from closedbook.corpora.annotate import Limits
from closedbook.corpora.documents import Document, Skipped
from closedbook.corpora.manifest import MOST_LISTED, Counts
from closedbook.corpora.shards import ShardWriter
from closedbook.corpora.taggers import Tagger
from closedbook.corpora.units import Unit
from closedbook.errors import UserError

BUILDING = ".building"  # folder of a build that is not finished: its settings and notes
_HASHED_AT_ONCE = 1 << 20  # bytes
_PROGRESS_SECONDS = 1.0  # between two notes of how far a unit is


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What is the same for all units of a build."""

    output: str
    settings: str  # hash of everything that shards depend on
    tagger: str
    file_format: str
    shards: int
    limits: Limits

    def shard(self, index: int) -> str:
        """The name of a shard."""
        return records.shard_name(index, self.shards, self.file_format)

    def note(self, name: str) -> str:
        """The path of a note about work that is done."""
        return files.join(self.output, BUILDING, name)


def is_done(job: Job, index: int) -> bool:
    """Whether a unit's shard is there and was made with these settings."""
    found = read_note(job, f"{index:05d}.json")
    return found is not None and found["shard"]["file_bytes"] == files.size(
        files.join(job.output, job.shard(index))
    )


def read_note(job: Job, name: str) -> dict[str, Any] | None:
    """A note of this build; None if there is none, it is damaged, or other settings made it."""
    text = files.read_text(job.note(name))
    try:
        found = json.loads(text or "null")
    except ValueError:
        return None
    fits = isinstance(found, dict) and found.get("settings") == job.settings
    return found if fits else None


def build_shard(job: Job, unit: Unit, tagger: Tagger) -> None:
    """Reads, splits, tags and writes one unit, then notes it as done.

    Raises:
        UserError: The input cannot be read or the output not written.
    """
    started = time.monotonic()
    counts, skipped = Counts(), list[Skipped]()
    tallies = [documents.Tally() for _ in unit.parts]
    read = _documents(job, unit, tallies)
    path = files.join(job.output, job.shard(unit.index))
    try:
        with files.local_copy(path, scratch=files.join(job.output, BUILDING)) as local:
            writer = ShardWriter(local, job.file_format)
            for record in annotate.records(read, tagger, job.limits, counts, skipped):
                writer.write(record)
            shard = writer.close(job.shard(unit.index))
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error
    starts = {part.path: part.start for part in unit.parts}
    note = {
        "settings": job.settings,
        "shard": dataclasses.asdict(shard),
        "counts": counts.as_json(),
        "lines": [
            [part.path, part.start, tally.lines]
            for part, tally in zip(unit.parts, tallies, strict=True)
        ],
        "skipped": [[*each, starts[each.place]] for each in skipped[:MOST_LISTED]],
        "input_bytes": sum(tally.nbytes for tally in tallies),
        "seconds": time.monotonic() - started,
    }
    files.write_text(job.note(f"{unit.index:05d}.json"), json.dumps(note))


def _documents(
    job: Job, unit: Unit, tallies: Sequence[documents.Tally]
) -> Iterator[Document | Skipped]:
    """All documents of a unit; notes now and then how far it is, where that costs little."""
    path = job.note(f"{unit.index:05d}.progress")
    noted = time.monotonic()
    for part, tally in zip(unit.parts, tallies, strict=True):
        for document in documents.read(part, tally):
            yield document
            if time.monotonic() - noted > _PROGRESS_SECONDS and not files.is_remote(job.output):
                noted = time.monotonic()
                done = sum(each.nbytes for each in tallies)
                with open(path, "w", encoding="utf-8") as file:
                    file.write(str(done))


def read_progress(job: Job, index: int) -> int:
    """Bytes of input that a unit which is being worked on has passed."""
    try:
        with open(job.note(f"{index:05d}.progress"), encoding="utf-8") as file:
            return int(file.read() or 0)
    except (OSError, ValueError):
        return 0


def hash_inputs(job: Job, name: str, paths: Sequence[str]) -> None:
    """Notes the SHA-256 of some input files.

    Raises:
        UserError: A file cannot be read.
    """
    digests = {}
    for path in paths:
        digest = hashlib.sha256()
        try:
            with files.open_read(path) as file:
                while block := file.read(_HASHED_AT_ONCE):
                    digest.update(block)
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
        digests[os.fspath(path)] = digest.hexdigest()
    files.write_text(job.note(name), json.dumps({"settings": job.settings, "sha256": digests}))
