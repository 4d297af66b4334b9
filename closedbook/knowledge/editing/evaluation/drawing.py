"""The figures of edits, as Vega-Lite in the report's house style."""

from collections.abc import Mapping, Sequence

from closedbook.eval.report import charts


def trade_off(
    palette: Mapping[str, str], points: Sequence[Mapping[str, object]], *, height: int
) -> charts.Spec:
    """What is told against what is kept.

    Args:
        palette: Colours and font: `charts.PAGE` or `charts.PAPER`.
        points: Of each way of editing its name, and shares from 0 to 1: "told", the rephrasings
            with the target, and "kept", the other facts of the subject.
        height: Points.
    """
    label = {
        "mark": {"type": "text", "dx": 7, "align": "left", "fontSize": 10},
        "encoding": {"text": {"field": "name"}},
    }
    return charts.chart(
        palette,
        "Rephrasings answered with the target against other facts of the subject kept",
        data=points,
        height=height,
        layer=[{"mark": {"type": "point", "filled": True, "size": 60}}, label],
        encoding={
            "x": charts.share_axis("kept", "other facts of the subject kept, %", domain=[0, 1]),
            "y": charts.share_axis("told", "rephrasings with the target, %", domain=[0, 1]),
        },
    )


def in_row(
    palette: Mapping[str, str],
    description: str,
    points: Sequence[Mapping[str, object]],
    *,
    height: int,
    others: Mapping[str, object] | None = None,
) -> charts.Spec:
    """Lines over how many edits were made in a row.

    Args:
        palette: Colours and font: `charts.PAGE` or `charts.PAPER`.
        description: What it shows, for those who do not see it.
        points: Of each line its name, after how many "edits", and the "share" from 0 to 1.
        height: Points.
        others: More channels.
    """
    return charts.chart(
        palette,
        description,
        data=points,
        height=height,
        mark={"type": "line", "point": True, "strokeWidth": 1.5},
        encoding={
            "x": {
                "field": "edits",
                "type": "quantitative",
                "scale": {"type": "log"},
                "title": "edits in a row",
            },
            "y": charts.share_axis("share", "percent", domain=[0, 1]),
            "color": {"field": "name", "type": "nominal", "title": None},
            **(others or {}),
        },
    )
