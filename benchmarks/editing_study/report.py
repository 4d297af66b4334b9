"""The study's page: tables in Markdown, two figures."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.editing_study import language_model, layers, tables
from benchmarks.editing_study.plan import Plan
from closedbook import whole_files
from closedbook.eval.report import charts
from closedbook.knowledge.editing.evaluation import drawing
from closedbook.knowledge.editing.evaluation.summary import PUBLISHED

_FREE = ("prompt", "phrasings in the edit", "rephrasings", "same subject", "same relation")
_SHARES = ("prompts with their targets", "other facts kept")  # solid, dashed
_RIPPLE = (
    "inverse of the new object",
    "inverse of the old object",
    "two hops from the target",
    "negated prompt",
)
_HEAD = """# What an edit costs

`make study-editing` writes this page. Every edit puts a false object of the same relation into a
fact that the packaged model knows, and is made of the stored original; answers are free and greedy,
right by exact match, in percent with 95% intervals that draw whole edits. *Kept*: of the questions
that the original answers right, how many are right after the edit. Rephrasings are wordings that
neither fine-tuning nor the edit used. How edits are made: [editing.md](../editing.md).

"""


def write(results: Sequence[Mapping[str, Any]], plan: Plan, page: pathlib.Path) -> pathlib.Path:
    """Writes the page and its figures beside it, in `images/`; parts without results are left out.

    Args:
        results: Of the cells.
        plan: How much was done.
        page: The Markdown file.
    """
    parts: dict[str, list[Mapping[str, Any]]] = {}
    for each in results:
        parts.setdefault(each["part"], []).append(each)
    images = page.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    seconds = sum(each["processor_seconds"] for each in results)
    text = _HEAD + (
        f"Plan `{plan.name}`: {plan.methods} single edits of each method, {plan.trade_off} of each "
        f"setting, {plan.layers} of each layer, {plan.others} other facts after each; "
        f"{len(results)} cells, {seconds / 60:.0f} minutes of processor time.\n"
    )
    files: dict[str, charts.Spec] = {}
    if "methods" in parts:
        text += "\n## Methods\n\n" + _singles(parts["methods"])
        text += "\n### What follows from an edit\n\n" + _ripples(parts["methods"])
        text += "\n### The papers' teacher-forced measures\n\n" + _forced(parts["methods"])
        text += "\n### MEND's and KnowledgeEditor's measures, by free answers\n\n"
        text += _published(parts["methods"])
    if "trade-off" in parts:
        text += "\n## The trade-off\n\n![Told against kept](images/editing_trade_off.svg)\n\n"
        text += _singles(parts["trade-off"])
        files["editing_trade_off"] = _trade_off(parts["trade-off"])
    if "layers" in parts:
        text += "\n## Layers of the deep model\n\n" + _singles(parts["layers"])
        text += layers.section(parts["layers"], parts.get("tracing", []))
    if "row" in parts:
        text += "\n## Edits in a row\n\n![Edits in a row](images/editing_row.svg)\n\n"
        text += _rows(parts["row"])
        files["editing_row"] = _in_row(parts["row"])
    if "language model" in parts:
        text += language_model.section(parts["language model"])
    for name, spec in files.items():
        whole_files.write_text(images / f"{name}.svg", charts.svg({**spec, "background": "white"}))
    whole_files.write_text(page, text)
    return page


def _singles(results: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for each in results:
        s = each["summary"]
        count = s["counts"].get("all others", {"lost": 0, "questions": 0})
        lost = 100 * count["lost"] / max(count["questions"], 1)
        cells = [tables.estimate(s["free"].get(group)) for group in _FREE]
        rows.append(
            [
                each["name"],
                *cells,
                f"{lost:.2f} ({count['lost']} of {count['questions']})",
                f"{s['seconds']:.1f}",
            ]
        )
    return tables.table(["", *_FREE, "all others lost", "s per edit"], rows)


def _ripples(results: Sequence[Mapping[str, Any]]) -> str:
    first = results[0]["summary"]
    rows = [["the original", *(tables.estimate(first["before"].get(group)) for group in _RIPPLE)]]
    for each in results:
        free = each["summary"]["free"]
        rows.append([each["name"], *(tables.estimate(free.get(group)) for group in _RIPPLE)])
    return tables.table(["", *_RIPPLE], rows)


def _forced(results: Sequence[Mapping[str, Any]]) -> str:
    names = ("ES", "PS", "NS", "EM", "PM", "NM")
    rows = []
    for each in results:
        s = each["summary"]
        cells = [tables.estimate(s["forced"].get(name)) for name in names]
        score = "–" if s["S"] is None else f"{100 * s['S']:.1f}"
        rows.append([each["name"], *cells, score])
    return tables.table(["", *names, "S"], rows)


def _published(results: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            each["name"],
            *(tables.estimate(each["summary"]["published"].get(name)) for name in PUBLISHED),
        ]
        for each in results
    ]
    return tables.table(["", *PUBLISHED], rows)


def _rows(results: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            each["name"],
            f"{point['edits']:,}",
            tables.estimate(point["told"]["prompt"]),
            tables.estimate(point["told"].get("rephrasings")),
            tables.estimate(point["kept"]),
            f"{max(point['norms'].values()):.2f}",
            "yes" if point["collapsed"] else "no",
        ]
        for each in results
        for point in each["points"]
    ]
    heads = ["", "edits", "prompt", "rephrasings", "others kept", "|W| / original", "collapsed"]
    return tables.table(heads, rows)


def _trade_off(results: Sequence[Mapping[str, Any]]) -> charts.Spec:
    points = [
        {
            "name": each["name"],
            "told": free["rephrasings"]["mean"],
            "kept": free["same subject"]["mean"],
        }
        for each in results
        if {"rephrasings", "same subject"} <= set(free := each["summary"]["free"])
    ]
    return drawing.trade_off(charts.PAPER, points, height=300)


def _in_row(results: Sequence[Mapping[str, Any]]) -> charts.Spec:
    points = [
        {"name": each["name"], "edits": point["edits"], "share": share["mean"], "what": what}
        for each in results
        for point in each["points"]
        for what, share in zip(_SHARES, (point["told"]["prompt"], point["kept"]), strict=True)
    ]
    return drawing.in_row(
        charts.PAPER,
        "Edits in a row: prompts with their targets (solid), other facts kept (dashed)",
        points,
        height=300,
        others={
            "strokeDash": {
                "field": "what",
                "type": "nominal",
                "title": None,
                "scale": {"domain": list(_SHARES), "range": [[1, 0], [5, 4]]},
            }
        },
    )
