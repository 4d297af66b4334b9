"""TensorFlow as our commands use it: to read data, on the CPU, without its start-up notes."""

import contextlib
import dataclasses
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator

from closedbook.cli import start_up_notes
from closedbook.on_import import around_import


def prepare_tensorflow() -> None:
    """Settles how TensorFlow starts, whenever something imports it; imports nothing itself.

    It never sees a GPU: it would take the memory that JAX needs, to read files.
    """
    around_import("tensorflow", _quiet_and_on_the_cpu)


@contextlib.contextmanager
def _quiet_and_on_the_cpu() -> Iterator[None]:
    # TF_CPP_MIN_LOG_LEVEL does not reach the notes of TensorFlow 2.21, so the lines are sorted.
    with _without_notes():
        yield
        config = sys.modules["tensorflow"].config
        with contextlib.suppress(RuntimeError):  # somebody has used a device already
            config.set_visible_devices([], "GPU")


@contextlib.contextmanager
def _without_notes() -> Iterator[None]:
    """Passes standard error, C++'s too, through a process that leaves out start-up notes.

    Every other line is written as soon as it ends, and the last one even after a crash. Processes
    that are started meanwhile keep a standard error that is read. Where that process cannot be
    had, the notes are shown.
    """
    with contextlib.ExitStack() as stack:
        sorting = None
        if sys.__stderr__ is not None:  # else it is closed, and 2 may be any other file
            with contextlib.suppress(OSError):
                sorting = _start_sorting(stack)
        if sorting is None:
            yield
            return
        _flush()
        try:
            os.dup2(sorting.lines, 2)
            yield
        finally:
            _flush()
            os.dup2(sorting.kept, 2)
            with contextlib.suppress(OSError):  # somebody has ended the process
                os.write(sorting.lines, sorting.mark)
                os.read(sorting.reports, 1)  # all that was written before is out


@dataclasses.dataclass(frozen=True)
class _Sorting:
    """A process that sorts lines.

    Attributes:
        kept: Standard error as it was.
        lines: Where to write to the process.
        reports: Where to read what it says.
        mark: Ends the sorting.
    """

    kept: int
    lines: int
    reports: int
    mark: bytes


def _start_sorting(stack: contextlib.ExitStack) -> _Sorting | None:
    """Starts it, or returns None if it does not come to work; the stack closes what is open."""
    kept = os.dup(2)
    stack.callback(os.close, kept)
    read, lines = os.pipe()
    stack.callback(os.close, lines)
    reports, report = os.pipe()
    stack.callback(os.close, reports)
    mark = f"[{secrets.token_hex(16)}]"
    try:
        command = [sys.executable, "-I", "-S", start_up_notes.__file__, str(report), mark]
        done = subprocess.run(
            command,
            stdin=read,
            stdout=subprocess.DEVNULL,
            pass_fds=[report],
            start_new_session=True,  # Ctrl-C is not meant for it
            check=False,
        )
    finally:
        os.close(read)
        os.close(report)
    if done.returncode or os.read(reports, 1) != start_up_notes.READY:
        return None
    return _Sorting(kept, lines, reports, mark.encode())


def _flush() -> None:
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):  # closed by somebody
            sys.stderr.flush()
