"""The study's figure: P@1 of each cell, and P@1 over the number of candidates."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.lama_study.plan import DATA_SETS, SHORT, SMOLLM2
from closedbook.eval.report import charts

_PALETTE = charts.PAPER
_COLOURS = (  # one per cell, so that no two lines are alike
    *("#1f5fa8", "#c77d1e", "#3b8a5a", "#8a4fa0", "#b23a48"),
    *("#5b7083", "#9aa4b0", "#6b5b2e", "#d16ba5", "#2aa1a1", "#444444"),
)


def spec(results: Sequence[Mapping[str, Any]]) -> charts.Spec:
    """The figure as Vega-Lite.

    Args:
        results: Of the cells.
    """
    points = [
        {
            "cell": _name(each),
            **{key: each["means"]["P@1"][key] for key in ("mean", "low", "high")},
            "freq": each["freq"]["P@1"]["mean"] if "P@1" in each["freq"] else None,
            "chance": each["chance"]["P@1"],
        }
        for each in results
    ]
    curves = [
        {"cell": _name(each), "size": row["size"], "mean": row["mean"]}
        for each in results
        for row in each["sizes"]
    ]
    names = [point["cell"] for point in points]
    made = charts.chart(
        _PALETTE,
        "P@1 of each cell with 95% intervals, and P@1 over the number of candidates",
        data=[],
        height=0,
        hconcat=[_bars(points, names), _curves(curves, names)],
        spacing=24,
    )
    for key in ("data", "width", "height"):  # each of the two has its own
        del made[key]
    made["background"] = "white"
    return made


def _name(result: Mapping[str, Any]) -> str:
    model = "SmolLM2" if result["model"] == SMOLLM2 else SHORT[result["model"]]
    return f"{model}: {DATA_SETS[result['data']].name}"


def _bars(points: Sequence[Mapping[str, Any]], names: Sequence[str]) -> charts.Spec:
    def tick(field: str, dash: list[int]) -> charts.Spec:
        mark = {"type": "tick", "thickness": 2, "size": 15, "strokeDash": dash}
        return {
            "mark": {**mark, "color": _PALETTE["ink"]},
            "encoding": {"x": {"field": field, "type": "quantitative"}},
        }

    return {
        "title": _title("P@1, 95% intervals; ticks: Freq (solid), chance (dotted)"),
        "width": 300,
        "height": {"step": 24},
        "data": {"values": list(points)},
        "encoding": {
            "y": {
                "field": "cell",
                "type": "nominal",
                "sort": list(names),
                "axis": charts.category_axis() | {"labelLimit": 200},
            }
        },
        "layer": [
            {
                "mark": {"type": "bar", "height": 13, "opacity": 0.6},
                "encoding": {
                    "x": charts.share_axis("mean", "P@1, %", domain=[0, 1]),
                    "color": _colour(names),
                },
            },
            charts.whiskers("x", _PALETTE["ink"]),
            tick("freq", [1, 0]),
            tick("chance", [2, 2]),
        ],
    }


def _curves(curves: Sequence[Mapping[str, Any]], names: Sequence[str]) -> charts.Spec:
    return {
        "title": _title("P@1 over the number of candidates"),
        "width": 300,
        "height": 24 * max(len(names), 8),
        "data": {"values": list(curves)},
        "mark": {"type": "line", "strokeWidth": 2, "point": {"size": 22}},
        "encoding": {
            "x": {
                "field": "size",
                "type": "quantitative",
                "scale": {"type": "log", "base": 2},
                "axis": {"values": [2, 8, 32, 128, 512, 2048, 8192, 32768], "grid": False},
                "title": "candidates",
            },
            "y": charts.share_axis("mean", "P@1, %", domain=[0, 1]),
            "color": _colour(names),
        },
    }


def _colour(names: Sequence[str]) -> charts.Spec:
    colours = [_COLOURS[place % len(_COLOURS)] for place in range(len(names))]
    return {
        "field": "cell",
        "type": "nominal",
        "sort": list(names),
        "scale": {"domain": list(names), "range": colours},
        "legend": None,
    }


def _title(text: str) -> charts.Spec:
    return {"text": text, "fontSize": 11, "fontWeight": "bold", "anchor": "start"}
