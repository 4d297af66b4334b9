"""What do models know that nobody taught to answer? `make study-lama`.

    python -m benchmarks.lama_study --out runs/lama_study --data FOLDER

Asks the packaged models, and SmolLM2-135M-Instruct (Q4_1) where `make smollm2` has fetched it,
about the atlas and about the data sets that the folder holds: LAMA, BEAR, ParaRel, PopQA,
known_1000. A run that was stopped goes on where it stopped. At the end it writes
docs/studies/lama_study.md and its figure.
"""

import argparse
import json
import os
import pathlib
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import smollm2
from benchmarks.lama_study import report, sources
from benchmarks.lama_study.plan import PLANS, SMOLLM2, Cell, Plan, cells
from closedbook import whole_files
from closedbook.cli.run import guarded
from closedbook.errors import UserError

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
RESULT = "result.json"
_FORM = 2  # of what cells write into it


def main() -> None:
    """Runs what is missing, then writes the page."""
    options = _options()
    out = options.out.expanduser().absolute()
    file = smollm2.place()
    if not file.is_file():
        print(f"no {SMOLLM2} at {file} (`make smollm2` fetches it): not asked", file=sys.stderr)
    if options.data is None:
        print("no --data: the study runs on the atlas alone", file=sys.stderr)
    plan = PLANS[options.plan]
    _same_plan(out, plan)
    places = sources.find(options.data, out / "data") if options.data else {}
    wanted = cells(frozenset(places), smollm2=file.is_file())
    run_all(wanted, plan, places, out)
    results = [json.loads(_result(out, cell).read_text(encoding="utf-8")) for cell in wanted]
    print(report.write(results, plan, options.page))


def run_all(
    wanted: Sequence[Cell], plan: Plan, places: Mapping[str, pathlib.Path], out: pathlib.Path
) -> None:
    """Runs the cells that have no result yet, one after the other; each uses all cores.

    Args:
        wanted: The cells, in this order.
        plan: How much is asked.
        places: Where the data sets lie.
        out: The study's folder.
    """
    missing = [cell for cell in wanted if not _result(out, cell).exists()]
    started, loaded = time.monotonic(), dict[str, Any]()
    for done, cell in enumerate(missing, 1):
        from benchmarks.lama_study import cell as running
        from closedbook.knowledge.loading import load_model

        if cell.model not in loaded:  # one model in memory at once
            name = str(smollm2.place()) if cell.model == SMOLLM2 else cell.model
            loaded = {cell.model: load_model(name)}
        file = _result(out, cell)
        file.parent.mkdir(parents=True, exist_ok=True)
        found = running.run(
            cell, loaded[cell.model], places.get(cell.data), plan.limit(cell), file.parent
        )
        whole_files.write_text(file, json.dumps(found, indent=1) + "\n")
        minutes = (time.monotonic() - started) / 60
        print(
            f"[{done}/{len(missing)}, {minutes:.0f} min] {cell.name}: "
            f"P@1 {100 * found['means']['P@1']['mean']:.1f} ({found['seconds']:.0f} s)",
            flush=True,
        )


def _result(out: pathlib.Path, cell: Cell) -> pathlib.Path:
    return out / "cells" / cell.name / RESULT


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.lama_study",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--plan",
        choices=list(PLANS),
        default="default",
        help="quick and medium: fewer facts; full: all",
    )
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/lama_study"))
    parser.add_argument("--data", type=pathlib.Path, help="folder of data sets, or of tars of them")
    parser.add_argument(
        "--page",
        type=pathlib.Path,
        default=REPOSITORY / "docs" / "studies" / "lama_study.md",
        help="written",
    )
    return parser.parse_args()


def _same_plan(out: pathlib.Path, plan: Plan) -> None:
    """Keeps cells of two plans, or of two forms of results, from being mixed in one folder."""
    file, wanted = out / "plan.txt", f"{plan!r}, form {_FORM}"
    if file.exists() and file.read_text(encoding="utf-8") != wanted:
        raise UserError(
            f"{out} holds cells of another plan or version; give another --out, or remove it"
        )
    out.mkdir(parents=True, exist_ok=True)
    whole_files.write_text(file, wanted)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.exit(guarded(main))
