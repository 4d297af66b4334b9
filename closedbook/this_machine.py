"""Which processes run here: what a file on a shared disk says of its writer is held against it."""

import contextlib
import functools
import hashlib
import os
import pathlib
import socket


@functools.cache
def machine() -> str:
    """Stands for where process ids count: this machine since its start, or a container on it."""
    known = [socket.gethostname()]
    with contextlib.suppress(OSError):  # Linux has it
        known.append(pathlib.Path("/proc/sys/kernel/random/boot_id").read_text())
        known.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(known).encode()).hexdigest()[:12]


def runs(process: int, started: str = "") -> bool:
    """Whether a process of this machine runs.

    Args:
        process: Its id.
        started: What `start_of` said of it, so that no other process of its id is taken for it.
    """
    if os.name != "posix":
        return True  # elsewhere a signal of 0 is not a mere question
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        pass
    state, now = _state_and_start(process)
    if state in ("Z", "X"):  # has ended, and its parent has not asked how
        return False
    return not (started and now) or now == started


def start_of(process: int) -> str:
    """When a process of this machine began, in ticks since the machine's start; "" if unknown."""
    return _state_and_start(process)[1]


def _state_and_start(process: int) -> tuple[str, str]:
    try:
        # The name, in brackets, may hold anything, brackets too.
        fields = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return fields[0], fields[19]
    except (OSError, IndexError):
        return "", ""
