"""How much knowledge can be packed into the parameters of a small model? `make study-capacity`.

    python -m benchmarks.capacity_study --out runs/capacity_study

Trains T5 1.0, T5 1.1 and decoder-only models of equal size on random pairs and strings, and on
sentences about made-up people, and counts the bits that they hold. Learning rates are chosen by
runs of another seed, which are not reported. A study that was stopped goes on where it stopped, a
long training too. At the end it writes docs/studies/capacity_study.md and its figure.
"""

import argparse
import dataclasses
import os
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.capacity_study import cell as cells
from benchmarks.capacity_study import pool, report
from benchmarks.capacity_study.plan import PLANS, RATES, Plan, check_memory
from closedbook import whole_files
from closedbook.cli.faults import memory_advice
from closedbook.cli.run import guarded
from closedbook.errors import UserError

_REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
_PAGE = _REPOSITORY / "docs" / "studies" / "capacity_study.md"
_FORM = 1  # of what cells write


def main() -> None:
    """Runs what is missing, then writes the page; short of memory it says what helps."""
    options = _options()
    try:
        _run(options)
    except Exception as error:
        told = memory_advice.told(error, lambda _: ["a smaller --plan", "fewer --workers"])
        if told is None:
            raise
        raise told from error


def _run(options: argparse.Namespace) -> None:
    out, plan = options.out.expanduser().absolute(), PLANS[options.plan]
    _same_plan(out, plan)
    print(f"plan {plan.name}: {plan.described}", flush=True)
    check_memory(plan)
    started = time.monotonic()
    tuned = pool.run_all(plan.tuning(), out, "tuning", plan, options.workers)
    rates = chosen_rates(tuned)
    wanted = [dataclasses.replace(each, rate=rates[each.tuned_as]) for each in plan.cells()]
    results = pool.run_all(wanted, out, "cells", plan, options.workers)
    page = report.write(results, tuned, rates, plan, options.page)
    print(f"{(time.monotonic() - started) / 60:.0f} min; {page}")


def chosen_rates(tuned: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The learning rate of each arm, out of the runs that choose it."""
    arms: dict[str, list[dict[str, Any]]] = {}
    for each in tuned:
        arm = f"{each['meter']}-{each['family']}-{each['objective']}"
        arms.setdefault(arm, []).append(each)
    return {arm: cells.best_rate(of) for arm, of in arms.items()}


def _options() -> argparse.Namespace:
    costs = "; ".join(f"{plan.name}: {plan.described}" for plan in PLANS.values())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.capacity_study",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--plan", choices=list(PLANS), default="small", help=costs)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/capacity_study"))
    parser.add_argument("--workers", type=int, default=None, help="processes, one per core")
    parser.add_argument(
        "--page",
        type=pathlib.Path,
        help="written; by default docs/studies/capacity_study.md of the small plan, of others "
        "OUT/page.md",
    )
    options = parser.parse_args()
    if options.page is None:
        small = options.plan == "small"
        options.page = _PAGE if small else options.out.expanduser() / "page.md"
    if options.workers is not None and options.workers < 1:
        raise UserError(f"--workers is {options.workers}; give 1 or more")
    return options


def _same_plan(out: pathlib.Path, plan: Plan) -> None:
    """Keeps cells of two plans, or of two forms of results, from being mixed in one folder."""
    asked = dataclasses.replace(plan, cost="")
    file, wanted = out / "plan.txt", f"{asked!r}, rates {RATES}, form {_FORM}"
    if file.exists() and file.read_text(encoding="utf-8") != wanted:
        raise UserError(
            f"{out} holds cells of another plan or version; give another --out, or remove it"
        )
    out.mkdir(parents=True, exist_ok=True)
    whole_files.write_text(file, wanted)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.exit(guarded(main))
