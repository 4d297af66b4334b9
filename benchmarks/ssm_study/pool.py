"""Runs many cells at once, each process on a core of its own."""

import functools
import pathlib
import time
from collections.abc import Sequence
from typing import Any

from benchmarks import workers as processes
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
    """Runs cells whose corpora are prepared.

    Args:
        missing: What to run, in this order.
        plan: Of all of them.
        source: EntityQuestions, or None.
        out: The study's folder.
        workers: Processes; None: one per core, or a single one for the large plan.
    """
    cores: list[int | None] = [None]
    if plan.name != "large":
        cores = list(processes.cores(workers))
    started, done = time.monotonic(), 0

    def tell(cell: Cell, found: dict[str, Any]) -> None:
        nonlocal done
        done += 1
        scores = ", ".join(f"{k} {v['em']:.1f}" for k, v in found["tests"].items())
        minutes = (time.monotonic() - started) / 60
        print(
            f"[{done}/{len(missing)}, {minutes:.0f} min] {cell.name}: {scores}"
            f" ({found['seconds']:.0f} s)",
            flush=True,
        )

    work = functools.partial(_work, plan=plan, source=source, out=out)
    processes.run_all(work, missing, cores, out / "compiled", tell)


def _work(cell: Cell, plan: Plan, source: pathlib.Path | None, out: pathlib.Path) -> dict[str, Any]:
    made = {corpus.name: corpus for corpus in corpora.prepare(out / "corpora", plan, source)}
    return cells.run(cell, made[cell.corpus], plan, folder_of(out, cell))
