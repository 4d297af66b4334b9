"""Does salient span masking put facts into a model? `make study-ssm`.

    python -m benchmarks.ssm_study --out runs/ssm_study --entity-questions DIR_OR_TAR

Pretrains small T5s on sentences of facts by salient span masking, by random span corruption at
the same budget, and not at all; fine-tunes each on questions about some of the facts and asks
about the others. A run that was stopped goes on where it stopped. At the end it writes
docs/studies/ssm_study.md and its figure.
"""

import argparse
import json
import pathlib
import sys
import time

from benchmarks.ssm_study import cell as cells
from benchmarks.ssm_study import corpora, pool, report
from benchmarks.ssm_study.plan import CORPORA, PLANS, Plan
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
    missing = [
        each for each in wanted if not pool.folder_of(out, each).joinpath(cells.RESULT).exists()
    ]
    if missing:
        made = corpora.prepare(out / "corpora", plan, source)
        corpora.build_caches(made)
        pool.run_all(missing, plan, source, out, workers=options.workers)
    results = [
        json.loads(pool.folder_of(out, each).joinpath(cells.RESULT).read_text(encoding="utf-8"))
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
    parser.add_argument("--workers", type=int, default=None, help="processes, one per core")
    parser.add_argument(
        "--page",
        type=pathlib.Path,
        default=REPOSITORY / "docs" / "studies" / "ssm_study.md",
        help="written",
    )
    return parser.parse_args()


def _same_plan(out: pathlib.Path, plan: Plan) -> None:
    """Keeps cells of two plans from being mixed in one folder."""
    file = out / "plan.txt"
    if file.exists() and file.read_text(encoding="utf-8") != repr(plan):
        raise UserError(f"{out} holds cells of another plan; give another --out, or remove it")
    out.mkdir(parents=True, exist_ok=True)
    file.write_text(repr(plan), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(guarded(main))
