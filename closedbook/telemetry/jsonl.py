"""Metrics as JSON lines: `{"step": 100, "loss": 2.5, ...}`, one line per step, appended."""

import contextlib
import json
import logging
import math
import os
import pathlib
from collections.abc import Mapping
from typing import SupportsFloat

from closedbook import appended_files, whole_files
from closedbook.buckets import path_at
from closedbook.errors import UserError
from closedbook.telemetry.writers import MetricWriter

_log = logging.getLogger(__name__)


class JsonlWriter(MetricWriter):
    """Appends metrics to a file that stays one clean curve over any number of restarts.

    Every line is handed to the operating system at once, so a killed process loses none. Numbers
    that JSON lacks (NaN, infinities) become null.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, start_step: int = 0, resumed: bool = False
    ) -> None:
        """Opens the file for entries of the steps after `start_step`.

        Args:
            path: The file; folders are made.
            start_step: Step of the checkpoint that the run starts from.
            resumed: Whether that is a checkpoint of this run. Entries of later steps are then taken
                out: an earlier process wrote them and was stopped before it saved. Else a file
                that exists belongs to another run, and is moved aside.

        Raises:
            UserError: The file cannot be written.
        """
        self._path = path_at(path)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.exists():
                _cut(self._path, start_step) if resumed else _move_aside(self._path)
            self._file = appended_files.opened(self._path)
        except OSError as error:
            raise self._refused(error) from error

    def write(self, step: int, metrics: Mapping[str, SupportsFloat]) -> None:
        entry = {"step": int(step)} | {name: _plain(value) for name, value in metrics.items()}
        try:
            self._file.write(json.dumps(entry, allow_nan=False).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise self._refused(error) from error

    def secure(self) -> None:
        try:
            self._file.secure()
        except OSError as error:
            raise self._refused(error) from error

    def close(self) -> None:
        # Every write flushes: what still waits here is an entry whose failure was raised.
        with contextlib.suppress(OSError):
            self._file.close()

    def _refused(self, error: OSError) -> UserError:
        return UserError(
            f"cannot write metrics to {self._path}: {error.strerror}; free the disk or mend the "
            "folder's rights, then start again: the run continues from its last checkpoint"
        )


def read(path: str | os.PathLike[str]) -> list[dict[str, float | None]]:
    """The entries of a metrics file, in order; a torn last line is left out."""
    lines = path_at(path).read_bytes().split(b"\n")
    return [entry for line in lines if (entry := _entry(line)) is not None]


def _plain(value: SupportsFloat) -> float | int | None:
    if isinstance(value, int):
        return value
    number = float(value)
    return number if math.isfinite(number) else None


def _entry(line: bytes) -> dict[str, float | None] | None:
    """The entry of one line, or None for what is no entry, such as half a line."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or not isinstance(entry.get("step"), int):
        return None
    return entry


def _cut(path: pathlib.Path, last_step: int) -> None:
    """Takes out entries of steps after `last_step`, and lines that are no entries."""
    lines = path.read_bytes().splitlines(keepends=True)
    entries = [_entry(line) for line in lines]
    # A crash of the machine can leave half a line, or zeros, at the end.
    unreadable = sum(entry is None for entry in entries[:-1])
    if unreadable:
        _log.warning("%s: took out %d lines that are no metrics", path, unreadable)
    kept = [
        line if line.endswith(b"\n") else line + b"\n"
        for line, entry in zip(lines, entries, strict=True)
        if entry is not None and (entry["step"] or 0) <= last_step
    ]
    if kept == lines:
        return
    whole_files.write_bytes(path, b"".join(kept))


def _move_aside(path: pathlib.Path) -> None:
    if not path.stat().st_size:
        return
    number = 1
    while (other := path.with_name(f"{path.stem}-{number}{path.suffix}")).exists():
        number += 1
    path.rename(other)
    _log.warning("%s is of another run; moved it to %s", path, other.name)
