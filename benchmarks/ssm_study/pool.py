"""Runs many cells at once, each process on a core of its own."""

import concurrent.futures
import multiprocessing
import os
import pathlib
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.ssm_study import cell as cells
from benchmarks.ssm_study import corpora
from benchmarks.ssm_study.plan import Cell, Plan


def folder_of(out: pathlib.Path, cell: Cell) -> pathlib.Path:
    """The folder of a cell."""
    return out / "cells" / cell.name


def run_all(
    missing: Sequence[Cell],
    plan: Plan,
    source: pathlib.Path | None,
    out: pathlib.Path,
    *,
    workers: int | None = None,
) -> None:
    """Runs cells whose corpora are prepared; small networks use one core better than two do one.

    Args:
        missing: What to run, in this order.
        plan: Of all of them.
        source: EntityQuestions, or None.
        out: The study's folder.
        workers: Processes; None: one per core, or a single one for the large plan.
    """
    context = multiprocessing.get_context("spawn")
    cores: list[int | None] = [None]
    if plan.name != "large":
        cores = list(sorted(os.sched_getaffinity(0))[:workers])
    queue = context.Queue()
    for core in cores:
        queue.put(core)
    started, done = time.monotonic(), 0
    with concurrent.futures.ProcessPoolExecutor(
        len(cores), context, _start_worker, (queue, str(out / "compiled"))
    ) as executor:
        futures = {executor.submit(_work, cell, plan, source, out): cell for cell in missing}
        try:
            for future in concurrent.futures.as_completed(futures):
                done += 1
                found: dict[str, Any] = future.result()
                scores = ", ".join(f"{k} {v['em']:.1f}" for k, v in found["tests"].items())
                minutes = (time.monotonic() - started) / 60
                print(
                    f"[{done}/{len(missing)}, {minutes:.0f} min] {futures[future].name}: {scores}"
                    f" ({found['seconds']:.0f} s)",
                    flush=True,
                )
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise


def _start_worker(queue: Any, compiled: str) -> None:
    """In a new process: takes a core for itself, and shares compiled programs with the others."""
    core = queue.get()
    if core is not None:
        os.sched_setaffinity(0, {core})
    import jax

    jax.config.update("jax_compilation_cache_dir", compiled)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def _work(cell: Cell, plan: Plan, source: pathlib.Path | None, out: pathlib.Path) -> dict[str, Any]:
    made = {corpus.name: corpus for corpus in corpora.prepare(out / "corpora", plan, source)}
    return cells.run(cell, made[cell.corpus], plan, folder_of(out, cell))
