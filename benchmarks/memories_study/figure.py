"""The study's figure: the paper's curves for each model, over the depth of the layer."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.memories_study.findings import curve
from benchmarks.memories_study.plan import SHORT
from closedbook.eval.report import charts

_PALETTE = charts.PAPER
_COLOURS = {
    "atlas_qa": "#c77d1e",
    "atlas_ssm": "#3b8a5a",
    "atlas_deep": "#b0413e",
    "relu": "#1f5fa8",
    "smollm2": "#8a4fa0",
}
_NAMES = {"relu": "ReLU LM", "smollm2": "SmolLM2"}
_AGREES: dict[str, Any] = {"reading": "scaled", "sign": "positive"}
_PANELS: tuple[tuple[str, str, dict[str, Any], str, tuple[float, ...]], ...] = (
    # title, table, rows, column, what the paper has
    (
        "same last token, % of triggers",
        "patterns",
        {"kind": "last token", "sign": "positive", "stack": "decoder"},
        "mean",
        (),
    ),
    ("value agrees with next token, %", "value_agreement", _AGREES, "mean", (0.0, 0.035)),
    (
        "active memories, % (ReLU)",
        "active_memories",
        {"rule": "coefficient above 0", "stack": "decoder"},
        "mean",
        (0.1, 0.5),
    ),
    (
        "no memory says what the layer says, %",
        "composition",
        {"reading": "scaled", "memories": "all"},
        "mean",
        (0.68,),
    ),
    ("residual predicts the output, %", "residual_refinement", {"reading": "scaled"}, "mean", ()),
    (
        "probability of the output, %",
        "residual_refinement",
        {"reading": "scaled"},
        "probability",
        (),
    ),
)


def spec(results: Sequence[Mapping[str, Any]]) -> charts.Spec:
    """The figure as Vega-Lite.

    Args:
        results: Of the cells.
    """
    names = [SHORT[each["model"]] for each in results]
    made = charts.chart(
        _PALETTE,
        "The curves of Geva et al. 2021 over the relative depth of a layer, one line per model; "
        "dotted: the paper's own bounds",
        data=[],
        height=0,
        concat=[_panel(results, names, *panel) for panel in _PANELS],
        columns=3,
        spacing=22,
    )
    for key in ("data", "width", "height"):  # each panel has its own
        del made[key]
    made["background"] = "white"
    return made


def _panel(
    results: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    title: str,
    table: str,
    wanted: Mapping[str, Any],
    column: str,
    paper: Sequence[float],
) -> charts.Spec:
    points = []
    for name, result in zip(names, results, strict=True):
        found = curve(result, table, column, **wanted) or []
        points += [
            {"model": _NAMES.get(name, name), "depth": (layer + 1) / len(found), "value": value}
            for layer, value in enumerate(found)
        ]
    shown = [_NAMES.get(name, name) for name in names]
    colour = {
        "field": "model",
        "type": "nominal",
        "sort": shown,
        "scale": {"domain": shown, "range": [_COLOURS[name] for name in names]},
        "legend": {"orient": "bottom", "symbolType": "stroke"},
    }
    across = {
        "field": "depth",
        "type": "quantitative",
        "title": "depth of the layer, the last is 1",
        "scale": {"domain": [0, 1]},
        "axis": {"grid": False, "tickCount": 3},
    }
    lines: list[charts.Spec] = [
        {
            "data": {"values": points},
            "mark": {"type": "line", "strokeWidth": 1.8, "point": {"size": 24}},
            "encoding": {"x": across, "y": charts.share_axis("value", ""), "color": colour},
        },
        {
            "data": {"values": [{"value": value} for value in paper]},
            "mark": {"type": "rule", "strokeDash": [2, 3], "color": _PALETTE["ink"]},
            "encoding": {"y": charts.share_axis("value", "")},
        },
    ]
    heading = {"text": title, "fontSize": 11, "fontWeight": "bold", "anchor": "start"}
    return {"title": heading, "width": 190, "height": 150, "layer": lines}
