"""What `closedbook probe` prints."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from closedbook.eval.report import numbers
from closedbook.eval.report.numbers import counted
from closedbook.eval.report.text import inline
from closedbook.knowledge.probing import groups
from closedbook.knowledge.probing.results import Result
from closedbook.knowledge.probing.summary import Measured
from closedbook.knowledge.probing.wordings import FOLLOWED

_WIDTH = 1000  # no table is cut: what is wider than the terminal goes on in its next line


def show(result: Result, out: pathlib.Path) -> None:
    """Prints the table of relations, the means below it, and what else was asked.

    Args:
        result: Of the probe.
        out: The folder of results, which is named.
    """
    summary, meta = result.summary, result.meta
    screen = Console(highlight=False, soft_wrap=True, markup=False, width=_WIDTH)
    screen.print(
        f"{inline(meta['model'])} on {inline(meta['data'])}: "
        f"{counted(meta['facts'], 'fact')}, {counted(meta['pairs'], 'pair')} of prompt and "
        f"candidate, style {meta['style']}, "
        f"scores by {meta['normalise']}"
    )
    screen.print(_relations(summary))
    relations = len(summary["relations"])
    for each in summary["baselines"]:
        means = summary["all"][each["name"]]
        shown = (f"{name} {_mean(means.get(name), relations)}" for name in each["metrics"])
        screen.print(f"{each['label']:<12} mean over relations: {', '.join(shown)}")
    if groups.any_fewer(summary):
        screen.print(f"(n)          {groups.FEWER}")
    unasked = [row["label"] for row in summary["relations"] if "MRR" not in row["model"]]
    if unasked:
        screen.print(
            f"no mean      {counted(len(unasked), 'relation')} with a fact of one candidate alone, "
            f"of which nothing is asked: {', '.join(inline(name, 40) for name in unasked[:5])}"
            f'{", ..." if len(unasked) > 5 else ""}; --candidates FILE, or "candidates" of your '
            "own relation, gives more"
        )
    if "templates" in summary:
        _templates(screen, summary["templates"])
    if "wordings" in summary:
        _wordings(screen, summary["wordings"])
    if "negated" in summary:
        _negated(screen, summary["negated"])
    _correlations(screen, summary["correlations"])
    if "hidden" in summary:
        _hidden(screen, summary["hidden"])
    for reason, number in meta["dropped"].items():
        hint = "; --style sentence asks them too" if number and reason == FOLLOWED else ""
        said = counted(number, "fact") if number else "nothing"
        screen.print(f"left out     {said}: {inline(reason)}{hint}")
    screen.print(f"report       {out / 'report.html'}")


def _relations(summary: Mapping[str, Any]) -> Table:
    """The relations and their means; behind a metric that is of fewer relations, how many."""
    metrics = summary["metrics"]
    first = metrics[0]
    others = [each for each in summary["baselines"] if first in each["metrics"]]
    together = list(groups.of(summary))
    fewer = {
        metric: any(groups.mark(g.means["model"].get(metric), g.relations) for g in together)
        for metric in metrics
    }
    headings = [name for metric in metrics for name in (metric, *[""] * fewer[metric])]
    headings += [f"Freq {first}", "chance", *(f"{each['label']} {first}" for each in others)]
    table = _table("relation", "n", *headings)

    def line(name: str, n: int, means: Mapping[str, Any], relations: int = 1) -> None:
        cells = []
        for metric in metrics:
            found = means["model"].get(metric)
            cells.append(numbers.with_interval(found))
            if fewer[metric]:
                cells.append(groups.mark(found, relations).strip())
        beside = [means[name].get(first) for name in ("freq", *(e["name"] for e in others))]
        cells += [numbers.percent(each and each.mean) for each in beside]
        cells.insert(len(cells) - len(others), numbers.percent(means["chance"].get(first)))
        table.add_row(name, f"{n:,}", *cells)

    for row in summary["relations"]:
        line(inline(row["label"], 40), row["facts"], row)
    table.add_section()
    for group in together:
        indent = "" if group.kind in ("all", "pooled") else "  "
        line(indent + inline(group.name, 40), group.facts, group.means, group.relations)
    return table


def _mean(value: Measured | None, relations: int) -> str:
    """A mean with its interval, and of how many relations it is where others are of more."""
    return numbers.with_interval(value) + groups.mark(value, relations)


def _templates(screen: Console, found: Mapping[str, Any]) -> None:
    """The mean over templates in one line, with what it is a mean of."""
    each = ", ".join(numbers.percent(one.mean) for one in found["each"])
    templates = counted(len(found["each"]), "template")
    screen.print(
        f"{found['name']:12} {numbers.with_interval(found['score'])}, standard deviation "
        f"{numbers.percent(found['deviation'])} over {templates}: {each}"
    )


def _wordings(screen: Console, found: Mapping[str, Any]) -> None:
    """ParaRel's measures in one line."""
    means, n = found["all"], len(found["relations"])
    shown = (f"{name} {_mean(means.get(name), n)}" for name in found["metrics"])
    asked = f"{counted(found['facts'], 'fact')}, {counted(found['prompts'], 'prompt')}"
    screen.print(f"other words  {asked}: {', '.join(shown)}")


def _negated(screen: Console, found: Mapping[str, Any]) -> None:
    """What changes when prompts are denied, in one line."""
    means, n = found["all"], len(found["relations"])
    shown = [f"{name} {_mean(means.get(name), n)}" for name in found["metrics"][:-1]]
    alike = means.get("rank correlation")
    if alike is not None:
        ends = f"[{alike.low:.2f}, {alike.high:.2f}]{groups.mark(alike, n)}"
        shown.append(f"rank correlation {alike.mean:.2f} {ends}")
    screen.print(f"denied       {counted(found['facts'], 'fact')}: {', '.join(shown)}")


def _correlations(screen: Console, found: Sequence[Mapping[str, Any]]) -> None:
    """The strongest three of those whose interval leaves out 0, in one line."""
    sure = [e for e in found if e["low"] is not None and (e["low"] > 0 or e["high"] < 0)]
    strongest = sorted(sure, key=lambda each: -abs(each["value"]))[:3]
    if strongest:
        told = (
            f"{e['name']} {e['value']:.2f} [{e['low']:.2f}, {e['high']:.2f}]" for e in strongest
        )
        screen.print(f"goes with    being right (r): {', '.join(told)}")


def _hidden(screen: Console, found: Mapping[str, Any]) -> None:
    """K by the model's own scores and by the probe of each site."""
    screen.print(
        f"\nhidden knowledge: {counted(found['facts'], 'fact')}, {counted(found['pairs'], 'pair')} "
        f"of prompt and candidate, probes cross-validated over {found['folds']} folds of subjects"
    )
    labels = {each["name"]: each["label"] for each in found["external"]}
    headings = ("scores by", "K", "all pairs right", *(f"K above {labels[e]}" for e in labels))
    table = _table(*headings)
    for row in [*found["external"], *found["internal"]]:
        gaps = [row["gaps"][name]["value"] if "gaps" in row else None for name in labels]
        shown = map(numbers.with_interval, (row["k"], row["full"], *gaps))
        table.add_row(labels.get(row["name"], row["name"]), *shown)
    screen.print(table)


def _table(*headings: str) -> Table:
    """A table without lines: text in the first column, numbers in the others."""
    table = Table(*headings, box=None, pad_edge=False)
    for column in table.columns:
        column.no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"
    return table
