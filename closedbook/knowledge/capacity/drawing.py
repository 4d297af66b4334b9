"""The figures of a measurement, as Vega-Lite in the report's house style, and bits in words."""

from collections.abc import Mapping
from typing import Any

from closedbook.eval.report import charts
from closedbook.eval.report.text import inline
from closedbook.knowledge.capacity.bits import Bits

_NAME = {"field": "name", "type": "nominal", "sort": None}


def shown(value: Bits | None, digits: int | None = None) -> str:
    """Bits with their interval, for people.

    Args:
        value: A dash if None.
        digits: After the point; default: as many as three digits need, so that small ones show.

    >>> shown(Bits(bits=1234.56, low=1200, high=1300, unclipped=1234.56, entropy=1400))
    '1,235 [1,200, 1,300]'
    >>> shown(Bits(bits=0.00123, low=0.001, high=0.0014, unclipped=0.00123, entropy=1))
    '0.00123 [0.00100, 0.00140]'
    >>> shown(Bits(bits=0, low=0, high=0, unclipped=-3, entropy=1))
    '0 [0, 0]'
    """
    if value is None:
        return "–"
    if digits is None:
        most = max(abs(value.bits), abs(value.high))
        digits = next(n for n in range(9) if not most or most * 10**n >= 100 or n == 8)
    return f"{value.bits:,.{digits}f} [{value.low:,.{digits}f}, {value.high:,.{digits}f}]"


def specs(
    summary: Mapping[str, Any], palette: Mapping[str, str] = charts.PAPER
) -> dict[str, charts.Spec]:
    """The figures that the summary has numbers for, by name.

    Args:
        summary: Of `summary.summarise`.
        palette: Colours and font: `charts.PAGE` or `charts.PAPER`.
    """
    made = {"relations": _relations(summary, palette)}
    if summary["parts"]:
        made["parts"] = _parts(summary, palette)
    return made


def _relations(summary: Mapping[str, Any], palette: Mapping[str, str]) -> charts.Spec:
    data = [
        {
            "name": inline(row["label"], 40),
            **vars(row["best"]),
            "label": f"{inline(row['label'], 40)}: {shown(row['best'])} of "
            f"{row['best'].entropy:,.0f} bits",
        }
        for row in summary["relations"]
    ]
    x = {"field": "bits", "type": "quantitative", "title": "bits"}
    return charts.chart(
        palette,
        "Bits held of each relation with 95% intervals, and what could be held",
        data=data,
        height={"step": 19},
        encoding={"y": {**_NAME, "axis": charts.category_axis()}},
        layer=[
            {
                "mark": {"type": "bar", "height": 11, "opacity": 0.5, "color": palette["accent"]},
                "encoding": {"x": x, "description": {"field": "label"}},
            },
            charts.whiskers("x", palette["ink"]),
            {
                "mark": {
                    "type": "tick",
                    "thickness": 2,
                    "size": 15,
                    "color": palette["ink"],
                    "aria": False,
                },
                "encoding": {"x": {"field": "entropy", "type": "quantitative"}},
            },
        ],
    )


def _parts(summary: Mapping[str, Any], palette: Mapping[str, str]) -> charts.Spec:
    data = []
    for part in summary["parts"]:
        found: Bits = part["best"]
        over = found.entropy or 1.0
        data.append(
            {
                "name": inline(part["name"], 40),
                "mean": found.bits / over,
                "low": found.low / over,
                "high": found.high / over,
                "label": f"{inline(part['name'], 40)}: {shown(found)} of {found.entropy:,.0f} bits",
            }
        )
    return charts.chart(
        palette,
        "Share of what could be held of each part of the data, with 95% intervals",
        data=data,
        height={"step": 26},
        encoding={"y": {**_NAME, "axis": charts.category_axis()}},
        layer=[
            {
                "mark": {"type": "bar", "height": 14, "opacity": 0.5, "color": palette["accent"]},
                "encoding": {
                    "x": charts.share_axis("mean", "bits held, % of entropy", domain=[0, 1]),
                    "description": {"field": "label"},
                },
            },
            charts.whiskers("x", palette["ink"]),
        ],
    )
