"""Batches of states on the disk, each under the hash of all that it depends on."""

import contextlib
import hashlib
import io
import json
import pathlib
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np

from closedbook import whole_files

SUMS = "log-probabilities"  # beside the states of sites, whose names have no spaces


class Kept:
    """What was read of batches before a command was killed.

    Args:
        folder: Made when the first batch is kept.
        model: The hash of the model.
        sites: Names of the sites that are read.
    """

    def __init__(self, folder: pathlib.Path, model: str, sites: Sequence[str]) -> None:
        self._folder = folder
        self._context = json.dumps([model, list(sites)]).encode()

    def read(self, given: Sequence[np.ndarray]) -> dict[str, np.ndarray] | None:
        """What the batch gave, name -> [rows, ...]; None where it was not kept.

        Args:
            given: All arrays that the network reads.
        """
        damaged = zipfile.BadZipFile, EOFError, ValueError  # it is then read anew
        with contextlib.suppress(FileNotFoundError, *damaged):
            content = io.BytesIO(self._path(given).read_bytes())
            return dict(np.load(content, allow_pickle=False))
        return None

    def write(self, given: Sequence[np.ndarray], found: Mapping[str, np.ndarray]) -> None:
        """Keeps what the batch gave, whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **found)
        whole_files.write_bytes(self._path(given), file.getvalue())

    def _path(self, given: Sequence[np.ndarray]) -> pathlib.Path:
        digest = hashlib.sha256(self._context)
        for array in given:
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return self._folder / f"states-{digest.hexdigest()[:32]}.npz"
