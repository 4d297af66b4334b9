"""Where Orbax writes a checkpoint until it is whole, with the digests of its files.

On a disk under another name, which the checkpoint's own replaces. In a bucket, which cannot rename
a folder at once, under its own name: the last file that is written, `commit_success.txt`, makes it
a checkpoint.
"""

import asyncio
import pathlib
from typing import Any

import orbax.checkpoint as ocp
from orbax.checkpoint._src.path import gcs_utils

from closedbook.buckets import client, is_bucket
from closedbook.checkpoints import soundness
from closedbook.checkpoints.locate import STEP, is_finished
from closedbook.checkpoints.places.storage import Storage


class _OnDisk(ocp.path.atomicity.AtomicRenameTemporaryPath):
    async def finalize(self) -> None:
        """Seals a checkpoint that all processes have written, and renames it; in the first one."""
        await _seal(self)
        await super().finalize()


class _InBucket(ocp.path.atomicity.CommitFileTemporaryPath):
    @classmethod
    async def validate(cls, temporary_path: Any) -> None:
        """Takes for unfinished, and so to be removed, only what closedbook has not finished."""
        named = STEP.match(temporary_path.name)
        if not named or await asyncio.to_thread(_finished, temporary_path) is not False:
            raise ocp.path.atomicity.ValidationError(f"{temporary_path} is not to be removed")

    @classmethod
    async def validate_final(cls, final_path: Any) -> None:
        """Takes for finished what `locate` does: a copy of a run on a disk too."""
        if STEP.match(final_path.name):
            if not await asyncio.to_thread(_finished, final_path):
                raise ocp.path.atomicity.ValidationError(f"{final_path} is not finished")
        else:
            await super().validate_final(final_path)

    async def finalize(self) -> None:
        """Seals a checkpoint that all processes have written, and marks it; in the first one."""
        await _seal(self)
        await super().finalize()


def _finished(path: Any) -> bool | None:
    """Whether a checkpoint is finished; None where there is nothing."""
    client.forget_listings()
    place = Storage.at(path)
    return is_finished(place) if place.names() else None


async def _seal(path: Any) -> None:
    if STEP.match(path.get_final().name):
        place = path.get()
        folder = place if is_bucket(place) else pathlib.Path(place)
        await asyncio.to_thread(soundness.seal, folder)


def temporary_path_class(folder: pathlib.Path) -> type[ocp.path.atomicity_types.TemporaryPath]:
    """How Orbax writes checkpoints, and the items in them, below a folder."""
    if not is_bucket(folder):
        return _OnDisk
    # Before Orbax lists or removes, it asks google-cloud-storage whether a bucket has real folders:
    # one more client, and a right (storage.buckets.get) that who may write objects often lacks.
    # Objects are listed and removed alike in both kinds of buckets.
    gcs_utils.is_hierarchical_namespace_enabled = lambda path: False
    return _InBucket
