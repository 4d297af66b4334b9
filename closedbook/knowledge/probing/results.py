"""The folder of results of a probe: rows, means, figures and a page; whole or not there."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from closedbook.eval.analysis.summarized import Json
from closedbook.eval.report import charts, html
from closedbook.eval.report.text import clip, visible
from closedbook.knowledge import result_folders
from closedbook.knowledge.probing import drawing, groups, result_tables
from closedbook.knowledge.probing.baselines import Baseline
from closedbook.knowledge.probing.families.protocol import AnyPrompting, Model
from closedbook.knowledge.probing.probe import Row, Settings
from closedbook.knowledge.probing.prompts import IN_WORDS
from closedbook.knowledge.probing.summary import summarise
from closedbook.tasks.facts.form import Facts

_TEMPLATES = pathlib.Path(__file__).parent / "templates"
_FIGURES = {  # alternative texts; the numbers stand in a table beside each figure
    "relations": "P@1 of each relation; the table below has the numbers.",
    "curve": "P@k over k; summary.json has the numbers.",
    "parts": "P@1 of each relation by part of the data; summary.json has the numbers.",
}
_KEPT = 1000  # characters of a text on the page


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What a probe found.

    Attributes:
        meta: Model, data, conventions and counts; see `docs/probing.md`.
        summary: Of `summary.summarise`.
        rows: Of `probe`.
        command: Arguments, versions and the model's hash.
    """

    meta: Mapping[str, Any]
    summary: Mapping[str, Any]
    rows: Sequence[Row]
    command: Mapping[str, Json]


def of(
    rows: Sequence[Row],
    facts: Facts,
    model: Model,
    prompting: AnyPrompting[Model],
    settings: Settings,
    *,
    ks: Sequence[int],
    model_name: str,
    arguments: Mapping[str, Any],
    hidden: Mapping[str, Any] | None = None,
    everything: Facts | None = None,
    baselines: Sequence[Baseline] = (),
    retrieved: Sequence[Row] = (),
) -> Result:
    """The result of a probe, with what it must say of itself.

    Args:
        rows: Of `probe`.
        facts: What was asked.
        model: What was asked.
        prompting: How.
        settings: Of the probe.
        ks: Of P@k.
        model_name: As the user names it.
        arguments: Of the command.
        hidden: Of `hidden.states.summarise`, where it was asked for.
        everything: The facts of which `facts` are the first ones, for Freq; `facts` if None.
        baselines: Beside Freq and chance.
        retrieved: For each fact what was retrieved and read for it, where that was asked for.
    """
    candidates = {name: len(each.candidates) for name, each in facts.relations.items()}
    meta = {
        "model": model_name,
        "step": model.step,
        "data": facts.source,
        "facts": len(facts),
        "pairs": sum(candidates[fact.relation] for fact in facts.facts),
        "style": prompting.way,
        "normalise": settings.normalise,
        "conventions": {
            **_conventions(prompting, settings, rows[0]),
            **{each.label: each.words for each in baselines},
        },
        "dropped": dict(facts.dropped),
    }
    command = result_folders.command(model, model_name, arguments)
    summary = summarise(facts, rows, settings, ks=ks, everything=everything, baselines=baselines)
    if "templates" in summary:
        corpora = {relation.corpus for relation in facts.relations.values()}
        own = prompting.way == "sentence" and corpora == {"BEAR"} and settings.normalise == "sum"
        summary["templates"]["name"] = "BEAR score" if own else "mean over templates"
    if hidden is not None:
        summary["hidden"] = hidden
    if retrieved:
        rows = [{**row, "retrieved": each} for row, each in zip(rows, retrieved, strict=True)]
    return Result(meta=meta, summary=summary, rows=rows, command=command)


def _conventions(prompting: AnyPrompting[Model], settings: Settings, first: Row) -> dict[str, str]:
    """Under which rules the numbers were earned, in words."""
    return {
        "Style": f"{prompting.way}: {IN_WORDS[prompting.way]}",
        "A prompt": first["prompt"],
        "A candidate's score": prompting.rule(settings.single)
        + (", per token" if settings.normalise == "length" else ""),
        "Other right objects": "removed from a fact's ranking"
        if settings.others == "removed"
        else "ranked against it, as in LAMA",
        "Ties": "the model's are counted against it; Freq has the mean over orders of equals",
        "P@k of a relation": "only where it has more than k candidates; a mean of P@k is of those "
        "relations alone",
        "Intervals": "95%: Wilson's over the facts of a relation; of means over relations a "
        "bootstrap that draws relations, of fewer than ten Student's, and where all have the same "
        "mean Wilson's with one trial per relation",
    }


def write(result: Result, out: str | os.PathLike[str], *, force: bool = False) -> pathlib.Path:
    """Writes results.jsonl, summary.json, command.json, report.html, figures and tables.

    Args:
        result: What the probe found.
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
        tables=result_tables.of(result.summary),
        force=force,
    )


def render(result: Result) -> str:
    """The page: one HTML file that needs no network."""
    drawn = drawing.specs(result.summary, charts.PAGE)
    return html.page(
        _TEMPLATES / "probe.html",
        script=_TEMPLATES / "probe.js",
        data=_table_data(result),
        meta=result.meta,
        s=result.summary,
        mark=groups.mark,
        any_fewer=groups.any_fewer(result.summary),
        words_of_fewer=groups.FEWER,
        figures={name: html.figure(spec, _FIGURES[name]) for name, spec in drawn.items()},
    )


def _table_data(result: Result) -> dict[str, Any]:
    """The facts as the page's script reads them: one list a row.

    A row holds: id, prompt, right objects, rank, candidates, log-probability, relation, part, the
    best candidates as [text, log-probability, whether right], the free answer or null, whether it
    is right, the answers in all wordings as [prompt, answer, rank], and under the denied prompt
    likewise or null.
    """
    parts = {part["split"]: part["name"] for part in result.summary["parts"]}
    labels = {row["name"]: row["label"] for row in result.summary["relations"]}
    return {
        "parts": [_text(name) for name in parts.values()],
        "rows": [
            [
                _text(row["id"]),
                _text(row["prompt"]),
                [_text(each) for each in row["objects"][:20]],
                row["rank"],
                row["candidates"],
                row["log_prob"],
                _text(labels[row["relation"]]),
                _text(parts.get(row["split"], row["split"])),
                [[_text(c["text"]), c["log_prob"], int(c["right"])] for c in row["top"]],
                _text(row["generated"]["text"]) if "generated" in row else None,
                int(row["generated"]["exact"]) if "generated" in row else None,
                [_worded(each) for each in row.get("wordings", [])],
                _worded(row["negated"]) if "negated" in row else None,
            ]
            for row in result.rows
        ],
    }


def _worded(answer: Mapping[str, Any]) -> list[Json]:
    return [_text(answer["prompt"]), _text(answer["answer"]), answer["rank"]]


def _text(value: Any) -> str:
    return visible(clip(str(value), _KEPT))
