"""The figures of a trace, as Vega-Lite in the report's house style."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from closedbook.eval.report import charts
from closedbook.eval.report.text import clip, inline
from closedbook.knowledge.tracing import roles
from closedbook.knowledge.tracing.study import Row

_LINES = (roles.FIRST, roles.LAST, roles.END, roles.START)  # the others are in the heat map
_COLOURS = ("#d97706", "#1f5fa8", "#6a737d", "#7c3aed")
_SHADES = ("#f6f4fb", "#4a1d8c")  # of no effect and of the largest
_SERIES = ("#1f5fa8", "#c2410c", "#15803d", "#7c3aed")


def specs(
    rows: Sequence[Row],
    summary: Mapping[str, Any],
    palette: Mapping[str, str] = charts.PAPER,
) -> dict[str, charts.Spec]:
    """The figures, by name: heat maps of each stack, lines over layers, the severed comparison.

    Args:
        rows: Of `study.run`. Of one fact the heat map shows tokens, of several the roles of
            tokens and averages.
        summary: Of `summary.summarise`.
        palette: Colours and font: `charts.PAGE` or `charts.PAPER`.
    """
    made = {}
    for stack in dict.fromkeys(kind["name"].partition(".")[0] for kind in summary["kinds"]):
        kinds = [kind for kind in summary["kinds"] if kind["name"].startswith(f"{stack}.")]
        made[f"heat_{stack}"] = _heat(rows, kinds, stack, palette)
        if len(rows) > 1:
            made[f"lines_{stack}"] = _lines(kinds, stack, palette)
    if summary["severed"]:
        made["severed"] = _severed(summary["severed"], len(rows), palette)
    return made


def title(kind: str) -> str:
    """A kind's name for people.

    >>> title("encoder.self_attention")
    'self-attention'
    """
    return kind.partition(".")[2].replace("_", "-")


def _heat(
    rows: Sequence[Row], kinds: Sequence[Mapping[str, Any]], stack: str, palette: Mapping[str, str]
) -> charts.Spec:
    one = rows[0] if len(rows) == 1 else None
    if one is not None:
        first, limit = one["subject_tokens"]
        inside = range(first, limit) if stack == next(iter(one["tokens"])) else range(0)
        names = [
            clip(inline(text, 24), 24) + ("*" if number in inside else "")
            for number, text in enumerate(one["tokens"][stack])
        ]
        effect = lambda kind: [  # noqa: E731
            [value - one["corrupted"] for value in layers] for layers in one["scores"][kind["name"]]
        ]
    else:
        names = [each["role"] for each in kinds[0]["roles"]]
        effect = lambda kind: [  # noqa: E731
            [estimate.mean for estimate in each["effects"]] for each in kind["roles"]
        ]
    cells = [
        {
            "place": place,
            "layer": layer,
            "kind": title(kind["name"]),
            "effect": value,
            "label": f"{title(kind['name'])}, layer {layer}, {names[place]}: {100 * value:+.1f}",
        }
        for kind in kinds
        for place, layers in enumerate(effect(kind))
        for layer, value in enumerate(layers)
    ]
    layers = kinds[0]["layers"]
    highest = max([cell["effect"] for cell in cells] + [0.01])
    what = "Indirect effect" if one is not None else "Average indirect effect"
    labels = json.dumps(names)
    return charts.chart(
        palette,
        f"{what} of restoring one activation of the {stack}, by token and layer",
        data=cells,
        height={"step": 17},
        width={"step": max(8, min(48, 200 // layers))},
        mark={"type": "rect", "stroke": palette["line"], "strokeWidth": 0.5},
        encoding={
            "column": {
                "field": "kind",
                "type": "nominal",
                "sort": [title(kind["name"]) for kind in kinds],
                "title": None,
                "spacing": 14,
                "header": {"labelColor": palette["ink"], "labelFontSize": 11},
            },
            "x": {
                "field": "layer",
                "type": "ordinal",
                "axis": {"title": f"{stack} layer", "labelAngle": 0, "labelOverlap": True},
            },
            "y": {
                "field": "place",
                "type": "ordinal",
                "axis": {
                    "title": None,
                    "labelExpr": f"{labels}[datum.value]",
                    "labelLimit": 170,
                    "labelColor": palette["ink"],
                },
            },
            "color": {
                "field": "effect",
                "type": "quantitative",
                "scale": {"range": list(_SHADES), "domain": [0, highest], "clamp": True},
                "legend": {
                    "title": f"{what}, points of P(answer)",
                    "titleColor": palette["muted"],
                    "titleFontWeight": "normal",
                    "titleFontSize": 11,
                    "titleLimit": 400,
                    "orient": "bottom",
                    "gradientLength": 180,
                    "labelExpr": "format(100 * datum.value, '~g')",
                    "tickCount": 4,
                },
            },
            "description": {"field": "label"},
        },
    )


def _lines(
    kinds: Sequence[Mapping[str, Any]], stack: str, palette: Mapping[str, str]
) -> charts.Spec:
    shown = [each["role"] for each in kinds[0]["roles"] if each["role"] in _LINES]
    data = [
        _point(each["role"], layer, effect, kind=title(kind["name"]))
        for kind in kinds
        for each in kind["roles"]
        if each["role"] in shown
        for layer, effect in enumerate(each["effects"])
    ]
    facet = {
        "column": {
            "field": "kind",
            "type": "nominal",
            "sort": [title(kind["name"]) for kind in kinds],
            "title": None,
            "header": {"labelColor": palette["ink"], "labelFontSize": 12},
        }
    }
    what = f"Average indirect effect over the layers of the {stack}, with 95% bands"
    return _over_layers(palette, what, data, shown, stack, facet)


def _severed(
    curves: Sequence[Mapping[str, Any]], facts: int, palette: Mapping[str, str]
) -> charts.Spec:
    stack = curves[0]["name"].partition(".")[0]
    names = [
        "state restored" if title(each["name"]) == "state" else f"{title(each['name'])} severed"
        for each in curves
    ]
    data = [
        _point(name, layer, effect)
        for name, each in zip(names, curves, strict=True)
        for layer, effect in enumerate(each["effects"])
    ]
    intervals = ", with 95% intervals" if facts > 1 else ""
    what = f"Effect of the state at the last subject token with parts severed{intervals}"
    y = charts.share_axis("mean", "effect, points of P(answer)")
    offset = {"xOffset": {"field": "series", "type": "nominal", "sort": names}}
    layers: list[charts.Spec] = [
        {
            "mark": {"type": "bar"},
            "encoding": {
                "y": y,
                "color": _colour(names, _SERIES),
                "description": {"field": "label"},
                **offset,
            },
        }
    ]
    if facts > 1:
        layers.append(charts.whiskers("y", palette["ink"], others=offset))
    x = {**_layer_axis(stack), "scale": {"paddingInner": 0.3}}
    return charts.chart(palette, what, data=data, height=200, encoding={"x": x}, layer=layers)


def _layer_axis(stack: str) -> charts.Spec:
    return {
        "field": "layer",
        "type": "ordinal",
        "axis": {"title": f"{stack} layer", "labelAngle": 0, "labelOverlap": True, "grid": False},
    }


def _colour(names: Sequence[str], colours: Sequence[str]) -> charts.Spec:
    return {
        "field": "series",
        "type": "nominal",
        "sort": list(names),
        "scale": {"domain": list(names), "range": list(colours[: len(names)])},
        "legend": {
            "title": None,
            "orient": "top",
            "symbolType": "circle",
            "columns": 2,
            "symbolOpacity": 1,  # not the band's
        },
    }


def _point(series: str, layer: int, effect: Any, **more: str) -> dict[str, Any]:
    label = f"{series}, layer {layer}: {100 * effect.mean:+.1f} "
    label += f"[{100 * effect.low:.1f}, {100 * effect.high:.1f}]"
    return {"series": series, "layer": layer, **vars(effect), "label": label, **more}


def _over_layers(
    palette: Mapping[str, str],
    what: str,
    data: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    stack: str,
    facet: Mapping[str, Any],
) -> charts.Spec:
    y = charts.share_axis("mean", "effect, points of P(answer)")
    colour = _colour(names, _COLOURS)
    layers: list[charts.Spec] = [
        {
            "mark": {"type": "area", "opacity": 0.16, "aria": False},
            "encoding": {"y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": colour},
        },
        {
            "mark": {"type": "line", "strokeWidth": 1.6},
            "encoding": {"y": y, "color": colour},
        },
        {
            "mark": {"type": "circle", "size": 34, "opacity": 1},
            "encoding": {"y": y, "color": colour, "description": {"field": "label"}},
        },
    ]
    made = charts.chart(palette, what, data=data, height=200)
    del made["height"], made["width"]
    encoding = {"x": _layer_axis(stack)}
    inner = {"width": 170, "height": 200, "encoding": encoding, "layer": layers}
    return {**made, "facet": dict(facet), "spec": inner}
