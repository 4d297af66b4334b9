"""What the formats show alike: which numbers, under which names, with which digits."""

from collections.abc import Mapping
from typing import Any

from closedbook.eval.report import numbers

SIDES = ("strict", "adjusted")
CONFIDENCE = {
    "ece": "Expected calibration error",
    "macro_ce": "MacroCE",
    "brier": "Brier score",
    "aurc": "Area under risk-coverage",
    "coverage_at_90": "Coverage at 90% accuracy, %",
}


def headline(analysis: Any) -> list[tuple[str, Mapping[str, float]]]:
    """Exact match, F1 where the protocol has one, and the adjusted score."""
    f1 = analysis.protocols[0]["f1"]
    return [
        ("Exact match", analysis.taxonomy["em"]),
        *([("F1", f1)] if f1 else []),
        ("Adjusted", analysis.taxonomy["adjusted"]),
    ]


def kind_cells(row: Mapping[str, Any], candidates: int) -> tuple[str, str, str]:
    """Count, share and interval of a kind of wrong answers; a note if it was not counted."""
    if row.get("asserted", True):
        return numbers.count(row["count"]), numbers.percent(row["share"]), numbers.interval(row)
    note = f"{candidates:,} candidate{'s' * (candidates != 1)}" if candidates else "needs labels"
    return "not counted", numbers.MISSING, note


def confidence(found: Mapping[str, Any], side: str, key: str) -> str:
    """One measure of confidence, with its interval where it has one."""
    value = (found.get(side) or {}).get(key)
    if value is None:
        return numbers.MISSING
    show = numbers.percent if key == "coverage_at_90" else numbers.decimal
    if isinstance(value, Mapping):
        return f"{show(value['mean'])} [{show(value['low'])}, {show(value['high'])}]"
    return show(value)


def score_rows(comparison: Any) -> list[tuple[str, ...]]:
    """One row a system, in the order given: its name and its exact match under each protocol."""
    tables = [
        {row["system"]: numbers.with_interval(row["em"]) for row in table["scores"]}
        for table in comparison.protocols
    ]
    return [
        (row["system"], *(table[row["system"]] for table in tables))
        for row in comparison.protocols[0]["scores"]
    ]


def pair_cells(pair: Mapping[str, Any]) -> tuple[str, ...]:
    """A pair of systems: names, examples that only one has right, differences, p values."""
    return (
        *pair["systems"],
        numbers.count(pair["only_first"]),
        numbers.count(pair["only_second"]),
        difference(pair["difference"]),
        difference(pair["difference_f1"]),
        numbers.p_value(pair["p"]),
        numbers.p_value(pair["p_holm"]),
    )


def difference(value: Mapping[str, float] | None) -> str:
    """The difference of a pair's scores, in points, with its interval."""
    if value is None:
        return numbers.MISSING
    low, high = numbers.signed(value["low"]), numbers.signed(value["high"])
    return f"{numbers.signed(value['mean'])} [{low}, {high}]"
