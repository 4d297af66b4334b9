"""The plots, as Vega-Lite: one description serves the HTML page and the files for papers."""

import math
from collections.abc import Mapping, Sequence

from closedbook.eval.analysis.calibration import Point
from closedbook.eval.analysis.comparison.results import Comparison
from closedbook.eval.analysis.confidence import Reliability
from closedbook.eval.analysis.kinds import Kind
from closedbook.eval.analysis.results import Analysis, ProtocolScore
from closedbook.eval.analysis.taxonomy import FourWay
from closedbook.eval.report import measures, numbers
from closedbook.eval.report.charts import (
    PAPER,
    Spec,
    category_axis,
    chart,
    pdf,
    series_colour,
    share_axis,
    svg,
    whiskers,
)
from closedbook.eval.report.text import inline, visible

_CURVE_POINTS = 200  # more are not to be told apart at this size


def specs(analysis: Analysis, palette: Mapping[str, str] = PAPER) -> dict[str, Spec]:
    """The figures that the analysis has data for, by name.

    Args:
        analysis: From `closedbook.eval.analysis.analyze`.
        palette: Colours and font: `charts.PAGE` or `charts.PAPER`.
    """
    made = {"errors": errors(analysis.taxonomy, palette)}
    if len(analysis.protocols) > 1:
        made["protocols"] = protocols(analysis.protocols, palette)
    if analysis.confidence is not None:
        if analysis.confidence.strict.bins:
            made["calibration"] = calibration(analysis.confidence, palette)
        made["risk_coverage"] = risk_coverage(analysis.confidence, palette)
    return made


def errors(taxonomy: FourWay, palette: Mapping[str, str]) -> Spec:
    """The four kinds of wrong answers: bars of their shares, with intervals."""
    rows = [
        {
            "name": str(row.name),
            "share": row.share,
            "low": row.low,
            "high": row.high,
            "label": f"{numbers.percent(row.share)}%",
            "wrong": row.name == Kind.TRUE_NEGATIVE,
        }
        for row in taxonomy.rows
        if row.asserted
    ]
    y = {"field": "name", "type": "nominal", "sort": None, "axis": category_axis()}
    colour = {
        "condition": {"test": "datum.wrong", "value": palette["muted"]},
        "value": palette["accent"],
    }
    return chart(
        palette,
        "Shares of the kinds of wrong answers, with 95% intervals",
        data=rows,
        height={"step": 34},
        encoding={"y": y},
        layer=[
            {
                "mark": {"type": "bar", "height": 16, "opacity": 0.85},
                "encoding": {
                    "x": share_axis("share", "share of the wrong answers"),
                    "color": colour,
                    "description": {"field": "label"},
                },
            },
            whiskers("x", palette["ink"]),
            {
                "mark": {"type": "text", "align": "left", "dx": 8, "color": palette["ink"]},
                "encoding": {"x": {"field": "high", "type": "quantitative"}, "text": _text()},
            },
        ],
    )


def protocols(rows: Sequence[ProtocolScore], palette: Mapping[str, str]) -> Spec:
    """Exact match (dots) and F1 (rings) under each protocol, with intervals."""
    points = [
        {
            "name": visible(row.protocol),
            "series": measure,
            **vars(score),
            "label": f"{row.protocol} {measure} {numbers.with_interval(score)}",
        }
        for row in rows
        for measure, score in (("exact match", row.em), ("F1", row.f1))
        if score is not None
    ]
    y = {"field": "name", "type": "nominal", "sort": None, "axis": category_axis()}
    return chart(
        palette,
        "Exact match and F1 under each protocol, with 95% intervals",
        data=points,
        height={"step": 26},
        encoding={"y": y},
        layer=[
            whiskers("x", palette["muted"], zero=False),
            {
                "mark": {"type": "point", "size": 46, "opacity": 1, "strokeWidth": 1.5},
                "encoding": {
                    "x": share_axis("mean", "score, %", zero=False),
                    "description": {"field": "label"},
                    "stroke": series_colour(palette, ["exact match", "F1"], reverse=True),
                    "fill": {
                        "condition": {
                            "test": "datum.series === 'exact match'",
                            "value": palette["accent"],
                        },
                        "value": "transparent",
                    },
                },
            },
        ],
    )


def calibration(confidence: Reliability, palette: Mapping[str, str]) -> Spec:
    """The reliability diagram: accuracy over confidence; a perfect model is on the diagonal."""
    points = [
        {
            "series": label,
            "confidence": row.confidence,
            "accuracy": row.accuracy,
            "n": row.n,
            "label": (
                f"{label}: confidence {numbers.percent(row.confidence)}%, "
                f"accuracy {numbers.percent(row.accuracy)}%, n = {row.n:,}"
            ),
        }
        for label, side in measures.sides(confidence)
        for row in side.bins or ()
    ]
    x = share_axis("confidence", "confidence, %", domain=[0, 1])
    y = share_axis("accuracy", "accuracy, %", domain=[0, 1])
    colour = series_colour(palette, [label for label, _ in measures.sides(confidence)])
    return chart(
        palette,
        "Accuracy over confidence",
        data=points,
        height=230,
        layer=[
            {
                "data": {"values": [{"at": 0}, {"at": 1}]},
                "mark": {"type": "line", "strokeDash": [3, 3], "color": palette["muted"]},
                "encoding": {
                    "x": {"field": "at", "type": "quantitative"},
                    "y": {"field": "at", "type": "quantitative"},
                },
            },
            {
                "mark": {"type": "line", "strokeWidth": 1.5},
                "encoding": {"x": x, "y": y, "stroke": colour},
            },
            {
                "mark": {"type": "circle", "opacity": 1},
                "encoding": {
                    "x": x,
                    "y": y,
                    "fill": colour,
                    "size": {
                        "field": "n",
                        "type": "quantitative",
                        "scale": {"range": [14, 130]},
                        "legend": None,
                    },
                    "description": {"field": "label"},
                },
            },
        ],
    )


def risk_coverage(confidence: Reliability, palette: Mapping[str, str]) -> Spec:
    """The share of wrong answers among the most confident ones, over how many are answered."""
    points = [
        {"series": label, **vars(point)}
        for label, side in measures.sides(confidence)
        for point in _thin(side.risk_coverage)
    ]
    return chart(
        palette,
        "Risk over coverage",
        data=points,
        height=230,
        layer=[
            {
                "mark": {"type": "line", "strokeWidth": 1.5},
                "encoding": {
                    "x": share_axis("coverage", "coverage, % answered", domain=[0, 1]),
                    "y": share_axis("risk", "risk, % wrong"),
                    "stroke": series_colour(
                        palette, [label for label, _ in measures.sides(confidence)]
                    ),
                },
            }
        ],
    )


def systems(comparison: Comparison, palette: Mapping[str, str]) -> Spec:
    """Exact match of each system under the headline protocol, with intervals."""
    rows = [
        {
            "name": inline(row.system, 40),
            "series": "exact match",
            **vars(row.em),
            "label": numbers.with_interval(row.em),
        }
        for row in comparison.protocols[0].scores
    ]
    y = {"field": "name", "type": "nominal", "sort": None, "axis": category_axis()}
    return chart(
        palette,
        "Exact match of each system, with 95% intervals",
        data=rows,
        height={"step": 22},
        encoding={"y": y},
        layer=[
            whiskers("x", palette["muted"], zero=False),
            {
                "mark": {"type": "circle", "size": 46, "opacity": 1, "color": palette["accent"]},
                "encoding": {
                    "x": share_axis("mean", "exact match, %", zero=False),
                    "description": {"field": "label"},
                },
            },
        ],
    )


def render_figures(analysis: Analysis) -> dict[str, bytes]:
    """The files of the folder `figures/`: every figure as SVG and as PDF, by file name."""
    return _files(specs(analysis))


def render_comparison_figures(comparison: Comparison) -> dict[str, bytes]:
    """The same of a comparison."""
    return _files({"systems": systems(comparison, PAPER)})


def _files(drawn: Mapping[str, Spec]) -> dict[str, bytes]:
    files = {}
    for name, spec in drawn.items():
        files[f"{name}.svg"] = svg(spec).encode()
        files[f"{name}.pdf"] = pdf(spec)
    return files


def _text() -> Spec:
    return {"field": "label", "type": "nominal"}


def _thin(points: Sequence[Point]) -> list[Point]:
    """At most about `_CURVE_POINTS` of a curve's points, the last one among them."""
    step = max(1, math.ceil(len(points) / _CURVE_POINTS))
    kept = list(points[::step])
    if points and kept[-1] is not points[-1]:
        kept.append(points[-1])
    return kept
