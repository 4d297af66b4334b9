"""Asks one model about one data set; what is done stays when it is killed."""

import pathlib
import statistics
import time
from collections.abc import Mapping
from typing import Any

from benchmarks.lama_study import asking, measures
from benchmarks.lama_study.plan import DATA_SETS, SMOLLM2, Cell
from closedbook.errors import UserError
from closedbook.eval.analysis.summarized import plain
from closedbook.knowledge import result_folders
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.probing import correlation, metrics, results, tables
from closedbook.knowledge.probing import probe as probing
from closedbook.knowledge.probing.prompts import Prompting
from closedbook.knowledge.probing.scoring import Answers, CandidateScorer
from closedbook.tasks.facts.form import Facts

_BATCH = 64  # prompts whose scores over the whole vocabulary are held at once


def run(
    cell: Cell,
    model: LoadedModel,
    place: pathlib.Path | None,
    limit: int | None,
    folder: pathlib.Path,
) -> dict[str, Any]:
    """Runs a cell.

    Args:
        cell: What to run.
        model: The loaded model of the cell.
        place: Where the data lies; None for the atlas.
        limit: Facts of each relation; None: all.
        folder: The cell's own: `probe` in it gets the report of the probe.

    Returns:
        What the page needs, as JSON has it.
    """
    started = time.monotonic()
    data = DATA_SETS[cell.data]
    prompting = Prompting.of(model, data.way)
    everything = asking.read(cell.data, place, prompting)
    facts = asking.sample(everything, limit)
    found: dict[str, Any] = {
        "model": cell.model,
        "data": cell.data,
        "kind": data.kind,
        "style": prompting.way,
        "dropped": {reason: number for reason, number in facts.dropped.items() if number},
        "of": len(everything),
        "facts": len(facts),
        "relations": len(facts.relations),
    }
    if data.kind == "first token":
        found |= _first_token(model, prompting, facts)
    else:
        found |= _probed(cell, model, prompting, facts, everything, folder)
    return found | {"seconds": round(time.monotonic() - started, 1)}


def _probed(
    cell: Cell,
    model: LoadedModel,
    prompting: Prompting,
    facts: Facts,
    everything: Facts,
    folder: pathlib.Path,
) -> dict[str, Any]:
    kind = DATA_SETS[cell.data].kind
    settings = probing.Settings(
        others="ranked" if kind == "words" else "removed",
        single=kind != "closed",
        generate=prompting.way == "question" and cell.model != SMOLLM2,
        paraphrases=kind == "paraphrases",
    )
    out = folder / "probe"
    with result_folders.unfinished(out) as kept:
        rows = probing.probe(model, facts, prompting, settings, keep=kept)
        result = results.of(
            rows,
            facts,
            model,
            prompting,
            settings,
            ks=tables.KS,
            model_name=cell.model,
            everything=everything,
            arguments={"cell": cell.name},
        )
        results.write(result, out, force=True)
    summary = result.summary
    places = probing.places_of(rows, settings.normalise)
    sizes = [len(each.candidates) for each in facts.relations.values()]
    return {
        "candidates": [min(sizes), statistics.median(sizes), max(sizes)],
        "means": plain(summary["all"]["model"]),
        "pooled": plain(summary["pooled"]["model"]),
        "freq": plain(summary["all"]["freq"]),
        "chance": plain(summary["all"]["chance"]),
        "types": plain([{"name": t["name"], **t["model"]} for t in summary["types"]]),
        "sizes": measures.by_size(places, [fact.relation for fact in facts.facts]),
        "correlations": summary["correlations"],
        "wordings": _wordings(summary.get("wordings")),
        "strangers": measures.strangers(facts, everything, rows),
    }


def _wordings(found: Mapping[str, Any] | None) -> dict[str, Any]:
    """ParaRel's measures, of how many prompts; nothing where other wordings were not asked for."""
    return {} if found is None else {"prompts": found["prompts"], **plain(found["all"])}


def _first_token(model: LoadedModel, prompting: Prompting, facts: Facts) -> dict[str, Any]:
    """Where the first piece of each object stands in the whole vocabulary."""
    vocabulary = model.vocabulary.vocab_size
    every = Answers(pieces=tuple((piece,) for piece in range(vocabulary)))
    gold = [pieces[0] for pieces in _spelled(prompting, facts)]
    scorer = CandidateScorer(model.module, model.params)
    inputs = prompting.inputs(facts.facts)
    parts, best = [], []
    for first in range(0, len(inputs), _BATCH):
        chosen = slice(first, first + _BATCH)
        scores = scorer(inputs[chosen], every)
        parts.append(metrics.places(scores, gold[chosen]))
        best += scores.max(axis=1).tolist()
    found = metrics.joined(parts)
    relations = [fact.relation for fact in facts.facts]
    table = tables.table(tables.measured(found), relations)
    subjects = prompting.spelled([fact.subject for fact in facts.facts])
    read = [len(pieces) for _, pieces in subjects]
    rows = [
        {**_row(*each), "candidates": vocabulary}
        for each in zip(metrics.rank(found), best, read, strict=True)
    ]
    return {
        "candidates": [vocabulary, vocabulary, vocabulary],
        "means": {name: measures.estimate(each) for name, each in table.all.items()},
        "pooled": {name: measures.estimate(each) for name, each in table.pooled.items()},
        "freq": {},
        "chance": {"P@1": 1 / vocabulary},
        "types": [],
        "sizes": measures.by_size(found, relations),
        "correlations": correlation.explained(facts, facts, rows),
        "wordings": {},
        "strangers": None,
    }


def _row(rank: float, best: float, subject_tokens: int) -> dict[str, Any]:
    """What correlations need of a row of a probe; what never varies has none."""
    return {
        "rank": int(rank),
        "tokens": 1,
        "subject_tokens": subject_tokens,
        "log_prob": 0.0,
        "top": [{"log_prob": best}],
    }


def _spelled(prompting: Prompting, facts: Facts) -> list[tuple[int, ...]]:
    found = prompting.spelled([fact.object for fact in facts.facts])
    for name, pieces in found:
        if not pieces:
            raise UserError(f"the model cannot write {name!r}, the object of a known fact")
    return [pieces for _, pieces in found]
