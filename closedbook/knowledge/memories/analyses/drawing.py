"""The figures of the paper, as Vega-Lite in the report's house style."""

from collections.abc import Mapping, Sequence
from typing import Any

from closedbook.eval.report import charts, numbers
from closedbook.knowledge.memories.analyses.metrics import CASES

Rows = Sequence[Mapping[str, Any]]
_COLOURS = ("#1f5fa8", "#c77d1e", "#3b8a5a", "#8a4fa0", "#b23a48", "#5b7083", "#9a8a2e", "#d16ba5")
_PANEL = ("data", "width", "height", "encoding", "layer")  # what each panel has of its own
_TICKS = 12  # layers that are named on an axis at most
LABELS = ("shallow", "shallow and semantic", "semantic", "not covered")


def specs(
    tables: Mapping[str, Rows], palette: Mapping[str, str] = charts.PAPER
) -> dict[str, charts.Spec]:
    """The figures that the tables have numbers for, by name; `explained` names them.

    Args:
        tables: Of `run.analyse`.
        palette: Colours and font: `charts.PAGE` or `charts.PAPER`.
    """
    made = {}
    for name, (table, draw) in _FIGURES.items():
        if rows := [row for row in tables.get(table, []) if row.get("mean", 0) is not None]:
            made[name] = draw(palette, rows)
    return made


def _of(row: Mapping[str, Any], *keys: str) -> str:
    """The series of a row; what is the same everywhere ("positive", "decoder") goes unsaid."""
    return ", ".join(str(row[key]) for key in keys if row[key] not in ("positive", "decoder"))


def _lines(
    palette: Mapping[str, str],
    title: str,
    rows: Rows,
    keys: Sequence[str],
    axis: str,
    *,
    x: str = "layer",
    field: str = "mean",
    panel: Sequence[str] = (),
) -> charts.Spec:
    """Lines over layers with 95% intervals; dotted where a row says what chance gives.

    Rows that differ in `panel` are drawn apart, one below the other.
    """
    panels = list(dict.fromkeys(tuple(row[key] for key in panel) for row in rows))
    if len(panels) > 1:
        parts = []
        for one in panels:
            own = [row for row in rows if tuple(row[key] for key in panel) == one]
            part = _lines(palette, title, own, keys, axis, x=x, field=field)
            heading = {"text": ", ".join(one), "fontSize": 11, "anchor": "start"}
            parts.append({"title": heading, **{name: part[name] for name in _PANEL}, "height": 170})
        made = charts.chart(palette, title, data=[], height=0, vconcat=parts)
        return {name: each for name, each in made.items() if name not in _PANEL} | {
            "resolve": {"scale": {"color": "independent"}}
        }
    low, high = ("low", "high") if field == "mean" else (f"{field}_low", f"{field}_high")
    points = [
        {
            "x": row[x] if x != "layer" else row[x] + 1,
            "mean": row[field],
            "low": row[low],
            "high": row[high],
            "series": _of(row, *keys) or axis.partition(",")[0],
            "label": f"{x} {row[x]}, {_of(row, *keys)}: {numbers.percent(row[field])}%",
            "dealt": row.get("dealt"),
        }
        for row in rows
    ]
    names = list(dict.fromkeys(point["series"] for point in points))
    colour = _colour(names)
    across: charts.Spec = {"field": "x", "type": "quantitative"}
    if x == "layer":
        numbers_of = sorted({point["x"] for point in points})
        named = numbers_of[:: -(-len(numbers_of) // _TICKS)]
        across["scale"] = {"nice": False, "zero": False}
        across["axis"] = {"title": "layer", "grid": False, "format": "d", "values": named}
    else:
        across["scale"] = {"type": "log", "nice": False}
        title_of_x = "highest probability of the value (log scale)"
        across["axis"] = {"title": title_of_x, "grid": False, "tickCount": 5}
    up = charts.share_axis("mean", axis)
    layers: list[charts.Spec] = [
        charts.whiskers("y", palette["muted"], others={"color": colour}),
        {"mark": {"type": "line", "strokeWidth": 1.8}, "encoding": {"y": up, "color": colour}},
        {
            "mark": {"type": "circle", "size": 26, "opacity": 1},
            "encoding": {"y": up, "color": colour, "description": {"field": "label"}},
        },
    ]
    if any(point["dealt"] is not None for point in points):
        dotted = {"type": "line", "strokeWidth": 1.2, "strokeDash": [2, 3], "aria": False}
        layers.append({"mark": dotted, "encoding": {"y": up | {"field": "dealt"}, "color": colour}})
    return charts.chart(
        palette, title, data=points, height=230, encoding={"x": across}, layer=layers
    )


def _colour(names: Sequence[str]) -> charts.Spec:
    return {
        "field": "series",
        "type": "nominal",
        "sort": list(names),
        "scale": {
            "domain": list(names),
            "range": [_COLOURS[n % len(_COLOURS)] for n in range(len(names))],
        },
        "legend": {"columns": 3, "labelLimit": 260} if len(names) > 1 else None,
    }


def _ranks(palette: Mapping[str, str], rows: Rows) -> charts.Spec:
    points = [{**row, "x": row["layer"] + 1, "series": _of(row, "reading", "sign")} for row in rows]
    names = list(dict.fromkeys(point["series"] for point in points))
    colour = _colour(names) | {"legend": {"symbolType": "square"}}
    offset = {"xOffset": {"field": "series", "type": "nominal"}}

    def up(field: str) -> charts.Spec:
        return {
            "field": field,
            "type": "quantitative",
            "scale": {"type": "log"},
            "title": "rank of the next token (log scale)",
            "axis": {"format": "~s", "tickCount": 5},
        }

    return charts.chart(
        palette,
        "Quartiles and median of the next token's rank in the value's order, by layer",
        data=points,
        height=230,
        encoding={
            "x": {"field": "x", "type": "ordinal", "title": "layer", "axis": {"labelAngle": 0}},
            **offset,
        },
        layer=[
            {
                "mark": {"type": "bar", "opacity": 0.45},
                "encoding": {"y": up("q25"), "y2": {"field": "q75"}, "color": colour},
            },
            {
                "mark": {"type": "tick", "thickness": 2, "color": palette["ink"]},
                "encoding": {"y": up("q50")},
            },
        ],
    )


def stacked(
    palette: Mapping[str, str], title: str, rows: Rows, names: Sequence[str], field: str
) -> charts.Spec:
    """Bars of shares that add up to 1, a bar per layer.

    Args:
        palette: Colours and font.
        title: What it shows.
        rows: Of "layer", `field` and "mean".
        names: The parts of a bar, from below.
        field: Which part a row is.
    """
    points = [
        {
            "x": row["layer"] + 1,
            "series": row[field],
            "order": list(names).index(row[field]),
            "mean": row["mean"],
            "label": f"layer {row['layer']}, {row[field]}: {numbers.percent(row['mean'])}%",
        }
        for row in rows
        if row["mean"] is not None
    ]
    return charts.chart(
        palette,
        title,
        data=points,
        height=230,
        mark={"type": "bar"},
        encoding={
            "x": {"field": "x", "type": "ordinal", "title": "layer", "axis": {"labelAngle": 0}},
            "y": charts.share_axis("mean", "%", domain=[0, 1]) | {"stack": "zero"},
            "color": _colour(names) | {"legend": {"columns": 2, "symbolType": "square"}},
            "order": {"field": "order"},
            "description": {"field": "label"},
        },
    )


def labels(palette: Mapping[str, str], rows: Rows) -> charts.Spec:
    """Figure 2: how people labelled triggers, by layer."""
    return stacked(palette, "Labels of triggers by layer", rows, LABELS, "label")


def _cases(reading: str) -> Any:
    def draw(palette: Mapping[str, str], rows: Rows) -> charts.Spec:
        own = [row for row in rows if row["reading"] == reading]
        return stacked(palette, f"Who decides, by layer ({reading})", own, CASES, "case")

    return draw


def _drawn(title: str, keys: Sequence[str], axis: str, **more: Any) -> Any:
    def draw(palette: Mapping[str, str], rows: Rows) -> charts.Spec:
        return _lines(palette, title, rows, keys, axis, **more)

    return draw


def _highest(palette: Mapping[str, str], rows: Rows) -> charts.Spec:
    shares = [
        {**row, "mean": row["among_highest"] / row["of"], "low": None, "high": None} for row in rows
    ]
    title = "Share of the surest values that each layer has"
    return _lines(palette, title, shares, ("reading", "sign"), "of the surest values, %")


_FIGURES = {
    "token_removal": (
        "token_removal",
        _drawn(
            "Mean relative change of coefficients when a token is removed, by layer",
            ("token",),
            "change of the coefficient, %",
            panel=("stack", "text"),
        ),
    ),
    "value_agreement": (
        "value_agreement",
        _drawn(
            "Share of values that promote their trigger's next token first, by layer",
            ("reading", "sign"),
            "agreement, %",
        ),
    ),
    "next_token_rank": ("next_token_rank", _ranks),
    "agreement_by_probability": (
        "agreement_by_probability",
        _drawn(
            "Agreement by the highest probability of the value",
            ("reading", "sign"),
            "agreement, %",
            x="probability",
        ),
    ),
    "highest_probability": ("highest_probability", _highest),
    "active_memories": (
        "active_memories",
        _drawn(
            "Share of active memories, by layer",
            ("rule",),
            "active memories, %",
            panel=("stack",),
        ),
    ),
    "composition": (
        "composition",
        _drawn(
            "Share of examples in which no memory promotes the layer's top token, by layer",
            ("reading", "memories"),
            "no memory promotes it first, %",
        ),
    ),
    "refinement_match": (
        "residual_refinement",
        _drawn(
            "Share of examples in which the residual predicts the model's output, by layer",
            ("reading",),
            "residual predicts the output, %",
        ),
    ),
    "refinement_probability": (
        "residual_refinement",
        _drawn(
            "Mean probability of the model's output by the residual, by layer",
            ("reading",),
            "probability of the output, %",
            field="probability",
        ),
    ),
    "cases_raw": ("prediction_cases", _cases("raw")),
    "cases_scaled": ("prediction_cases", _cases("scaled")),
    "lens_match": (
        "encoder_lens",
        _drawn(
            "Share of examples in which the decoder predicts the same from an encoder layer",
            (),
            "same prediction, %",
        ),
    ),
    "lens_probability": (
        "encoder_lens",
        _drawn(
            "Mean probability of the model's output from an encoder layer",
            (),
            "probability of the output, %",
            field="probability",
        ),
    ),
    "patterns": (
        "patterns",
        _drawn(
            "Share of a memory's triggers that agree, by layer",
            ("kind",),
            "triggers that agree, %",
            panel=("stack", "sign"),
        ),
    ),
}
