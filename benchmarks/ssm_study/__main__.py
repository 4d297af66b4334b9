"""Does salient span masking put facts into a model? `make study-ssm`.

    python -m benchmarks.ssm_study --out runs/ssm_study --entity-questions DIR_OR_TAR

Pretrains small T5s on sentences of facts by salient span masking, by random span corruption at
the same budget, and not at all; fine-tunes each on questions about some of the facts and asks
about the others. A run that was stopped goes on where it stopped. At the end it writes
docs/ssm_study.md and its figure.
"""

import argparse
import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import sys
import time
from typing import Any

from benchmarks.ssm_study import cell as cells
from benchmarks.ssm_study import corpora, report
from benchmarks.ssm_study.plan import CORPORA, PLANS, Cell, Plan
from closedbook.cli.run import guarded
from closedbook.errors import UserError

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent


def main() -> None:
    """Runs what is missing, then writes the page."""
    options = _options()
    plan = PLANS[options.plan]
    out = options.out.expanduser().absolute()
    source = options.entity_questions
    if source is not None and not source.exists():
        raise UserError(f"there is no {source}; give EntityQuestions' folder or a tar of it")
    if source is None:
        print("no --entity-questions: the study runs on the atlas alone", file=sys.stderr)
    started = time.monotonic()
    wanted = plan.cells(CORPORA if source is not None else ("atlas",))
    _same_plan(out, plan)
    missing = [each for each in wanted if not _folder(out, each).joinpath(cells.RESULT).exists()]
    if missing:
        made = corpora.prepare(out / "corpora", plan, source)
        corpora.build_caches(made)
        _run_all(missing, {corpus.name: corpus for corpus in made}, plan, options, out)
    results = [
        json.loads(_folder(out, each).joinpath(cells.RESULT).read_text(encoding="utf-8"))
        for each in wanted
    ]
    page = report.write(results, plan, options.page)
    minutes = (time.monotonic() - started) / 60
    print(f"{len(missing)} cells in {minutes:.0f} min; {page}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ssm_study",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--plan", choices=sorted(PLANS), default="small", help="large: for a GPU")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/ssm_study"))
    parser.add_argument("--entity-questions", type=pathlib.Path, help="folder, or tar of it")
    parser.add_argument("--workers", type=int, default=None, help="processes, one a core")
    parser.add_argument(
        "--page", type=pathlib.Path, default=REPOSITORY / "docs" / "ssm_study.md", help="written"
    )
    return parser.parse_args()


def _same_plan(out: pathlib.Path, plan: Plan) -> None:
    """Keeps cells of two plans from being mixed in one folder."""
    file = out / "plan.txt"
    if file.exists() and file.read_text(encoding="utf-8") != repr(plan):
        raise UserError(f"{out} holds cells of another plan; give another --out, or remove it")
    out.mkdir(parents=True, exist_ok=True)
    file.write_text(repr(plan), encoding="utf-8")


def _folder(out: pathlib.Path, cell: Cell) -> pathlib.Path:
    return out / "cells" / cell.name


def _run_all(
    missing: list[Cell],
    made: dict[str, corpora.Corpus],
    plan: Plan,
    options: argparse.Namespace,
    out: pathlib.Path,
) -> None:
    """Runs the cells, several at once; small networks use one core better than two do one."""
    context = multiprocessing.get_context("spawn")
    gpu = plan.name == "large"
    cores = [None] if gpu else sorted(os.sched_getaffinity(0))
    cores = cores[: options.workers] if options.workers else cores
    queue = context.Queue()
    for core in cores:
        queue.put(core)
    started, done = time.monotonic(), 0
    with concurrent.futures.ProcessPoolExecutor(
        len(cores), context, _start_worker, (queue, str(out / "compiled"))
    ) as pool:
        futures = {
            pool.submit(_work, cell, plan, options.entity_questions, out): cell for cell in missing
        }
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
            pool.shutdown(wait=False, cancel_futures=True)
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
    return cells.run(cell, made[cell.corpus], plan, _folder(out, cell))


if __name__ == "__main__":
    sys.exit(guarded(main))
