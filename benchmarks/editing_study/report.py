"""The study's page: tables in Markdown, two figures."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.editing_study.plan import Plan
from closedbook import whole_files
from closedbook.eval.report import charts
from closedbook.knowledge.editing.evaluation import drawing

_FREE = ("prompt", "phrasings in the edit", "rephrasings", "same subject", "same relation")
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
    """Writes the page and its figures beside it, in `images/`.

    Args:
        results: Of all cells.
        plan: How much was done.
        page: The Markdown file.
    """
    parts: dict[str, list[Mapping[str, Any]]] = {}
    for each in results:
        parts.setdefault(each["part"], []).append(each)
    images = page.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    text = _HEAD + f"{plan.edits} single edits of each way, {plan.others} other facts after each.\n"
    text += "\n## Methods\n\n" + _singles(parts["methods"])
    text += "\n### What follows from an edit\n\n" + _ripples(parts["methods"])
    text += "\n### The papers' teacher-forced measures\n\n" + _forced(parts["methods"])
    text += "\n## The trade-off\n\n![Told against kept](images/editing_trade_off.svg)\n\n"
    text += _singles(parts["trade-off"])
    if "layers" in parts:
        text += "\n## Layers of the deep model\n\n" + _singles(parts["layers"])
    text += "\n## Edits in a row\n\n![Edits in a row](images/editing_row.svg)\n\n"
    text += _rows(parts["row"])
    files = {
        "editing_trade_off": _trade_off(parts["trade-off"]),
        "editing_row": _in_row(parts["row"]),
    }
    for name, spec in files.items():
        whole_files.write_text(images / f"{name}.svg", charts.svg({**spec, "background": "white"}))
    whole_files.write_text(page, text)
    return page


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def _estimate(value: Mapping[str, float] | None) -> str:
    if value is None:
        return "–"
    return f"{100 * value['mean']:.1f} [{100 * value['low']:.1f}, {100 * value['high']:.1f}]"


def _singles(results: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for each in results:
        s = each["summary"]
        count = s["counts"].get("all others", {"lost": 0, "questions": 0})
        lost = 100 * count["lost"] / max(count["questions"], 1)
        cells = [_estimate(s["free"].get(group)) for group in _FREE]
        rows.append(
            [
                each["name"],
                *cells,
                f"{lost:.2f} ({count['lost']} of {count['questions']})",
                f"{s['seconds']:.1f}",
            ]
        )
    return _table(["", *_FREE, "all others lost", "s per edit"], rows)


def _ripples(results: Sequence[Mapping[str, Any]]) -> str:
    first = results[0]["summary"]
    rows = [["the original", *(_estimate(first["before"].get(group)) for group in _RIPPLE)]]
    for each in results:
        free = each["summary"]["free"]
        rows.append([each["name"], *(_estimate(free.get(group)) for group in _RIPPLE)])
    return _table(["", *_RIPPLE], rows)


def _forced(results: Sequence[Mapping[str, Any]]) -> str:
    names = ("ES", "PS", "NS", "EM", "PM", "NM")
    rows = []
    for each in results:
        s = each["summary"]
        cells = [_estimate(s["forced"].get(name)) for name in names]
        score = "–" if s["S"] is None else f"{100 * s['S']:.1f}"
        mend = s["mend"]
        rows.append(
            [
                each["name"],
                *cells,
                score,
                *(f"{100 * mend[key]:.2f}" for key in ("drawdown", "retain rate")),
            ]
        )
    return _table(["", *names, "S", "drawdown", "retain rate"], rows)


def _rows(results: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            each["name"],
            f"{point['edits']:,}",
            _estimate(point["told"]["prompt"]),
            _estimate(point["told"].get("rephrasings")),
            _estimate(point["kept"]),
            f"{max(point['norms'].values()):.2f}",
            "yes" if point["collapsed"] else "no",
        ]
        for each in results
        for point in each["points"]
    ]
    heads = ["", "edits", "prompt", "rephrasings", "others kept", "|W| / original", "collapsed"]
    return _table(heads, rows)


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
        for what, share in (
            ("others kept", point["kept"]),
            ("prompts with their targets", point["told"]["prompt"]),
        )
    ]
    return drawing.in_row(
        charts.PAPER,
        "Edits in a row: prompts with their targets (solid), other facts kept (dashed)",
        points,
        height=300,
        others={"strokeDash": {"field": "what", "type": "nominal", "title": None}},
    )
