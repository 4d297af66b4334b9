"""What does an edit cost, and how many does a model bear? `make study-editing`.

    python -m benchmarks.editing_study --out runs/editing_study

Edits the packaged model in every way of `plan.py`: false objects for facts that it knows. A run
that was stopped goes on where it stopped. At the end it writes docs/studies/editing_study.md, its
figures and its tables.
"""

import argparse
import json
import pathlib
import sys
import time
from typing import Any

from benchmarks.editing_study import report
from benchmarks.editing_study.plan import DEEP, PLANS, Cell, Plan, cells
from closedbook import whole_files
from closedbook.checkpoints import packaged_models
from closedbook.cli.run import guarded
from closedbook.errors import UserError
from closedbook.eval.analysis.summarized import plain
from closedbook.knowledge.editing.evaluation import run
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.loading import load_model

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent


def main() -> None:
    """Runs what is missing, then writes the page."""
    options = _options()
    out = options.out.expanduser().absolute()
    plan = PLANS[options.plan]
    deep = DEEP.rpartition("/")[2] in packaged_models()
    if not deep:
        print(f"{DEEP} is not packaged: its layers are not compared", file=sys.stderr)
    models: dict[str, LoadedModel] = {}
    layers = _loaded(models, DEEP).config.stacks["encoder"].layers if deep else None
    wanted = cells(layers)
    _same_plan(out, options.plan)
    started = time.monotonic()
    missing = [cell for cell in wanted if not (out / cell.file).exists()]
    for number, cell in enumerate(missing, 1):
        found = run_cell(cell, _loaded(models, cell.model), plan)
        whole_files.write_text(out / cell.file, json.dumps(found, indent=1) + "\n")
        minutes = (time.monotonic() - started) / 60
        print(f"[{number}/{len(missing)}, {minutes:.0f} min] {cell.part}: {cell.name}", flush=True)
    results = [json.loads((out / cell.file).read_text(encoding="utf-8")) for cell in wanted]
    print(report.write(results, plan, options.page))


def _loaded(models: dict[str, LoadedModel], name: str) -> LoadedModel:
    if name not in models:
        models[name] = load_model(name)
    return models[name]


def run_cell(cell: Cell, model: LoadedModel, plan: Plan) -> dict[str, Any]:
    """What one cell found: its summary, or its points where it edits in a row."""
    in_row = cell.part == "row"
    number = max(plan.points) if in_row else plan.edits
    cases = run.atlas_cases(model, number, plan.others)
    (found,) = run.variants(
        model,
        cases,
        {cell.name: cell.settings(model)},
        0 if in_row else plan.edits,
        plan.points if in_row else (),
    )
    told: dict[str, Any] = {"part": cell.part, "name": cell.name, "model": cell.model}
    told |= {"points": found.points} if in_row else {"summary": found.summary}
    return plain(told)  # type: ignore[return-value]  # an object of JSON


def _same_plan(out: pathlib.Path, name: str) -> None:
    file = out / "plan"
    if not file.exists():
        out.mkdir(parents=True, exist_ok=True)
        whole_files.write_text(file, name + "\n")
    before = file.read_text(encoding="utf-8").strip()
    if before != name:
        raise UserError(f"{out} holds results of the plan {before}; give another --out")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.editing_study",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=pathlib.Path, default=REPOSITORY / "runs" / "editing_study")
    parser.add_argument("--plan", choices=PLANS, default="full", help="how much is edited")
    parser.add_argument(
        "--page", type=pathlib.Path, default=REPOSITORY / "docs" / "studies" / "editing_study.md"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(guarded(main))
