"""What does an edit cost, and how many does a model bear? `make study-editing`.

    python -m benchmarks.editing_study --out FOLDER --data FOLDER --wikitext FOLDER_OR_TAR

Edits the packaged models in every way of `plan.py`: false objects for facts that they know; and
SmolLM2-135M-Instruct (Q4_1), where `make smollm2` has fetched it, by CounterFact, known_1000 and
QAEdit. A run that was stopped goes on where it stopped. At the end it writes
docs/studies/editing_study.md, its figures and its tables.
"""

import argparse
import functools
import json
import os
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any

from benchmarks import smollm2, workers
from benchmarks.editing_study import cell as running
from benchmarks.editing_study import estimates, report
from benchmarks.editing_study.cell import Sources
from benchmarks.editing_study.plan import BEST, DATA_SETS, DEEP, PLANS, SMOLLM2, Cell, Plan
from benchmarks.lama_study import sources as data_sources
from benchmarks.memories_study import texts
from closedbook import whole_files
from closedbook.checkpoints import open_checkpoint, packaged_models, recognise
from closedbook.cli.run import guarded
from closedbook.errors import UserError

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
_PASSAGES = 400  # of WikiText-2's validation set, 39,000 tokens: for second moments


def main() -> None:
    """Runs what is missing, then writes the page."""
    options = _options()
    plan = PLANS[options.plan]
    out = options.out.expanduser().absolute()
    _same_plan(out, plan)
    sources = _sources(options, out)
    wanted = plan.cells(_deep_layers(), frozenset(dict(sources.data)))
    if options.only:
        wanted = [cell for cell in wanted if cell.part in options.only]
    run_all(wanted, plan, sources, workers.cores(options.workers))
    results = [
        json.loads(file.read_text(encoding="utf-8"))
        for cell in wanted
        if (file := out / cell.file).exists()
    ]
    print(report.write(results, plan, options.page))


def run_all(
    wanted: Sequence[Cell], plan: Plan, sources: Sources, cores: Sequence[int | None]
) -> None:
    """Runs the cells that have no result yet, one on each core.

    Args:
        wanted: The cells, in this order; what others wait for is run first.
        plan: How much is edited.
        sources: Where things lie.
        cores: Of the processes.
    """
    missing = [cell for cell in wanted if not (sources.out / cell.file).exists()]
    if not missing:
        return
    minutes = estimates.minutes(missing, len(cores))
    print(
        f"{len(missing)} of {len(wanted)} cells to run: about {minutes:.0f} minutes on "
        f"{len(cores)} idle cores",
        flush=True,
    )
    switched = [cell for cell in wanted if cell.name.startswith(f"{plan.switched[0]}, ")]
    candidates = [cell for cell in switched if cell.part == "row"]
    started, done = time.monotonic(), list[Cell]()

    def tell(cell: Cell, found: dict[str, Any]) -> None:
        done.append(cell)
        rest = [each for each in missing if each not in done]
        passed = (time.monotonic() - started) / 60
        left = estimates.minutes(rest, len(cores))
        print(
            f"[{len(done)}/{len(missing)}, {passed:.0f} min, about {left:.0f} left] {cell.part}: "
            f"{cell.name} on {cell.data} ({found['seconds']:.0f} s)",
            flush=True,
        )

    work = functools.partial(running.finish, candidates=candidates, sources=sources)
    first = [cell for cell in missing if cell in candidates]
    # The best of them takes longest of all, so that it is begun as soon as it is known.
    rest = sorted((cell for cell in missing if cell not in first), key=lambda c: c.name != BEST)
    for some in filter(None, (first, rest)):
        workers.run_all(work, some, cores[: len(some)], sources.out / "compiled", tell)


def _deep_layers() -> int | None:
    if DEEP.rpartition("/")[2] not in packaged_models():
        print(f"{DEEP} is not packaged: its layers are not compared", file=sys.stderr)
        return None
    return recognise(open_checkpoint(DEEP)).stacks["encoder"].layers


def _sources(options: argparse.Namespace, out: pathlib.Path) -> Sources:
    """What the language model needs, as far as it is there; why not is told."""
    file = smollm2.place()
    if not file.is_file():
        print(f"no {SMOLLM2} at {file} (`make smollm2` fetches it): left out", file=sys.stderr)
        return Sources(out=out)
    if options.data is None or options.wikitext is None:
        print(f"no --data, or no --wikitext: {SMOLLM2} is not edited", file=sys.stderr)
        return Sources(out=out)
    found = data_sources.find(options.data, out / "data", DATA_SETS)
    for name in DATA_SETS.keys() - found.keys():
        print(f"{name} is not in {options.data}: left out", file=sys.stderr)
    return Sources(
        out=out, data=tuple(found.items()), corpus=_corpus(options.wikitext, out / "wikitext-2")
    )


def _corpus(wikitext: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Passages of WikiText-2's validation set, evenly spaced, one per line."""
    file = folder / f"passages_{_PASSAGES}.txt"
    if not file.exists():
        text = texts.prepare(wikitext, folder)["validation"].read_text(encoding="utf-8")
        lines = [line.strip() for line in text.splitlines()]
        lines = [texts.plain(line) for line in lines if line and not line.startswith("=")]
        chosen = [lines[i * len(lines) // _PASSAGES] for i in range(_PASSAGES)]
        whole_files.write_text(file, "".join(f"{line}\n" for line in chosen))
    return file


def _same_plan(out: pathlib.Path, plan: Plan) -> None:
    """Keeps cells of two plans from being mixed in one folder."""
    file = out / "plan.txt"
    if file.exists() and file.read_text(encoding="utf-8") != repr(plan):
        raise UserError(f"{out} holds results of another plan; give another --out, or remove it")
    out.mkdir(parents=True, exist_ok=True)
    whole_files.write_text(file, repr(plan))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.editing_study",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/editing_study"))
    parser.add_argument(
        "--plan", choices=list(PLANS), default="default", help="quick: minutes; full: many hours"
    )
    parser.add_argument("--data", type=pathlib.Path, help="folder of data sets, or of tars of them")
    parser.add_argument(
        "--wikitext", type=pathlib.Path, help="folder of WikiText-2, or a tar of it"
    )
    parser.add_argument(
        "--only", nargs="+", metavar="PART", help="methods, trade-off, layers, tracing, row, ..."
    )
    parser.add_argument("--workers", type=int, default=None, help="processes, one per core")
    parser.add_argument(
        "--page",
        type=pathlib.Path,
        default=REPOSITORY / "docs" / "studies" / "editing_study.md",
        help="written",
    )
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.exit(guarded(main))
