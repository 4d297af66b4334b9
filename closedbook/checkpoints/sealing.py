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

from closedbook.buckets import is_bucket
from closedbook.checkpoints import soundness
from closedbook.checkpoints.locate import STEP


class _OnDisk(ocp.path.atomicity.AtomicRenameTemporaryPath):
    async def finalize(self) -> None:
        """Seals a checkpoint that all processes have written, and renames it; in the first one."""
        await _seal(self)
        await super().finalize()


class _InBucket(ocp.path.atomicity.CommitFileTemporaryPath):
    async def finalize(self) -> None:
        """Seals a checkpoint that all processes have written, and marks it; in the first one."""
        await _seal(self)
        await super().finalize()


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
