"""Runs the cells of a study side by side, each process on a core of its own."""

import concurrent.futures.process
import multiprocessing
import os
import pathlib
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from closedbook.errors import UserError

T = TypeVar("T")
R = TypeVar("R")


def run_all(
    work: Callable[[T], R],
    items: Sequence[T],
    cores: Sequence[int | None],
    compiled: pathlib.Path,
    done: Callable[[T, R], None],
) -> None:
    """Runs something of each item; small networks use one core better than two do one.

    The processes end with this one, however it ends.

    Args:
        work: What to run: a function of a module, or a partial of one.
        items: In this order.
        cores: The core of each process; None for one that takes all.
        compiled: A folder in which processes share compiled programs.
        done: Told here of each item that is finished, with what came of it.
    """
    if None not in cores:  # each process has one core, and NumPy's threads would share it
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    for core in cores:
        queue.put(core)
    with concurrent.futures.ProcessPoolExecutor(
        len(cores), context, _start, (queue, str(compiled))
    ) as executor:
        futures = {executor.submit(work, item): item for item in items}
        try:
            for future in concurrent.futures.as_completed(futures):
                done(futures[future], future.result())
        except concurrent.futures.process.BrokenProcessPool as error:
            raise UserError(
                "a process of the study was killed, as the system does where memory runs out; "
                "give fewer --workers and start it again: it goes on where it stopped"
            ) from error
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise


def cores(number: int | None = None) -> list[int]:
    """The cores that this process may use, at most `number` of them."""
    return sorted(os.sched_getaffinity(0))[:number]


def _start(queue: Any, compiled: str) -> None:
    """In a new process: takes a core for itself, and shares compiled programs with the others."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    core = queue.get()
    if core is not None:
        os.sched_setaffinity(0, {core})
    import jax

    jax.config.update("jax_compilation_cache_dir", compiled)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def _end_with_parent() -> None:
    """What this process works on nobody takes any more, and the next run begins it again."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
