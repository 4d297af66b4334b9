"""Whether a checkpoint is as it was written, and which of a run's can be used.

What closedbook writes carries digests (`digests.json`, with it under one name); older checkpoints
and other programs' are checked for what must be there. Whole files are hashed, not arrays: an
array's file holds parts of others, and compressed ones. The processes of a run share the files
among them, and all hear of a fault. In a bucket, which keeps checksums of its own, sizes are
compared and small files hashed: the others would have to be fetched twice.
"""

import functools
import json
import logging
import pathlib
import shlex
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from closedbook import digests
from closedbook.buckets import client, is_bucket
from closedbook.checkpoints.files.orbax import read_arrays
from closedbook.checkpoints.locate import STEP, is_finished, steps
from closedbook.checkpoints.places.storage import Storage
from closedbook.errors import UserError

PARAMS = ("params",)
STATE = ("params", "optimizer")
RUN = ("params", "optimizer", "run")
_METADATA = "_CHECKPOINT_METADATA"
# Orbax changes these as it gives a checkpoint its name; nothing of a model is in them.
_OF_ORBAX = (_METADATA, "commit_success.txt")
_SMALL = 2**20  # bytes of a file that is hashed with any others
# Of a conversion, which people change: what a tokenizer and a decoder do beside the numbers.
_SETTINGS = (
    *("config.json", "generation_config.json", "tokenizer_config.json"),
    *("special_tokens_map.json", "model.json"),
)
_log = logging.getLogger(__name__)


def seal(folder: pathlib.Path) -> None:
    """Writes the digests of a checkpoint into its folder, before that has its name.

    Raises:
        OSError: A file cannot be read, or the disk is full.
    """
    digests.write(folder, without=(*_OF_ORBAX, *_SETTINGS))


def damage(
    folder: pathlib.Path, items: Sequence[str] = PARAMS, *, alone: bool = False
) -> str | None:
    """What is wrong with a closedbook checkpoint: a file in it and what happened to it, or None.

    In a run of several processes all must call it, unless each looks `alone`.

    Args:
        folder: The checkpoint.
        items: What will be read of it. Of the rest only presence, size and small files are
            looked at, so that asking costs no hash of a large optimiser's state.
        alone: Read everything in this process, and now, whatever it has found before.
    """
    if not is_finished(Storage.at(folder)):
        return "it was never finished"
    try:
        record = digests.read(folder)
    except (digests.DamagedError, OSError) as error:
        return f"{digests.FILE} {getattr(error, 'strerror', None) or error}"
    why = None if record is None else _fault(folder, _of(record, items), alone=alone)
    why = why or _absent(folder, items)
    if not why and record is None:
        why = _unreadable(folder, items)
    return why or _bad_metadata(folder)


def check(folder: pathlib.Path, items: Sequence[str] = PARAMS) -> None:
    """Checks a closedbook checkpoint.

    Raises:
        UserError: It is damaged; names the file, the run's newest good checkpoint, and what to do.
    """
    if why := damage(folder, items):
        raise UserError(refusal(folder, why))


def check_written(storage: Storage) -> None:
    """Checks a checkpoint of another format if closedbook wrote it, in whole.

    Args:
        storage: Its folder, or `state` in it.

    Raises:
        UserError: It is damaged; names the file and what to do.
    """
    if storage.remote:
        return
    folder = storage.local
    if folder.name == "state":  # an item of Orbax
        folder = folder.parent
    try:
        record = digests.read(folder)
        why = None if record is None else _fault(folder, record)
    except (digests.DamagedError, OSError) as error:
        why = f"{digests.FILE} {getattr(error, 'strerror', None) or error}"
    if why:
        raise UserError(
            f"{folder} is damaged: {why}; copy it or convert it again (or, where the file was "
            f"changed on purpose, remove {folder / digests.FILE})"
        )


def refusal(folder: pathlib.Path, why: str | None) -> str:
    """The message for a damaged checkpoint of a run.

    Args:
        folder: The checkpoint.
        why: From `damage`.
    """
    text = f"{folder} is damaged: {why}"
    run = folder.parent
    named = STEP.match(folder.name)
    if not named:
        return f"{text}; copy it again"
    others = [step for step in steps(run) if step != int(named.group(1))]
    good = newest_good(run, among=others)
    newest = all(step < int(named.group(1)) for step in others)
    if good is None:
        return f"{text}; no other checkpoint in {run} is whole; copy it again"
    text += f"; the newest good one is {run}/checkpoint_{good}: name that one"
    if not newest:
        return text
    aside = run / f"broken_{folder.name}"
    move = "gcloud storage mv" if is_bucket(folder) else "mv"
    command = f"{move} {shlex.quote(str(folder))} {shlex.quote(str(aside))}"
    return f"{text}, or to go on from it run\n  {command}\nand then the same command again"


def newest_good(
    run: pathlib.Path, *, before: int | None = None, among: Sequence[int] | None = None
) -> int | None:
    """The newest step of a run whose checkpoint is as it was written, now; None if there is none.

    Args:
        run: The run's folder.
        before: Look at earlier steps alone.
        among: The steps to look at; all if None.
    """
    client.forget_listings()
    for step in reversed(steps(run) if among is None else among):
        earlier = before is None or step < before
        if earlier and not damage(run / f"checkpoint_{step}", STATE, alone=True):
            return step
    return None


def warn(found: Mapping[pathlib.Path, str | None]) -> None:
    """Says, once per process, of checkpoints that nobody named and that are passed over.

    Args:
        found: What `damage` says of each; None where it is whole.
    """
    for folder, why in found.items():
        if why:
            _warn_once(str(folder), why)


@functools.cache
def _warn_once(folder: str, why: str) -> None:
    _log.warning("skipping %s, which is damaged: %s", folder, why)


def is_own(folder: pathlib.Path) -> bool:
    """Whether a folder that is no whole checkpoint looks like what is left of closedbook's."""
    names = {entry.name for entry in folder.iterdir()} if folder.is_dir() else {""}
    return not names or bool(names & {*RUN, digests.FILE, _METADATA})


def _absent(folder: pathlib.Path, items: Sequence[str]) -> str | None:
    names = Storage.at(folder).names()
    if not names:
        return "it is empty"
    for item in items:
        # What another program or a conversion wrote may lack the state of an optimiser.
        if f"{item}/" not in names and (item != "optimizer" or "run" in items):
            return f"{item} is missing"
    return None


def _of(record: digests.Record, items: Sequence[str]) -> digests.Record:
    """The files to hash; of the others the small ones."""
    items_there = {name.partition("/")[0] for name in record if "/" in name}
    large = items_there - set(items)
    return {
        name: each
        for name, each in record.items()
        if name.partition("/")[0] not in large or each.size <= _SMALL
    }


def _fault(folder: pathlib.Path, record: digests.Record, *, alone: bool = False) -> str | None:
    """What is wrong with the first bad file; the processes of a run share the work."""
    if alone or not jax.distributed.is_initialized():
        number = digests.first_fault(folder, record, fresh=alone)
    else:
        from jax.experimental import multihost_utils

        share = (jax.process_index(), jax.process_count())
        found = digests.first_fault(folder, record, share=share)
        none = np.iinfo(np.int32).max
        everywhere = multihost_utils.process_allgather(np.int32(none if found is None else found))
        lowest = int(np.min(everywhere))
        number = None if lowest == none else lowest
    return None if number is None else digests.told(folder, record, number)


def _unreadable(folder: pathlib.Path, items: Sequence[str]) -> str | None:
    """What is plainly wrong with a checkpoint that has no digests."""
    for item in () if is_bucket(folder) else items:
        for path in sorted((folder / item).rglob("*")):
            if path.is_file() and not path.stat().st_size:
                return f"{path.relative_to(folder).as_posix()} has 0 bytes"
    try:
        read_arrays(Storage.at(folder / "params"))
    except UserError as error:
        return str(error).removeprefix(f"{folder}/")
    return None


def _bad_metadata(folder: pathlib.Path) -> str | None:
    try:
        json.loads((folder / _METADATA).read_bytes())
    except FileNotFoundError:  # as in packaged models
        return None
    except (OSError, ValueError) as error:
        return f"{_METADATA} cannot be read: {error}"
    return None
