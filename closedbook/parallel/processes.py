"""The processes of a multi-host run: how they join, and what they tell each other."""

import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn, TypeVar

import jax
import numpy as np

from closedbook.errors import UserError
from closedbook.parallel import peers

_Tree = TypeVar("_Tree")
_TEXT_BYTES = 4000
_peers: peers.Peers | None = None  # of this process, once it has joined others


def initialize_processes(
    *,
    coordinator_address: str | None = None,
    process_count: int | None = None,
    process_index: int | None = None,
    initialization_timeout: int = 300,
) -> None:
    """Joins the processes of a multi-host run; call it before anything else touches JAX.

    Args:
        coordinator_address: "host:port" of process 0. With this and the next two None, JAX finds
            its peers by itself, on TPU pods, under SLURM and under Open MPI.
        process_count: Number of processes.
        process_index: This one's, from 0.
        initialization_timeout: Seconds to wait for all others.

    Raises:
        UserError: Some of the three are missing, or the peers are not found.
    """
    given = (coordinator_address, process_count, process_index)
    if None in given and any(value is not None for value in given):
        raise UserError(
            "give all of --coordinator_address, --process_count and --process_index, or none of "
            "them where JAX finds the processes by itself (TPU pods, SLURM, Open MPI)"
        )
    ended = threading.Event()
    try:
        with peers.through_proxy(ended):
            jax.distributed.initialize(*given, initialization_timeout=initialization_timeout)
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"the processes of the run did not find each other: {error}; give "
            "--coordinator_address, --process_count and --process_index"
        ) from error
    _watch_peers(ended)
    if threading.current_thread() is threading.main_thread():
        _lead_to_sigterm()


def _watch_peers(ended: threading.Event) -> None:
    global _peers
    from jax._src import distributed

    state = distributed.global_state
    if state.client is None or state.num_processes == 1:
        return
    _peers = peers.Peers(state.client, state.process_id, state.num_processes, ended)
    _peers.start()
    atexit.register(_end)


def _end() -> None:
    assert _peers is not None
    error = getattr(sys, "last_value", None)
    if isinstance(error, Exception):  # whose traceback is printed
        _peers.wait_for_verdict()
        leave(1, str(error))
    _peers.meet()
    jax.distributed.shutdown()


def _lead_to_sigterm() -> None:
    """Lets SIGHUP and the first Ctrl-C do what SIGTERM does, which JAX tells all processes."""

    def hear(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)  # the second does not wait
        os.kill(os.getpid(), signal.SIGTERM)

    for number in (signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, hear)


@contextlib.contextmanager
def lost_peers_named() -> Iterator[None]:
    """After an error inside, waits for the news that another process is gone, which explains it.

    This process then ends with that message (`peers`), and the error is not shown.
    """
    try:
        yield
    except UserError:
        raise
    except Exception:
        if _peers is not None:
            _peers.wait_for_verdict()
        raise


def leave(code: int, why: str = "") -> NoReturn:
    """Ends this process; after an error the others are told, and none waits for another.

    Args:
        code: Exit code.
        why: What went wrong, for the others.
    """
    if code and _peers is not None:
        _peers.leave(code, why)
    sys.exit(code)


def run_asks_for_stops() -> None:
    """From now on this process asks at each step whether to stop (`any_is_to_stop`).

    Before that, SIGTERM to any process ends all of them at once, since nothing is lost.
    """
    if _peers is not None:
        _peers.looks_for_stops = False


def is_first() -> bool:
    """Whether this process is the one that writes files and logs."""
    return jax.process_index() == 0


def is_alone() -> bool:
    """Whether the run has no other process."""
    return jax.process_count() == 1


def gather(tree: _Tree) -> _Tree:
    """A tree of arrays as NumPy arrays, rows on other processes' devices included.

    Every process must call it, and all get the same.

    Args:
        tree: Arrays [batch, ...], split over the devices of all processes.
    """
    if is_alone():
        return jax.tree.map(np.asarray, tree)
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(tree, tiled=True)


def of_first(number: int) -> int:
    """The first process's number, in all processes: agreement on what one of them drew.

    Args:
        number: From 0 to 2**31 - 1.
    """
    if is_alone():
        return number
    from jax.experimental import multihost_utils

    return int(multihost_utils.broadcast_one_to_all(np.int32(number)))


def text_of_first(text: str) -> str:
    """The first process's text, in all processes.

    Args:
        text: What is beyond 4,000 bytes is cut off.
    """
    if is_alone():
        return text
    from jax.experimental import multihost_utils

    sent = np.zeros(_TEXT_BYTES, np.uint8)
    encoded = np.frombuffer(text.encode()[:_TEXT_BYTES], np.uint8)
    sent[: len(encoded)] = encoded
    received = np.asarray(multihost_utils.broadcast_one_to_all(sent), np.uint8)
    return received.tobytes().rstrip(b"\0").decode(errors="ignore")


def any_is_to_stop(count: int) -> bool:
    """Whether some process was told to stop, as all see it at the same count.

    Args:
        count: How often the process has asked, this time included; all must ask equally often.
    """
    if is_alone():
        return False
    from jax.experimental import multihost_utils

    return multihost_utils.reached_preemption_sync_point(count)
