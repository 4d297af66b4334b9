"""What the paper found, and whether the measured curves agree; every rule is told in words."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Result = Mapping[str, Any]
Curve = list[float]  # a number per layer, the lowest first
FEWEST = 4  # layers of a model of which a trend can be told
_LOWER = 10 / 16  # the paper's layers 1 to 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """A finding of the paper.

    Attributes:
        figure: Of the paper.
        says: What it found.
        shows: What its curve is, in a few words.
        trend: Whether it is about lower and upper layers, which two layers have not.
        rule: When a model agrees, in words.
        curve: The numbers of a result that are looked at, None where it has none.
        agrees: Of that curve.
        percent: Whether the numbers are shares.
    """

    figure: str
    shows: str
    says: str
    rule: str
    trend: bool = False
    curve: Callable[[Result], Curve | None]
    agrees: Callable[[Curve], bool]
    percent: bool = True


def curve(result: Result, table: str, value: str = "mean", **wanted: Any) -> Curve | None:
    """The numbers of a table by layer; None where it has none.

    Args:
        result: Of a cell.
        table: Its name.
        value: The column.
        wanted: What other columns must hold.
    """
    rows = [
        row
        for row in result["tables"].get(table, [])
        if all(row[name] == each for name, each in wanted.items()) and row[value] is not None
    ]
    layers = [row["layer"] for row in rows]
    if not rows or len(set(layers)) != len(layers):
        return None
    return [row[value] for row in sorted(rows, key=lambda row: row["layer"])]


def lower_and_upper(values: Curve) -> tuple[float, float]:
    """The means over the lower ten and the upper six of sixteen parts of the layers.

    >>> lower_and_upper([1.0, 1.0, 3.0, 5.0])  # two and a half layers are lower ones: two
    (1.0, 4.0)
    """
    cut = min(max(1, int(len(values) * _LOWER)), len(values) - 1)
    return float(np.mean(values[:cut])), float(np.mean(values[cut:]))


def _rises(values: Curve) -> bool:
    low, high = lower_and_upper(values)
    return high > low


def _falls(values: Curve) -> bool:
    low, high = lower_and_upper(values)
    return high < low


def _removal(result: Result, token: str) -> Curve | None:
    found = curve(result, "token_removal", stack="decoder", token=token, text="targets")
    return None if found is None else [abs(each) for each in found]


def _last_against_first(result: Result) -> Curve | None:
    last, first = _removal(result, "last"), _removal(result, "first")
    if last is None or first is None or len(last) != len(first):
        return None
    return [a - b for a, b in zip(last, first, strict=True)]


def _cases(*names: str) -> Callable[[Result], Curve | None]:
    def of(result: Result) -> Curve | None:
        parts = [curve(result, "prediction_cases", reading="scaled", case=name) for name in names]
        known = [part for part in parts if part is not None]
        if len(known) != len(names):
            return None
        return [float(sum(each)) for each in zip(*known, strict=True)]

    return of


def _surest(result: Result) -> Curve | None:
    rows = [
        row
        for row in result["tables"].get("highest_probability", [])
        if row["reading"] == "scaled" and row["sign"] == "positive"
    ]
    return [row["among_highest"] / row["of"] for row in rows] or None


def _bins(result: Result) -> Curve | None:
    rows = [
        row
        for row in result["tables"].get("agreement_by_probability", [])
        if row["reading"] == "scaled" and row["sign"] == "positive"
    ]
    return [row["mean"] for row in rows] or None


FINDINGS = (
    Finding(
        figure="2",
        shows="triggers of a memory that share the last token",
        trend=True,
        says="Lower layers answer to shallow patterns, upper ones to semantic ones (people's "
        "labels)",
        rule="of a memory's triggers fewer share the last token in the upper six sixteenths of "
        "the layers than below",
        curve=lambda r: curve(r, "patterns", kind="last token", sign="positive", stack="decoder"),
        agrees=_falls,
    ),
    Finding(
        figure="3",
        shows="change by the last token less that by the first",
        says="Removing the last token changes a coefficient more than removing the first",
        rule="in every layer the mean change by the last is larger; shown is the difference",
        curve=_last_against_first,
        agrees=lambda values: min(values) > 0,
    ),
    Finding(
        figure="3",
        shows="change of coefficients by removing the last token",
        trend=True,
        says="The last token matters less in upper layers",
        rule="the mean change by the last is smaller in the upper six sixteenths than below",
        curve=lambda r: _removal(r, "last"),
        agrees=_falls,
    ),
    Finding(
        figure="4",
        shows="values whose top token follows their top trigger",
        trend=True,
        says="Values agree with the next token of the top trigger in about 0% of layers 1 to 10, "
        "up to 3.5% above",
        rule="agreement (scaled) is higher in the upper six sixteenths than below",
        curve=lambda r: curve(r, "value_agreement", reading="scaled", sign="positive"),
        agrees=_rises,
    ),
    Finding(
        figure="5",
        shows="median rank of that token in the value's order",
        trend=True,
        says="The next token ranks higher in upper layers",
        rule="its median rank (scaled) is smaller in the upper six sixteenths than below",
        curve=lambda r: curve(r, "next_token_rank", "q50", reading="scaled", sign="positive"),
        agrees=_falls,
        percent=False,
    ),
    Finding(
        figure="6",
        shows="the same share by group, from the least sure values",
        says="Agreement grows with the value's highest probability",
        rule="it is higher in the surest sixth of the groups than in the others; shown by group",
        curve=_bins,
        agrees=lambda v: np.mean(v[-max(1, len(v) // 6) :]) > np.mean(v[: -max(1, len(v) // 6)]),
    ),
    Finding(
        figure="6",
        shows="share of the 100 surest values",
        trend=True,
        says="97 of the 100 surest values are in layers 11 to 16",
        rule="more than half of them (scaled) are in the upper six sixteenths; shown by layer",
        curve=_surest,
        agrees=lambda v: sum(v[min(max(1, int(len(v) * _LOWER)), len(v) - 1) :]) > 0.5,
    ),
    Finding(
        figure="7",
        shows="active memories",
        says="10% to 50% of a layer's memories are active (ReLU)",
        rule="in every layer the share is in that range",
        curve=lambda r: curve(r, "active_memories", rule="coefficient above 0", stack="decoder"),
        agrees=lambda values: min(values) >= 0.1 and max(values) <= 0.5,
    ),
    Finding(
        figure="8",
        shows="no memory promotes the layer's top token",
        says="In at least 68% of the examples no memory promotes the layer's top token",
        rule="in every layer (scaled, all memories) at least 68%",
        curve=lambda r: curve(r, "composition", reading="scaled", memories="all"),
        agrees=lambda values: min(values) >= 0.68,
    ),
    Finding(
        figure="9",
        shows="the residual predicts the model's output",
        trend=True,
        says="The residual predicts the model's output more and more often",
        rule="it does (scaled) in the upper six sixteenths more often than below",
        curve=lambda r: curve(r, "residual_refinement", reading="scaled"),
        agrees=_rises,
    ),
    Finding(
        figure="10",
        shows="probability of the output by the residual",
        trend=True,
        says="The probability of the output by the residual grows over the layers",
        rule="it is higher (scaled) in the upper six sixteenths than below",
        curve=lambda r: curve(r, "residual_refinement", "probability", reading="scaled"),
        agrees=_rises,
    ),
    Finding(
        figure="11",
        shows="cases residual and agreement",
        says="A layer's output mostly keeps the residual's prediction",
        rule="cases residual and agreement are more than half in the mean over the layers",
        curve=_cases("residual", "agreement"),
        agrees=lambda values: float(np.mean(values)) > 0.5,
    ),
    Finding(
        figure="11",
        shows="case feed-forward",
        says="The unit's own prediction is hardly ever taken",
        rule="the case feed-forward is below 10% in every layer",
        curve=_cases("feed-forward"),
        agrees=lambda values: max(values) < 0.1,
    ),
)


def verdict(finding: Finding, result: Result) -> bool | None:
    """Whether a model agrees; None where it has too few layers or no such numbers."""
    layers = result["stacks"].get("decoder", {}).get("layers", 0)
    values = finding.curve(result)
    if values is None or (finding.trend and layers < FEWEST):
        return None
    return bool(finding.agrees(values))


def shown(values: Sequence[float], *, percent: bool) -> str:
    """A curve in a cell of a table: its lowest layer, some between, its highest.

    >>> shown([0.1, 0.2, 0.35], percent=True)
    '10.0, 20.0, 35.0'
    """
    places = list(range(len(values)))
    if len(values) > 6:
        places = sorted({round(i * (len(values) - 1) / 5) for i in range(6)})
    return ", ".join(f"{100 * values[i]:.1f}" if percent else f"{values[i]:,.0f}" for i in places)
