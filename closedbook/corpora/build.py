"""Builds a folder of sentences with salient spans out of text: plan, work, manifest."""

import contextlib
import dataclasses
import hashlib
import json
import os
import threading
import time
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from closedbook import folder_locks
from closedbook.corpora import files, manifest, records, sentence_splitting, taggers, units, work
from closedbook.corpora.annotate import Limits
from closedbook.corpora.work import BUILDING
from closedbook.errors import UserError, listed
from closedbook.tasks.spans.sentence_files import MANIFEST

MB = 1_000_000
_HASHED_TOGETHER = 1_000 * MB  # bytes of input files whose hashes are one piece of work
# Bytes of input that are worth more than one process, by the speed of the tagger.
_WORTH_BUILT_IN, _WORTH_MODEL = 100 * MB, 2 * MB
_SETTINGS = "settings.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Built:
    """A finished build."""

    manifest: dict[str, Any]
    seconds: float  # of this run
    input_bytes: int  # read by this run, unpacked; less than all if an earlier one had begun
    shards_before: int  # finished by earlier runs


def build(
    inputs: Sequence[str],
    output: str | os.PathLike,
    *,
    tagger: str = "dates",
    format: str = "array_record",
    input_format: str = "auto",
    shard_mb: float = 16,  # MB of input per shard: minutes of work for a slow tagger
    min_characters: int = 1,
    max_characters: int = 2000,
    workers: int | None = None,
    runner: str = "",
    pipeline_options: Sequence[str] = (),
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Built:
    """Reads text, tags its sentences, and writes those that have spans.

    A build that was interrupted goes on where it stopped. The same settings give the same shards,
    byte for byte, with any number of workers.

    Args:
        inputs: Files by pattern, folders, or "tfds:NAME/VERSION"; see `units.plan`.
        output: The folder to write, local or on a file system that Beam knows.
        tagger: See `taggers.load`.
        format: "array_record", "tfrecord" or "tfrecord.gz".
        input_format: One of `units.FORMATS`.
        shard_mb: About how much input makes a shard.
        min_characters: Shorter sentences are left out.
        max_characters: Longer ones, mostly tables and lists, too.
        workers: Processes of the local runner. Default: one per core, where there is enough input.
        runner: A Beam runner; "" for the local one.
        pipeline_options: Beam's own options, as "--name=value".
        force: Whether to throw away what another build wrote into the folder.
        progress: Called about once per second with bytes of input done and in all.

    Raises:
        UserError: The input, the output or an option is wrong, every document was skipped, or
            another build writes into the folder.
    """
    started = time.monotonic()
    records.check_format(format)
    if not 1 <= min_characters <= max_characters:
        raise UserError(
            f"sentences of {min_characters} to {max_characters} characters: give a minimum from 1 "
            "on, and a maximum that is not below it"
        )
    if workers is not None and workers < 1:
        raise UserError(f"the number of workers is {workers}; give a number from 1 on")
    if pipeline_options:  # a slip of the pen in them should stop the command at once
        _pipeline().options(runner, workers or 1, pipeline_options)
    out = str(output) if files.is_remote(str(output)) else os.path.expanduser(output)
    plan = units.plan(inputs, shard_bytes=int(shard_mb * MB), input_format=input_format)
    loaded = taggers.load(tagger)
    settings = {
        "tagger": tagger,
        "tagger_version": loaded.version,
        "format": format,
        "input_format": input_format,
        "shard_mb": shard_mb,
        "min_characters": min_characters,
        "max_characters": max_characters,
        "sentence_splitter": sentence_splitting.VERSION,
        "inputs": list(inputs),
        "input_files": _digest([list(each) for each in plan.inputs]),
    }
    job = work.Job(
        output=out,
        settings=_digest(settings),
        tagger=tagger,
        file_format=format,
        shards=len(plan.units),
        limits=Limits(min_characters=min_characters, max_characters=max_characters),
    )
    alone: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
    if not files.is_remote(out):  # where Beam cannot make a file only if there is none
        alone = folder_locks.locked(out, "--output", beside=True)
    with alone:
        if _finished_before(job, settings, force=force):
            whole = json.loads(files.read_text(files.join(out, MANIFEST)) or "{}")
            return Built(
                manifest=whole, seconds=0.0, input_bytes=0, shards_before=len(whole["shards"])
            )
        todo = [unit for unit in plan.units if not work.is_done(job, unit.index)]
        hashes = [
            (name, paths)
            for name, paths in _hash_work(plan.inputs)
            if work.read_note(job, name) is None
        ]
        if todo or hashes:
            pipeline = _pipeline()
            options = pipeline.options(runner, workers or _workers(tagger, todo), pipeline_options)
            with _watched(job, plan.units, todo, progress):
                pipeline.run(job, todo, hashes, options)
        whole = _finish(job, plan, settings, loaded)
        return Built(
            manifest=whole,
            seconds=time.monotonic() - started,
            input_bytes=sum(unit.size for unit in todo),
            shards_before=len(plan.units) - len(todo),
        )


def _workers(tagger: str, todo: Sequence[units.Unit]) -> int:
    """Processes worth starting: one per core, but starting them costs some ten seconds."""
    worth = _WORTH_BUILT_IN if tagger == "dates" else _WORTH_MODEL
    if sum(unit.size for unit in todo) < worth:
        return 1
    return max(1, min(os.cpu_count() or 1, len(todo)))


def _pipeline() -> types.ModuleType:
    try:
        from closedbook.corpora import pipeline
    except ImportError as error:
        raise UserError(f"{error}; install the extra: pip install 'closedbook[ssm]'") from error
    return pipeline


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _finished_before(job: work.Job, settings: dict[str, Any], *, force: bool) -> bool:
    """Whether the folder holds this very build, finished; prepares it for work if not.

    Raises:
        UserError: It holds something else, and `force` does not say to throw that away.
    """
    out = job.output
    texts = [
        files.read_text(files.join(out, name)) for name in (MANIFEST, f"{BUILDING}/{_SETTINGS}")
    ]
    for text, finished in zip(texts, (True, False), strict=True):
        if text is None or force:
            continue
        try:
            found = json.loads(text)
            other = found["settings"] if finished else found
        except (ValueError, KeyError, TypeError):
            other = {}
        if other == settings:
            return finished
        changed = [
            f"  {name}: {other.get(name)!r} there, {settings[name]!r} now"
            for name in settings
            if other.get(name) != settings[name]
        ]
        state = "a finished build" if finished else "an unfinished build"
        raise UserError(
            f"{out} holds {state} with other settings:\n{listed(changed)}\n"
            "give another --output, the same settings, or --force to build anew"
        )
    if any(text is not None for text in texts):
        _throw_away(out)
    elif not files.is_remote(out) and os.path.isdir(out) and os.listdir(out):
        raise UserError(f"{out} is not empty, and what is in it is no build; give a new folder")
    files.make_folder(files.join(out, BUILDING))
    files.write_text(files.join(out, BUILDING, _SETTINGS), json.dumps(settings))
    return False


def _throw_away(out: str) -> None:
    """Removes a build's own files, manifest first, so that no half of one looks whole."""
    names = (MANIFEST, manifest.DATASET_INFO, manifest.FEATURES)
    files.delete(
        [p for p in (files.join(out, name) for name in names) if files.size(p) is not None]
    )
    files.delete([found.path for found in files.match(files.join(out, f"{manifest.NAME}-train.*"))])
    files.delete_folder(files.join(out, BUILDING))


def _hash_work(inputs: Sequence[files.Found]) -> Iterator[tuple[str, list[str]]]:
    """(note, paths) of input files whose hashes are one piece of work."""
    together: list[str] = []
    nbytes = count = 0
    for each in inputs:
        together.append(each.path)
        nbytes += each.size
        if nbytes >= _HASHED_TOGETHER or len(together) == 1000:
            yield f"inputs-{count:05d}.json", together
            together, nbytes, count = [], 0, count + 1
    if together:
        yield f"inputs-{count:05d}.json", together


@contextlib.contextmanager
def _watched(
    job: work.Job,
    every: Sequence[units.Unit],
    todo: Sequence[units.Unit],
    progress: Callable[[int, int], None] | None,
) -> Iterator[None]:
    """Reports from a thread how much of the input is done, as the notes say."""
    if progress is None or files.is_remote(job.output):
        yield
        return
    total = sum(unit.size for unit in every)
    done = total - sum(unit.size for unit in todo)
    left = {unit.index: unit.size for unit in todo}
    ended = threading.Event()

    def watch() -> None:
        nonlocal done
        while not ended.wait(1.0):
            for index in list(left):
                if os.path.exists(job.note(f"{index:05d}.json")):
                    done += left.pop(index)
            under_way = sum(min(work.read_progress(job, i), size) for i, size in left.items())
            progress(done + under_way, total)

    progress(done, total)
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
        progress(total, total)
    finally:
        ended.set()
        thread.join()


def _finish(
    job: work.Job, plan: units.Plan, settings: dict[str, Any], tagger: taggers.Tagger
) -> dict[str, Any]:
    """Adds up the notes, writes what describes the folder, and removes the notes."""
    notes = [work.read_note(job, f"{unit.index:05d}.json") for unit in plan.units]
    hashes: dict[str, str] = {}
    for name, paths in _hash_work(plan.inputs):
        found = work.read_note(job, name) or {"sha256": {}}
        hashes |= {path: found["sha256"].get(path, "") for path in paths}
    whole = [note for note in notes if note is not None]
    if len(whole) < len(notes):
        raise UserError(
            f"{len(notes) - len(whole)} of {len(notes)} shards are missing after the pipeline; run "
            "the same command again to go on"
        )
    counts = manifest.Counts()
    for note in whole:
        counts.add(manifest.Counts.from_json(note["counts"]))
    skipped = _skipped(whole)
    if not counts.documents:
        lines = [f"  {each['id']}: {each['reason']}" for each in skipped]
        raise UserError(
            f"nothing to write: all {counts.documents_skipped:,} documents were skipped\n"
            f"{listed(lines, most=5)}\nmend the input or the options, and run the command again "
            "with --force"
        )
    texts = manifest.files(
        counts=counts,
        shards=[manifest.Shard(**note["shard"]) for note in whole],
        file_format=job.file_format,
        tagger=tagger.name,
        tagger_version=tagger.version,
        settings=settings,
        inputs=[
            {"path": each.path, "bytes": each.size, "sha256": hashes.get(each.path, "")}
            for each in plan.inputs
        ],
        skipped=skipped,
    )
    for name, text in texts.items():
        scratch = files.join(job.output, BUILDING)
        files.write_text(files.join(job.output, name), text, scratch=scratch)
    files.delete_folder(files.join(job.output, BUILDING))
    return json.loads(texts[MANIFEST])


def _skipped(notes: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """Skipped documents with their places in the whole files, of which a note knows a part."""
    lines: dict[tuple[str, int], int] = {}
    before: dict[str, int] = {}
    for note in notes:
        for path, start, count in note["lines"]:
            lines[path, start] = before.get(path, 0)
            before[path] = before.get(path, 0) + count
    found = []
    for note in notes:
        for path, line, identity, reason, start in note["skipped"]:
            place = f"{path}:{line + lines[path, start]}" if line else path
            found.append({"id": identity or place, "place": place, "reason": reason})
    return found
