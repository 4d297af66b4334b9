"""The folder of results of an explanation: rows that add up, figures and a page."""

import dataclasses
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from closedbook.eval.analysis.summarized import Json
from closedbook.eval.report import charts, html
from closedbook.eval.report.text import clip, inline, visible
from closedbook.knowledge import result_folders
from closedbook.knowledge.memories.explanations.explain import Explanation, Memory, Part
from closedbook.knowledge.memories.explanations.strongest import Strong
from closedbook.knowledge.result_folders import Table

_TEMPLATES = pathlib.Path(__file__).parent / "templates"
_ROWS = 20_000  # memories that results.jsonl lists one by one; the others are one row
_KEPT = 300  # characters of a text on the page
_FIGURES = {
    "parts": "Bars of what each part adds to the logit; the table below has the numbers.",
    "encoder": "Bars of what each part of the encoder adds; the table below has the numbers.",
    "reads": "Bars of what attention adds by reading each token; summary.json has the numbers.",
}


def write(
    explanation: Explanation,
    strong: Mapping[str, Sequence[Strong]],
    command: Mapping[str, Json],
    out: str | os.PathLike[str],
    *,
    model_name: str,
    indexed: bool,
    force: bool = False,
) -> pathlib.Path:
    """Writes report.html, summary.json, results.jsonl, command.json, figures and tables.

    Args:
        explanation: What is written.
        strong: Its strongest memories, by stack.
        command: Of `result_folders.command`.
        out: The folder to make.
        model_name: As the user names it.
        indexed: Whether there is an index of triggers.
        force: Whether to replace results that are there.

    Returns:
        The folder.

    Raises:
        UserError: The folder must not be written (see `check_target`), or the disk refuses.
    """
    return result_folders.write(
        out,
        page=render(explanation, strong, model_name=model_name, indexed=indexed),
        summary=summary(explanation, model_name, strong),
        rows=rows(explanation),
        command=command,
        figures=figures(explanation, charts.PAPER),
        tables={"parts": _table(explanation.parts), "encoder": _table(explanation.encoder_parts)},
        force=force,
    )


def summary(
    explanation: Explanation, model_name: str, strong: Mapping[str, Sequence[Strong]]
) -> dict[str, Any]:
    """What is explained, its parts and its strongest memories, as JSON has them."""
    return {
        "model": model_name,
        "question": explanation.question,
        "answer": explanation.answer.text,
        "own_answer": explanation.answer.own,
        "answer_probability": explanation.answer_probability,
        "tokens": list(explanation.tokens),
        "token": explanation.place + 1,
        "probability": explanation.probability,
        "logit": explanation.logit,
        "against": explanation.against,
        "explained": explanation.explained,
        "sum": explanation.explained - explanation.error,
        "parts": [dataclasses.asdict(part) for part in explanation.parts],
        "encoder_parts": [dataclasses.asdict(part) for part in explanation.encoder_parts],
        "reads": {
            site: [dataclasses.asdict(read) for read in reads]
            for site, reads in explanation.reads.items()
        },
        "memories": {stack: [_as_json(each) for each in found] for stack, found in strong.items()},
    }


def _as_json(strong: Strong) -> dict[str, Any]:
    return {
        "name": strong.memory.name,
        **dataclasses.asdict(strong.memory),
        "writes": list(strong.writes),
        "triggers": [dataclasses.asdict(trigger) for trigger in strong.triggers],
    }


def rows(explanation: Explanation) -> Iterator[dict[str, Any]]:
    """A row per part; those of one stack add up to what `of` names.

    Of the stack that writes answers: to the explained number. Of an encoder: to what all
    cross-attention heads add. Memories beyond the 20,000 strongest are one row.
    """
    own = {part.stack for part in explanation.parts}

    def of(stack: str) -> str:
        return "logit" if stack in own else "cross_attention"

    for part in (*explanation.parts, *explanation.encoder_parts):
        if part.kind not in ("heads", "memories"):
            yield {**dataclasses.asdict(part), "of": of(part.stack)}
    for head in explanation.heads:
        yield {"kind": "head", **dataclasses.asdict(head), "of": of(head.stack)}
    rest: dict[str, list[Memory]] = {}
    for number, memory in enumerate(explanation.memories):
        if number < _ROWS:
            row = {"kind": "memory", "name": memory.name, **dataclasses.asdict(memory)}
            yield {**row, "of": of(memory.stack)}
        else:
            rest.setdefault(memory.stack, []).append(memory)
    for stack, memories in rest.items():
        value = sum(memory.value for memory in memories)
        name = f"{len(memories):,} other memories"
        yield {
            "kind": "memories",
            "stack": stack,
            "name": name,
            "value": value,
            "of": of(stack),
        }


def render(
    explanation: Explanation,
    strong: Mapping[str, Sequence[Strong]],
    *,
    model_name: str,
    indexed: bool,
) -> str:
    """The page: one HTML file that needs no network."""
    drawn = figures(explanation, charts.PAGE)
    return html.page(
        _TEMPLATES / "explain.html",
        script=_TEMPLATES / "explain.js",
        data=_data(explanation),
        e=explanation,
        strong=strong,
        model=model_name,
        indexed=indexed,
        signed=lambda value: f"{value:+.3f}",
        across=sum(part.value for part in explanation.encoder_parts),
        figures={name: html.figure(spec, _FIGURES[name]) for name, spec in drawn.items()},
    )


def _data(explanation: Explanation) -> dict[str, Any]:
    """The memories as the page's script reads them: name, token, position, coefficient, value."""
    return {
        "rows": [
            [
                memory.name,
                visible(clip(memory.token, _KEPT)),
                memory.position,
                memory.coefficient,
                memory.value,
                f"{memory.stack}, layer {memory.layer}",
            ]
            for memory in explanation.memories[:1000]
        ]
    }


def _table(parts: Sequence[Part]) -> Table:
    columns = ("stack", "layer", "kind", "name", "value")
    return Table(columns, [[p.stack, p.layer, p.kind, p.name, p.value] for p in parts])


def figures(explanation: Explanation, palette: Mapping[str, str]) -> dict[str, charts.Spec]:
    """Bars of the parts, of the encoder's parts, and of what attention reads, by name."""
    found = {"parts": _bars(explanation.parts, palette, "what each part adds to the logit")}
    if explanation.encoder_parts:
        words = "what each part of the encoder adds through cross-attention"
        found["encoder"] = _bars(explanation.encoder_parts, palette, words)
    read = _readings(explanation)
    if read:
        found["reads"] = _chart(read, palette, "what attention adds by reading each token")
    return found


def _bars(parts: Sequence[Part], palette: Mapping[str, str], words: str) -> charts.Spec:
    return _chart([(part.label, part.value) for part in parts], palette, words)


def _readings(explanation: Explanation) -> list[tuple[str, float]]:
    """The tokens of the attention that reads the input, in order; the 24 strongest."""
    if not explanation.reads:
        return []
    reads = list(explanation.reads.values())[-1]
    least = sorted((abs(read.value) for read in reads), reverse=True)[:24][-1:]
    return [
        (f"{read.position} {inline(read.token, 24)}", read.value)
        for read in reads
        if least and abs(read.value) >= least[0]
    ]


def _chart(
    values: Sequence[tuple[str, float]], palette: Mapping[str, str], words: str
) -> charts.Spec:
    data = [
        {"name": name, "value": value, "label": f"{name}: {value:+.3f}"} for name, value in values
    ]
    y = {"field": "name", "type": "nominal", "sort": None, "axis": charts.category_axis()}
    x = {"field": "value", "type": "quantitative", "title": "adds to the logit"}
    return charts.chart(
        palette,
        words[0].upper() + words[1:],
        data=data,
        height={"step": 19},
        encoding={"y": y},
        layer=[
            {
                "mark": {"type": "bar", "height": 11, "color": palette["accent"]},
                "encoding": {
                    "x": x,
                    "description": {"field": "label"},
                    "opacity": {
                        "condition": {"test": "datum.value < 0", "value": 0.45},
                        "value": 1,
                    },
                },
            },
        ],
    )
