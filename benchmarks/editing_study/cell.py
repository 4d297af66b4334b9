"""Runs one cell; models and cases are kept for the next one of the same process."""

import dataclasses
import functools
import json
import pathlib
import time
from collections.abc import Sequence
from typing import Any

from benchmarks import smollm2
from benchmarks.editing_study.plan import BEST, SMOLLM2, Cell
from closedbook import whole_files
from closedbook.eval.analysis.summarized import plain
from closedbook.knowledge.editing import atlas_edits
from closedbook.knowledge.editing.evaluation import data_cases, run
from closedbook.knowledge.editing.evaluation.cases import Case
from closedbook.knowledge.editing.evaluation.trials import Trial
from closedbook.knowledge.editing.settings import Settings
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.loading import load_model


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sources:
    """Where things lie.

    Attributes:
        out: The study's folder.
        data: Names of `plan.DATA_SETS` and their files.
        corpus: The text of the language model's second moments.
    """

    out: pathlib.Path
    data: tuple[tuple[str, pathlib.Path], ...] = ()
    corpus: pathlib.Path | None = None


def finish(cell: Cell, candidates: Sequence[Cell], sources: Sources) -> dict[str, Any]:
    """Runs a cell and writes its result.

    Args:
        cell: What to run.
        candidates: Cells whose results are there and of which `BEST` takes the best.
        sources: Where things lie.

    Returns:
        What it found, as JSON has it.
    """
    started, spent = time.monotonic(), time.process_time()
    found = _traced(cell) if cell.part == "tracing" else _edited(cell, candidates, sources)
    found["seconds"] = round(time.monotonic() - started, 1)
    found["processor_seconds"] = round(time.process_time() - spent, 1)
    result: dict[str, Any] = plain(found)  # type: ignore[assignment]  # an object of JSON
    whole_files.write_text(sources.out / cell.file, json.dumps(result, indent=1) + "\n")
    return result


@functools.lru_cache(maxsize=2)
def _model(name: str) -> LoadedModel:
    return load_model(str(smollm2.place()) if name == SMOLLM2 else name)


@functools.lru_cache(maxsize=2)
def _atlas_cases(model: str, number: int, others: int | None) -> list[Case]:
    return run.atlas_cases(_model(model), number, others)


def _cases(cell: Cell, sources: Sources) -> list[Case]:
    if cell.data == "atlas":
        return _atlas_cases(cell.model, cell.edits, cell.others)
    file = str(dict(sources.data)[cell.data])
    return data_cases.read(_model(cell.model), file, cell.edits, others=cell.others).cases


def _edited(cell: Cell, candidates: Sequence[Cell], sources: Sources) -> dict[str, Any]:
    """What one cell found: its summary, or its points where it edits in a row."""
    model, chosen = _model(cell.model), cell
    if cell.name == BEST:
        chosen = best(candidates, sources.out)
    settings: Settings = chosen.settings(model)
    (found,) = run.variants(
        model,
        _cases(cell, sources),
        {cell.name: settings},
        0 if cell.points else cell.edits,
        cell.points,
        None if cell.data == "atlas" else sources.corpus,
    )
    told: dict[str, Any] = {
        "part": cell.part,
        "name": cell.name if chosen is cell else f"{chosen.name}, the best",
        "model": cell.model,
        "data": cell.data,
        "edits": cell.edits,
    }
    if cell.points:
        return told | {"points": found.points}
    edits = {trial.id: _shares(trial) for trial in found.trials}
    return told | {"summary": found.summary, "by_edit": edits}


def _shares(trial: Trial) -> dict[str, float | None]:
    """Of one edit the shares of rephrasings with the target, and of the subject's facts kept."""
    shares = {}
    for name, group in (("told", "rephrasings"), ("kept", "same subject")):
        hits = trial.hits.get(group, [])
        shares[name] = sum(hits) / len(hits) if hits else None
    return shares


def best(candidates: Sequence[Cell], out: pathlib.Path) -> Cell:
    """The cell that has most prompts right and most other facts kept after its last edit."""

    def score(cell: Cell) -> float:
        last = json.loads((out / cell.file).read_text(encoding="utf-8"))["points"][-1]
        return float(last["told"]["prompt"]["mean"] + last["kept"]["mean"])

    return max(candidates, key=score)


def _traced(cell: Cell) -> dict[str, Any]:
    """Causal effects of the subject's last token by layer, of the facts that `layers` edits."""
    from closedbook.knowledge.probing.prompts import Prompting
    from closedbook.knowledge.tracing import cases, kinds
    from closedbook.knowledge.tracing.noise import Noise, sigma
    from closedbook.knowledge.tracing.program import Tracer
    from closedbook.knowledge.tracing.trace import trace

    model = _model(cell.model)
    edited = {case.edit.id for case in run.atlas_cases(model, cell.edits, 1)}
    facts = atlas_edits.questions()
    known, _, _ = cases.of_facts(
        model, facts.keep([f for f in facts.facts if f.id in edited]), Prompting.of(model)
    )
    tracer = Tracer(model)
    wanted = kinds.chosen(model.config, ["encoder.mlp", "encoder.state"])
    level = 3 * sigma(model, list(dict.fromkeys(fact.subject for fact in facts.facts)))
    effects = {}
    for case in known:
        found = trace(tracer, case, wanted, noise=Noise(level=level), width=1)
        effects[case.id] = {
            kind.name: found.effects(kind.name)[case.prompt.last].tolist() for kind in wanted
        }
    told = {"part": cell.part, "name": cell.name, "model": cell.model, "data": cell.data}
    return {**told, "edits": cell.edits, "effects": effects}
