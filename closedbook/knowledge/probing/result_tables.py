"""The tables of a probe as JSON and CSV: what the page shows, one row per relation or variable."""

from collections.abc import Mapping, Sequence
from typing import Any

from closedbook.eval.analysis.summarized import Json
from closedbook.knowledge.probing import groups
from closedbook.knowledge.result_folders import Table

_ENDS = ("mean", "low", "high")
_KINDS = {  # of `groups.of`, as a table names them
    "all": "over relations",
    "corpora": "over relations of a corpus",
    "types": "over relations of a type",
    "pooled": "over facts",
    "parts": "over facts of a part",
}


def of(summary: Mapping[str, Any]) -> dict[str, Table]:
    """The tables that the summary has numbers for, by name.

    Args:
        summary: Of `summary.summarise`.
    """
    made = {"relations": _relations(summary), "means": _means(summary)}
    if summary["correlations"]:
        made["correlations"] = _correlations(summary["correlations"])
    for name in ("wordings", "negated"):
        if name in summary:
            made[name] = _by_relation(summary[name])
    return made


def _relations(summary: Mapping[str, Any]) -> Table:
    metrics = summary["metrics"]
    first = metrics[0]
    columns = [
        *("relation", "label", "type", "corpus", "facts", "candidates"),
        *_columns(metrics),
        *(f"Freq {first}", f"chance {first}"),
        *_columns_of_baselines(summary),
    ]
    rows = []
    for each in summary["relations"]:
        freq = each["freq"].get(first)
        start = [each[name] for name in ("name", "label", "type", "corpus", "facts", "candidates")]
        baselines = [None if freq is None else freq.mean, each["chance"].get(first)]
        rows.append([*start, *_values(each["model"], metrics), *baselines])
        for other in summary["baselines"]:
            rows[-1] += _values(each[other["name"]], other["metrics"])
    return Table(columns=columns, rows=rows)


def _means(summary: Mapping[str, Any]) -> Table:
    """The means over relations and over facts, each metric's with how many relations it is of."""
    shown = [("", "model", summary["metrics"]), ("Freq ", "freq", summary["metrics"])]
    shown += [(f"{e['label']} ", e["name"], e["metrics"]) for e in summary["baselines"]]
    ends = (*_ENDS, "relations")
    columns = ["kind", "name", "facts", "relations"]
    for label, _, metrics in shown:
        columns += _columns([f"{label}{metric}" for metric in metrics], ends)
    rows = [
        [
            *(_KINDS[each.kind], each.name, each.facts, each.relations),
            *(value for _, name, of in shown for value in _values(each.means[name], of, ends)),
        ]
        for each in groups.of(summary)
    ]
    return Table(columns=columns, rows=rows)


def _columns_of_baselines(summary: Mapping[str, Any]) -> list[str]:
    return [
        f"{each['label']} {column}"
        for each in summary["baselines"]
        for column in _columns(each["metrics"])
    ]


def _by_relation(found: Mapping[str, Any]) -> Table:
    metrics = found["metrics"]
    rows = [
        [each["name"], each["label"], each["facts"], *_values(each["model"], metrics)]
        for each in found["relations"]
    ]
    return Table(columns=["relation", "label", "facts", *_columns(metrics)], rows=rows)


def _correlations(found: Sequence[Mapping[str, Any]]) -> Table:
    ends = ("value", "low", "high")
    columns = ["variable", "facts", *ends, *(f"within relations, {end}" for end in ends)]
    rows: list[list[Json]] = []
    for each in found:
        inside = each["within"] or dict.fromkeys(ends)
        rows.append([each["name"], each["n"], *(each[e] for e in ends), *(inside[e] for e in ends)])
    return Table(columns=columns, rows=rows)


def _columns(metrics: Sequence[str], ends: Sequence[str] = _ENDS) -> list[str]:
    return [name for metric in metrics for name in (metric, *(f"{metric} {e}" for e in ends[1:]))]


def _values(
    means: Mapping[str, Any], metrics: Sequence[str], ends: Sequence[str] = _ENDS
) -> list[Json]:
    """Each mean with the ends of its interval; nothing where a metric is not defined."""
    return [
        getattr(means[metric], end) if metric in means else None
        for metric in metrics
        for end in ends
    ]
