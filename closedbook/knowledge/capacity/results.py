"""The folder of results of a measurement: rows, bits, figures and a page; whole or not there."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from closedbook.eval.analysis.summarized import Json
from closedbook.eval.report import charts, html
from closedbook.eval.report.text import clip, visible
from closedbook.knowledge import result_folders
from closedbook.knowledge.capacity import drawing
from closedbook.knowledge.capacity.bits import FEWEST, FOLDS, RESAMPLES, Bits, Coded
from closedbook.knowledge.capacity.priors import Prior, Priors
from closedbook.knowledge.capacity.sizes import parameters_of
from closedbook.knowledge.capacity.summary import PHRASINGS, code_lengths, summarise
from closedbook.knowledge.probing.families.protocol import AnyPrompting
from closedbook.knowledge.probing.kept_rows import Row
from closedbook.knowledge.probing.prompts import IN_WORDS
from closedbook.knowledge.result_folders import Table
from closedbook.tasks.facts.form import Facts

_TEMPLATES = pathlib.Path(__file__).parent / "templates"
_FIGURES = {  # alternative texts; the numbers stand in a table beside each figure
    "relations": "Bits held of each relation; the table below has the numbers.",
    "parts": "Share of bits held of each part of the data; the table below has the numbers.",
}
_KEPT = 1000  # characters of a text on the page
_PRIORS = {
    "marginal": "the candidates and how often each is right are taken as known, in each part of "
    "the data; a relation is worth log2 of the ways to give its objects to its subjects",
    "uniform": "each object was drawn from the candidates of its relation by a fair die; a fact "
    "is worth log2 of them",
}
_OTHERS = {
    "marginal": "one fact of a subject and relation counts, which a hash chooses; what else is "
    "right for the subject stays a candidate",
    "uniform": "aliases are no candidates; of several right objects of a subject each is asked "
    "without those told before it",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What a measurement found.

    Attributes:
        meta: Model, data, conventions and counts; see `docs/capacity.md`.
        summary: Of `summary.summarise`.
        rows: One per fact.
        command: Arguments, versions and the model's hash.
    """

    meta: Mapping[str, Any]
    summary: Mapping[str, Any]
    rows: Sequence[Row]
    command: Mapping[str, Json]


def of(
    rows: Sequence[Row],
    facts: Facts,
    model: Any,
    prompting: AnyPrompting[Any],
    priors: Priors,
    prior: Prior,
    *,
    model_name: str,
    arguments: Mapping[str, Any],
) -> Result:
    """The result of a measurement, with what it must say of itself.

    Args:
        rows: Of `asking.ask`.
        facts: What was asked.
        model: What was asked.
        prompting: How.
        priors: What the facts are worth.
        prior: By which rule.
        model_name: As the user names it.
        arguments: Of the command.
    """
    lengths = code_lengths(facts, rows, priors)
    meta = {
        "model": model_name,
        "step": model.step,
        "data": facts.source,
        "facts": len(facts),
        "prior": prior,
        "style": prompting.way,
        "phrasings": max(len(row["log2"]) for row in rows),
        "conventions": _conventions(prompting, prior, rows[0]),
        "dropped": dict(facts.dropped),
    }
    return Result(
        meta=meta,
        summary=summarise(facts, lengths, priors, parameters_of(model)),
        rows=[_row(number, facts, row, lengths, priors) for number, row in enumerate(rows)],
        command=result_folders.command(model, model_name, arguments),
    )


def write(result: Result, out: str | os.PathLike[str], *, force: bool = False) -> pathlib.Path:
    """Writes results.jsonl, summary.json, command.json, report.html, figures and tables.

    Args:
        result: What was found.
        out: The folder to make.
        force: Whether to replace results that are there.

    Returns:
        The folder.

    Raises:
        UserError: The folder must not be written (see `check_target`), or the disk refuses.
    """
    return result_folders.write(
        out,
        page=render(result),
        summary={**result.meta, **result.summary},
        rows=result.rows,
        command=result.command,
        figures=drawing.specs(result.summary),
        tables={"relations": _table(result.summary)},
        force=force,
    )


def render(result: Result) -> str:
    """The page: one HTML file that needs no network."""
    drawn = drawing.specs(result.summary, charts.PAGE)
    return html.page(
        _TEMPLATES / "capacity.html",
        script=_TEMPLATES / "capacity.js",
        data=_table_data(result),
        meta=result.meta,
        s=result.summary,
        phrasings=PHRASINGS,
        shown=drawing.shown,
        figures={name: html.figure(spec, _FIGURES[name]) for name, spec in drawn.items()},
    )


def _conventions(prompting: AnyPrompting[Any], prior: Prior, first: Row) -> dict[str, str]:
    """Under which rules the numbers were earned, in words."""
    return {
        "Style": f"{prompting.way}: {IN_WORDS[prompting.way]}",
        "A prompt": first["prompts"][0],
        "A candidate's score": prompting.rule(False)
        + "; scores are made to sum up to 1 over the candidates",
        "What a fact is worth": f"{prior}: {_PRIORS[prior]}",
        "What it costs": "-log2((1 - w) p + w prior) of the right candidate; w is fitted on other "
        f"facts of the relation and part of the data, in {FOLDS} folds of subjects (on those of "
        f"all parts where these are fewer than {FEWEST})",
        "Best phrasing": "chosen for each fold by the others",
        "Other right objects": _OTHERS[prior],
        "Clipping": "bits are summed over a relation, then clipped at 0 once",
        "Intervals": f"95%, {RESAMPLES:,} draws of whole subjects; below ten subjects Student's t, "
        "and Wilson's of equal values",
    }


def _row(number: int, facts: Facts, row: Row, lengths: Coded, priors: Priors) -> Row:
    fact, phrasing = facts.facts[number], int(lengths.phrasing[number])
    chosen = phrasing if phrasing < len(row["log2"]) else 0
    return {
        **{name: getattr(fact, name) for name in ("id", "relation", "split", "subject", "object")},
        "candidates": int(priors.candidates[number]),
        "worth": _rounded(priors.bits[number]),
        "prior": _rounded(priors.log2[number]),
        **{
            name: _rounded(priors.bits[number] - getattr(lengths, name)[number])
            for name in PHRASINGS
        },
        "phrasing": chosen,
        "prompt": row["prompts"][chosen],
        "weight": _rounded(lengths.weight[number]),
        "log2": row["log2"],
    }


def _table(summary: Mapping[str, Any]) -> Table:
    columns = ["relation", "label", "type", "facts", "candidates", "entropy"]
    for name in PHRASINGS:
        columns += [name, f"{name} low", f"{name} high", f"{name} unclipped"]
    rows = []
    for each in summary["relations"]:
        start = [each[name] for name in ("name", "label", "type", "facts", "candidates")]
        values: list[Json] = [*start, each["best"].entropy]
        for name in PHRASINGS:
            found: Bits = each[name]
            values += [found.bits, found.low, found.high, found.unclipped]
        rows.append(values)
    return Table(columns=columns, rows=rows)


def _table_data(result: Result) -> dict[str, Any]:
    """The facts as the page's script reads them: one list a row.

    A row holds: id, prompt, object, relation, part, candidates, what it is worth, bits gained in
    the best phrasing and in the mean, the weight of the prior.
    """
    parts = {part["split"]: part["name"] for part in result.summary["parts"]}
    labels = {row["name"]: row["label"] for row in result.summary["relations"]}
    return {
        "parts": [_text(name) for name in parts.values()],
        "rows": [
            [
                _text(row["id"]),
                _text(row["prompt"]),
                _text(row["object"]),
                _text(labels[row["relation"]]),
                _text(parts.get(row["split"], row["split"])),
                row["candidates"],
                *(row[name] for name in ("worth", "best", "mean", "weight")),
            ]
            for row in result.rows
        ],
    }


def _rounded(value: float) -> float:
    return round(float(value), 5)


def _text(value: Any) -> str:
    return visible(clip(str(value), _KEPT))
