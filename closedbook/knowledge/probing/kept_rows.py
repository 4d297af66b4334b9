"""Rows that a killed command had made, each list in a file named by a hash of all it depends on."""

import contextlib
import hashlib
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from closedbook import whole_files

Row = dict[str, Any]


class KeptRows:
    """Lists of rows in a folder.

    Args:
        folder: Made when the first list is kept; None to keep nothing.
        context: What all lists depend on, such as the hash of a model; JSON.
        name: Files begin with it.
    """

    def __init__(self, folder: pathlib.Path | None, context: object, name: str) -> None:
        self._folder = folder
        self._context = json.dumps(context).encode()
        self._name = name

    def read(self, *given: bytes) -> list[Row] | None:
        """The rows that were made of what is given; None where they were not kept."""
        if self._folder is None:
            return None
        with contextlib.suppress(FileNotFoundError):
            text = self._path(self._folder, given).read_text(encoding="utf-8")
            return [json.loads(line) for line in text.splitlines()]
        return None

    def write(self, rows: Sequence[Row], *given: bytes) -> None:
        """Keeps rows, whole or not at all."""
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(row) + "\n" for row in rows)
        whole_files.write_text(self._path(self._folder, given), text)

    def _path(self, folder: pathlib.Path, given: Sequence[bytes]) -> pathlib.Path:
        digest = hashlib.sha256(self._context)
        for each in given:
            digest.update(b"%d;" % len(each) + each)
        return folder / f"{self._name}-{digest.hexdigest()[:32]}.jsonl"
