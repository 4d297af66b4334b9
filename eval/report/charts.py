"""What all figures share: the house style as Vega-Lite, palettes, and files of several kinds.

Vega writes text as SVG text, never as markup, so that labels need no escaping of ours. The
conversion runs offline in the process (vl-convert); no browser and no network take part.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

Spec: TypeAlias = dict[str, object]

# On the page the colours are the page's own variables and follow its light and dark scheme.
PAGE = {
    "ink": "var(--ink)",
    "muted": "var(--muted)",
    "line": "var(--line)",
    "accent": "var(--accent)",
    "font": "inherit",
}
PAPER = {
    "ink": "#1b1f24",
    "muted": "#6a737d",
    "line": "#d9dde2",
    "accent": "#1f5fa8",
    "font": "Helvetica, Arial, sans-serif",
}


def svg(spec: Spec) -> str:
    """The figure as an SVG element."""
    import vl_convert

    return vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])


def pdf(spec: Spec) -> bytes:
    """The figure as a page for LaTeX's `includegraphics`."""
    import vl_convert

    return vl_convert.vegalite_to_pdf(spec, allowed_base_urls=[])


def png(spec: Spec) -> bytes:
    """The figure as pixels, twice as many as it has points."""
    import vl_convert

    return vl_convert.vegalite_to_png(spec, scale=2, allowed_base_urls=[])


def chart(
    palette: Mapping[str, str],
    description: str,
    *,
    data: Sequence[Mapping[str, object]],
    height: object,
    **parts: object,
) -> Spec:
    """A figure in the house style.

    Args:
        palette: `PAGE` or `PAPER`.
        description: What it shows, for those who do not see it.
        data: Its rows.
        height: Points, or a step per category.
        parts: The rest of a Vega-Lite description, such as encoding and layer.
    """
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",  # a name; never fetched
        "description": description,
        "width": 380,
        "height": height,
        "padding": 4,
        "background": None,
        "data": {"values": list(data)},
        "config": {
            "font": palette["font"],
            "view": {"stroke": None},
            "axis": {
                "labelColor": palette["muted"],
                "titleColor": palette["muted"],
                "titleFontWeight": "normal",
                "labelFontSize": 11,
                "titleFontSize": 11,
                "gridColor": palette["line"],
                "domain": False,
                "ticks": False,
                "labelPadding": 6,
                "titlePadding": 8,
            },
            "legend": {
                "labelColor": palette["ink"],
                "labelFontSize": 11,
                "title": None,
                "orient": "top",
                "symbolType": "stroke",
            },
            "text": {"fontSize": 11},
        },
        **parts,
    }


def share_axis(
    field: str, title: str, *, zero: bool = True, domain: Sequence[float] | None = None
) -> Spec:
    """A channel for shares, labelled in percent."""
    scale: Spec = {"zero": zero, "nice": True}
    if domain:
        scale = {"domain": list(domain)}
    return {
        "field": field,
        "type": "quantitative",
        "scale": scale,
        "title": title,
        "axis": {"labelExpr": "format(100 * datum.value, '~g')", "tickCount": 5},
    }


def category_axis() -> Spec:
    """An axis of names."""
    return {"title": None, "grid": False, "labelLimit": 160}


def whiskers(
    channel: str, colour: str, *, zero: bool = True, others: Mapping[str, object] | None = None
) -> Spec:
    """A layer of intervals from "low" to "high" along a channel; `others` are more channels."""
    return {
        "mark": {"type": "rule", "strokeWidth": 1.25, "color": colour, "aria": False},
        "encoding": {
            channel: {"field": "low", "type": "quantitative", "scale": {"zero": zero}},
            f"{channel}2": {"field": "high"},
            **(others or {}),
        },
    }


def series_colour(
    palette: Mapping[str, str], names: Sequence[str], *, reverse: bool = False
) -> Spec:
    """The colour of two series, the second one in the accent's unless reversed."""
    colours = [palette["muted"], palette["accent"]]
    return {
        "field": "series",
        "type": "nominal",
        "sort": list(names),
        "scale": {"domain": list(names), "range": colours[::-1] if reverse else colours},
    }
