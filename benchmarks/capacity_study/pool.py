"""Runs many cells at once, each process on a core of its own."""

import functools
import json
import pathlib
import time
from collections.abc import Sequence
from typing import Any

from benchmarks import workers as processes
from benchmarks.capacity_study import cell as cells
from benchmarks.capacity_study import report
from benchmarks.capacity_study.plan import Cell, Plan


def run_all(
    wanted: Sequence[Cell], out: pathlib.Path, kind: str, plan: Plan, workers: int | None
) -> list[dict[str, Any]]:
    """Runs the cells that have no result yet; gives the results of all, in their order.

    Args:
        wanted: The cells, with their learning rates.
        out: The study's folder.
        kind: "tuning" or "cells", a folder in it.
        plan: Of all of them.
        workers: Processes; None: one per core, or a single one where the plan says so.
    """
    files = [out / kind / each.name / cells.RESULT for each in wanted]
    missing = [each for each, file in zip(wanted, files, strict=True) if not file.exists()]
    started, whole = time.monotonic(), sum(each.flops for each in missing)
    done: list[Cell] = []

    def tell(cell: Cell, found: dict[str, Any]) -> None:
        done.append(cell)
        minutes = (time.monotonic() - started) / 60
        share = sum(each.flops for each in done) / whole
        print(
            f"[{kind} {len(done)}/{len(missing)}, {minutes:.0f} min, about "
            f"{minutes * (1 - share) / share:.0f} to go] {cell.name}: "
            f"{report.in_words(found)} ({found['seconds']:.0f} s)",
            flush=True,
        )

    if missing:
        cores: list[int | None] = [None] if plan.at_once else [*processes.cores(workers)]
        work = functools.partial(_work, out=out, kind=kind)
        processes.run_all(work, missing, cores, out / "compiled", tell)
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def _work(cell: Cell, out: pathlib.Path, kind: str) -> dict[str, Any]:
    return cells.run(cell, out / kind / cell.name, out / "vocabulary")
