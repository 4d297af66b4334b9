"""TensorBoard event files, written without TensorFlow.

Framing and messages come from the `tensorboard` package. Its own `EventFileWriter` opens files
through TensorFlow where that is installed, which takes seconds and reserves GPU memory, so the
file here is a plain one.
"""

import contextlib
import itertools
import os
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any, SupportsFloat

from closedbook import appended_files
from closedbook.buckets import path_at
from closedbook.errors import UserError
from closedbook.telemetry.writers import MetricWriter

_numbers = itertools.count()  # tells the files of one process and second apart


class TensorBoardWriter(MetricWriter):
    """Writes scalars and summaries into a new event file of a folder."""

    def __init__(self, folder: str | os.PathLike[str], *, start_step: int | None = None) -> None:
        """Opens a new event file.

        Args:
            folder: Where TensorBoard looks for the run; made if missing.
            start_step: Step of the checkpoint that the run starts from. TensorBoard is told to
                forget what earlier files of the folder hold of later steps. None where no
                training goes on: whatever is there stays.

        Raises:
            UserError: The file cannot be written.
        """
        # Half a second, and only the first process of a run needs it.
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event = event_pb2.Event
        self._summary = summary_pb2.Summary
        self._folder = path_at(folder)
        name = (
            f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}."
            f"{next(_numbers)}"
        )
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = appended_files.opened(self._folder / name, new=True)
            self._records = RecordWriter(self._file)
        except OSError as error:
            raise self._refused(error) from error
        self._add(file_version="brain.Event:2")
        if start_step is not None:
            # What is of this step or later is superseded (TensorBoard, event_accumulator).
            self._add(step=start_step + 1, session_log=start)

    def write(self, step: int, metrics: Mapping[str, SupportsFloat]) -> None:
        values = [
            self._summary.Value(tag=name, simple_value=float(value))
            for name, value in metrics.items()
        ]
        self._add(step=int(step), summary=self._summary(value=values))

    def write_summaries(self, step: int, values: Sequence[bytes]) -> None:
        if values:
            parsed = [self._summary.Value.FromString(value) for value in values]
            self._add(step=int(step), summary=self._summary(value=parsed))

    def secure(self) -> None:
        try:
            self._file.secure()
        except OSError as error:
            raise self._refused(error) from error

    def close(self) -> None:
        # Every write flushes: what still waits here is an entry whose failure was raised.
        with contextlib.suppress(OSError):
            self._records.close()

    def _add(self, **fields: Any) -> None:
        try:
            self._records.write(self._event(wall_time=time.time(), **fields).SerializeToString())
            self._records.flush()
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> UserError:
        return UserError(
            f"cannot write TensorBoard files into {self._folder}: {error.strerror}; free the disk "
            "or mend the folder's rights, then start again: the run continues from its last "
            "checkpoint"
        )
