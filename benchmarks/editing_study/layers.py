"""Does tracing find the best layer to edit (Hase et al. 2023)? Both, layer by layer."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.editing_study import tables
from closedbook.eval import intervals
from closedbook.knowledge.probing import correlation

_KINDS = ("encoder.mlp", "encoder.state")
_OUTCOMES = {"told": "rephrasings with the target", "kept": "other facts of the subject kept"}


def section(layers: Sequence[Mapping[str, Any]], tracing: Sequence[Mapping[str, Any]]) -> str:
    """The table of effects beside outcomes, and their correlations within facts.

    Args:
        layers: Results of editing each layer, ascending.
        tracing: The result of tracing the same facts; none, and there is no such table.
    """
    if not tracing:
        return ""
    effects = tracing[0]["effects"]
    rows = [
        [
            each["name"],
            *(_points([effects[id_][kind][number] for id_ in effects]) for kind in _KINDS),
            *(_mean([e[name] for e in each["by_edit"].values()]) for name in _OUTCOMES),
        ]
        for number, each in enumerate(layers)
    ]
    heads = ["", *(f"effect of `{kind}`, points" for kind in _KINDS), *_OUTCOMES.values()]
    text = (
        "\n### Does tracing find the best layer to edit?\n\nIndirect effects at the subject's last "
        "token, one layer at a time, of the facts that were edited, beside what editing that layer "
        "brings.\n\n"
    )
    return text + tables.table(heads, rows) + "\n" + _correlations(layers, effects)


def _correlations(
    layers: Sequence[Mapping[str, Any]], effects: Mapping[str, Mapping[str, Sequence[float]]]
) -> str:
    rows = []
    for kind in _KINDS:
        cells = []
        for name in _OUTCOMES:
            found = within(layers, effects, kind, name)
            low, high = intervals.of_any(found, resamples=2000) if found else (0.0, 0.0)
            low, high = max(low, -1.0), min(high, 1.0)
            mean = f"{np.mean(found):.2f} [{low:.2f}, {high:.2f}], n {len(found)}" if found else "–"
            cells.append(mean)
        rows.append([f"`{kind}`", *cells])
    heads = ["Spearman's over layers, mean over facts", *_OUTCOMES.values()]
    note = "Facts that all layers treat alike have no order and are left out."
    return tables.table(heads, rows) + f"\n{note}\n"


def within(
    layers: Sequence[Mapping[str, Any]],
    effects: Mapping[str, Mapping[str, Sequence[float]]],
    kind: str,
    outcome: str,
) -> list[float]:
    """Of each fact Spearman's correlation over layers between effects and an outcome of edits."""
    found = []
    for id_, of_kinds in effects.items():
        values = [each["by_edit"].get(id_, {}).get(outcome) for each in layers]
        known = [value for value in values if value is not None]
        if len(known) == len(layers) and np.ptp(known) > 0 and np.ptp(of_kinds[kind]) > 0:
            found.append(correlation.spearman(np.array(of_kinds[kind]), np.array(known)))
    return found


def _points(values: Sequence[float]) -> str:
    low, high = (100 * each for each in intervals.of_any(values, resamples=2000))
    return f"{100 * np.mean(values):.1f} [{max(low, -100):.1f}, {min(high, 100):.1f}]"


def _mean(values: Sequence[float | None]) -> str:
    known = [each for each in values if each is not None]
    if not known:
        return "–"
    low, high = intervals.of_mean(known, resamples=2000)
    return tables.estimate({"mean": float(np.mean(known)), "low": low, "high": high})
