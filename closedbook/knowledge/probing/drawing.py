"""The figures of a probe, as Vega-Lite in the report's house style."""

from collections.abc import Mapping
from typing import Any

from closedbook.eval.report import charts, numbers
from closedbook.eval.report.text import inline

_FIRST = "P@1"
_NAME = {"field": "name", "type": "nominal", "sort": None}


def specs(
    summary: Mapping[str, Any], palette: Mapping[str, str] = charts.PAPER
) -> dict[str, charts.Spec]:
    """The figures that the summary has numbers for, by name.

    Args:
        summary: Of `summary.summarise`.
        palette: Colours and font: `charts.PAGE` or `charts.PAPER`.
    """
    rows = [row for row in summary["relations"] if _first(summary) in row["model"]]
    made = {}
    if rows:
        made["relations"] = _relations(summary, rows, palette)
    if len(summary["curve"]) > 1:
        made["curve"] = _curve(summary, palette)
    if len(summary["parts"]) > 1 and rows:
        made["parts"] = _parts(summary, palette)
    return made


def _first(summary: Mapping[str, Any]) -> str:
    return _FIRST if _FIRST in summary["metrics"] else summary["metrics"][0]


def _relations(
    summary: Mapping[str, Any], rows: list[Mapping[str, Any]], palette: Mapping[str, str]
) -> charts.Spec:
    metric = _first(summary)
    data = [
        {
            "name": inline(row["label"], 40),
            **vars(row["model"][metric]),
            "freq": row["freq"][metric].mean,
            "chance": row["chance"][metric],
            "label": f"{inline(row['label'], 40)}: {numbers.with_interval(row['model'][metric])}, "
            f"Freq {numbers.percent(row['freq'][metric].mean)}, "
            f"chance {numbers.percent(row['chance'][metric])}",
        }
        for row in rows
    ]

    def baseline(field: str, colour: str, dash: list[int]) -> charts.Spec:
        return {
            "mark": {
                "type": "tick",
                "thickness": 2,
                "size": 15,
                "color": colour,
                "strokeDash": dash,
                "aria": False,
            },
            "encoding": {"x": {"field": field, "type": "quantitative"}},
        }

    return charts.chart(
        palette,
        f"{metric} of each relation with 95% intervals, and what Freq and chance have",
        data=data,
        height={"step": 19},
        encoding={"y": {**_NAME, "axis": charts.category_axis()}},
        layer=[
            {
                "mark": {"type": "bar", "height": 11, "opacity": 0.5, "color": palette["accent"]},
                "encoding": {
                    "x": charts.share_axis("mean", f"{metric}, %", domain=[0, 1]),
                    "description": {"field": "label"},
                },
            },
            charts.whiskers("x", palette["ink"]),
            baseline("freq", palette["ink"], []),
            baseline("chance", palette["muted"], [2, 2]),
        ],
    )


def _curve(summary: Mapping[str, Any], palette: Mapping[str, str]) -> charts.Spec:
    points = [
        {
            **vars(point),
            "label": f"P@{point.k} {numbers.with_interval(point)}, {point.relations} relations",
        }
        for point in summary["curve"]
    ]
    x = {
        "field": "k",
        "type": "quantitative",
        "scale": {"type": "log", "nice": False},
        "axis": {"title": "k", "values": [1, 2, 5, 10, 20, 50, 100], "grid": False},
    }
    y = charts.share_axis("mean", "P@k, %", domain=[0, 1])
    return charts.chart(
        palette,
        "P@k over k, the mean over relations with more than k candidates",
        data=points,
        height=230,
        encoding={"x": x},
        layer=[
            {
                "mark": {
                    "type": "area",
                    "color": palette["accent"],
                    "opacity": 0.18,
                    "aria": False,
                },
                "encoding": {"y": {**y, "field": "low"}, "y2": {"field": "high"}},
            },
            {
                "mark": {"type": "line", "strokeWidth": 1.5, "color": palette["accent"]},
                "encoding": {"y": y},
            },
            {
                "mark": {"type": "circle", "size": 40, "opacity": 1, "color": palette["accent"]},
                "encoding": {"y": y, "description": {"field": "label"}},
            },
        ],
    )


def _parts(summary: Mapping[str, Any], palette: Mapping[str, str]) -> charts.Spec:
    metric = _first(summary)
    labels = {row["name"]: inline(row["label"], 40) for row in summary["relations"]}
    first, last = summary["parts"][0]["name"], summary["parts"][-1]["name"]
    points = [
        {
            "name": label,
            "series": part["name"],
            **vars(part["relations"][name][metric]),
            "label": f"{label}, {part['name']}: "
            f"{numbers.with_interval(part['relations'][name][metric])}",
        }
        for name, label in labels.items()
        for part in (summary["parts"][0], summary["parts"][-1])
        if metric in part["relations"].get(name, {})
    ]
    offset = {"yOffset": {"field": "series", "type": "nominal", "sort": [first, last]}}
    colour = {"stroke": charts.series_colour(palette, [first, last])}
    return charts.chart(
        palette,
        f"{metric} of each relation, {first} and {last}, with 95% intervals",
        data=points,
        height={"step": 22, "for": "position"},
        encoding={"y": {**_NAME, "axis": charts.category_axis()}},
        layer=[
            charts.whiskers("x", palette["muted"], others=offset),
            {
                "mark": {"type": "point", "size": 38, "opacity": 1, "strokeWidth": 1.8},
                "encoding": {
                    "x": charts.share_axis("mean", f"{metric}, %", domain=[0, 1]),
                    "description": {"field": "label"},
                    **offset,
                    **colour,
                },
            },
        ],
    )
