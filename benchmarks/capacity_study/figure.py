"""The study's figure: bits stored against bits offered, the most that each curve reaches marked."""

from collections.abc import Sequence
from typing import Any

from benchmarks.capacity_study.numbers import (
    AT_100,
    MOST_FACTS,
    MOST_TOKENS,
    Point,
    curve,
    plateaus,
)
from closedbook.eval.report import charts

_PALETTE = charts.PAPER
_COLOURS = ("#1f5fa8", "#c77d1e", "#3b8a5a", "#8a4fa0", "#b23a48")
_DASHES = ([1, 0], [6, 3], [2, 2], [8, 2, 2, 2], [12, 3], [1, 4], [4, 1, 1, 1], [10, 4, 3, 4])


def spec(found: Sequence[Point]) -> charts.Spec:
    """The figure as Vega-Lite: random data, and people.

    Args:
        found: Of `numbers.points`.
    """
    raw = [point for point in found if point.meter != "facts"]
    facts = [point for point in found if point.meter == "facts"]
    made = charts.chart(
        _PALETTE,
        "Bits held per parameter over bits offered per parameter, of random data and of people",
        data=[],
        height=0,
        hconcat=[
            _curves("Random data", raw, {"3.6: Morris et al.": MOST_TOKENS}),
            _curves(
                "Made-up people: as stated, and asked by questions",
                facts,
                {
                    "2: Allen-Zhu and Li, 1,000 exposures": MOST_FACTS,
                    "about 1: at 100": AT_100,
                },
            ),
        ],
        spacing=30,
        resolve={"scale": {"color": "independent", "strokeDash": "independent"}},
    )
    for key in ("data", "width", "height"):  # each of the two has its own
        del made[key]
    made["background"] = "white"
    return made


def _curves(title: str, found: Sequence[Point], published: dict[str, float]) -> dict[str, Any]:
    most = plateaus(found)
    series = list(dict.fromkeys(_series(point) for point in found))
    arms = list(dict.fromkeys(point.arm for point in found))
    rows = [
        {
            "arm": point.arm,
            "series": _series(point),
            "offered": point.offered,
            "held": point.held.bits,
            "low": point.held.low,
            "high": point.held.high,
            "most": most[curve(point)] is point,
        }
        for point in found
    ]
    x = {
        "field": "offered",
        "type": "quantitative",
        "title": "bits offered per parameter",
        "scale": {"type": "log", "base": 2},
        "axis": {"values": [0.25, 0.5, 1, 2, 4, 8], "grid": False},
    }
    y = {"field": "held", "type": "quantitative", "title": "bits held per parameter"}
    colour = {
        "field": "arm",
        "type": "nominal",
        "sort": arms,
        "scale": {"domain": arms, "range": list(_COLOURS[: len(arms)])},
        "legend": {"columns": 2, "symbolType": "circle"},
    }
    dash = {
        "field": "series",
        "type": "nominal",
        "sort": series,
        "scale": {"domain": series, "range": list(_DASHES[: len(series)])},
        "legend": {"columns": 2, "orient": "bottom"} if len(series) > 1 else None,
    }
    lines = [{"what": name, "held": value} for name, value in published.items()]
    rule = {"type": "rule", "color": _PALETTE["muted"], "strokeDash": [3, 3]}
    name = {
        "type": "text",
        "align": "left",
        "baseline": "bottom",
        "x": 2,
        "dy": -2,
        "color": _PALETTE["muted"],
    }
    return {
        "title": {"text": title, "fontSize": 11, "fontWeight": "bold", "anchor": "start"},
        "width": 300,
        "height": 240,
        "data": {"values": rows},
        "encoding": {"x": x, "y": y, "color": colour},
        "layer": [
            {
                "data": {"values": lines},
                "mark": rule,
                "encoding": {"y": y, "x": None, "color": {"value": _PALETTE["muted"]}},
            },
            {
                "data": {"values": lines},
                "mark": name,
                "encoding": {
                    "y": y,
                    "x": None,
                    "text": {"field": "what"},
                    "color": {"value": _PALETTE["muted"]},
                },
            },
            {
                "mark": {"type": "line", "strokeWidth": 1.6},
                "encoding": {"strokeDash": dash, "detail": {"field": "series"}},
            },
            {
                "mark": {"type": "rule", "strokeWidth": 1.2, "aria": False},
                "encoding": {
                    "y": {"field": "low", "type": "quantitative"},
                    "y2": {"field": "high"},
                },
            },
            {
                "mark": {"type": "point", "filled": True, "opacity": 1},
                "encoding": {
                    "size": {"condition": {"test": "datum.most", "value": 110}, "value": 30},
                    "shape": {
                        "condition": {"test": "datum.most", "value": "diamond"},
                        "value": "circle",
                    },
                },
            },
        ],
    }


def _series(point: Point) -> str:
    """What dashes tell apart."""
    kind = f", {point.kind}" if point.kind else ""
    return f"{point.size}, {point.exposures:,} exposures{kind}"
