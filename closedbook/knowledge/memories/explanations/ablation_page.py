"""The folder of results of an ablation: a row per fact, the falls as a figure, and a page."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence

from closedbook.eval.analysis.summarized import Json
from closedbook.eval.intervals import Estimate
from closedbook.eval.report import charts, html
from closedbook.knowledge import result_folders
from closedbook.knowledge.memories.explanations.ablation import Row, Settings, summarise
from closedbook.knowledge.result_folders import Table

_TEMPLATES = pathlib.Path(__file__).parent / "templates"
IN_WORDS = {
    "top": "those that add most",
    "random": "random active ones",
    "matched": "random active ones in the same layers and at the same positions",
    "top - random": "those that add most, less random ones",
    "top - matched": "those that add most, less random ones of the same layers and positions",
}
_SHORT = {
    "top": "those that add most",
    "random": "random active ones",
    "matched": "same layers and positions",
    "top - random": "most less random",
    "top - matched": "most less same places",
}


def write(
    rows: Sequence[Row],
    settings: Settings,
    command: Mapping[str, Json],
    out: str | os.PathLike[str],
    *,
    model_name: str,
    source: str,
    force: bool = False,
) -> pathlib.Path:
    """Writes report.html, summary.json, results.jsonl, command.json, figures and tables.

    Args:
        rows: Of `ablation.ablate`.
        settings: What was silenced.
        command: Of `result_folders.command`.
        out: The folder to make.
        model_name: As the user names it.
        source: Where the facts are from.
        force: Whether to replace results that are there.

    Returns:
        The folder.

    Raises:
        UserError: The folder must not be written (see `check_target`), or the disk refuses.
    """
    falls = summarise(rows)
    page = html.page(
        _TEMPLATES / "ablate.html",
        script=_TEMPLATES / "ablate.js",
        data={
            "rows": [
                [row.id, row.relation, row.log_prob, row.top, row.random, row.matched]
                for row in rows
            ]
        },
        falls=falls,
        in_words=IN_WORDS,
        settings=settings,
        facts=len(rows),
        larger=sum(row.top > row.random for row in rows) / len(rows),
        model=model_name,
        source=source,
        figure=html.figure(
            figure(falls, charts.PAGE),
            "Dots with intervals of each fall; the table below has the numbers.",
        ),
    )
    return result_folders.write(
        out,
        page=page,
        summary={
            "model": model_name,
            "facts": source,
            "n": len(rows),
            **dataclasses.asdict(settings),
            "falls": falls,
        },
        rows=map(dataclasses.asdict, rows),
        command=command,
        figures={"falls": figure(falls, charts.PAPER)},
        tables={"falls": _table(falls, len(rows))},
        force=force,
    )


def _table(falls: Mapping[str, Estimate], facts: int) -> Table:
    columns = ("silenced", "mean", "low", "high", "n")
    rows: list[list[Json]] = [
        [name, each.mean, each.low, each.high, facts] for name, each in falls.items()
    ]
    return Table(columns, rows)


def figure(falls: Mapping[str, Estimate], palette: Mapping[str, str]) -> charts.Spec:
    """The falls of the log-probability with their intervals, as Vega-Lite.

    Args:
        falls: Of `ablation.summarise`.
        palette: `charts.PAGE` or `charts.PAPER`.
    """
    data = [
        {
            "name": _SHORT[name],
            "mean": each.mean,
            "low": each.low,
            "high": each.high,
            "label": f"{IN_WORDS[name]}: {each.mean:.4f} [{each.low:.4f}, {each.high:.4f}] nats",
        }
        for name, each in falls.items()
    ]
    x = {
        "field": "mean",
        "type": "quantitative",
        "title": "fall of the answer's log-probability, nats",
    }
    point = {"type": "point", "filled": True, "size": 55, "color": palette["accent"], "opacity": 1}
    return charts.chart(
        palette,
        "By how much the answer's log-probability falls when memories are silenced",
        data=data,
        height={"step": 26},
        encoding={
            "y": {"field": "name", "type": "nominal", "sort": None, "axis": charts.category_axis()}
        },
        layer=[
            charts.whiskers("x", palette["ink"]),
            {"mark": point, "encoding": {"x": x, "description": {"field": "label"}}},
        ],
    )
