"""What `closedbook capacity` prints."""

import pathlib
from typing import Any

from rich.console import Console
from rich.table import Table

from closedbook.eval.report.numbers import counted, percent
from closedbook.eval.report.text import inline
from closedbook.knowledge.capacity.bits import Bits
from closedbook.knowledge.capacity.drawing import shown
from closedbook.knowledge.capacity.results import Result

_WIDTH = 1000  # no table is cut: what is wider than the terminal goes on in its next line


def show(result: Result, out: pathlib.Path) -> None:
    """Prints the bits of relations and parts, in all, and per parameter.

    Args:
        result: Of the measurement.
        out: The folder of results, which is named.
    """
    summary, meta = result.summary, result.meta
    screen = Console(highlight=False, soft_wrap=True, markup=False, width=_WIDTH)
    screen.print(
        f"{inline(meta['model'])} on {inline(meta['data'])}: {counted(meta['facts'], 'fact')}, "
        f"style {meta['style']}, {counted(meta['phrasings'], 'phrasing')}, prior {meta['prior']}"
    )
    several = meta["phrasings"] > 1
    table = Table("", "n", "worth, bits", "held", "%", box=None, pad_edge=False)
    if several:
        table.add_column("mean of phrasings")
        table.add_column("first alone")
    for column in table.columns:
        column.no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"

    def line(name: str, n: int, found: Any) -> None:
        best: Bits = found["best"]
        rate = percent(best.bits / best.entropy) if best.entropy else "–"
        cells = [f"{n:,}", f"{best.entropy:,.1f}", shown(best), rate]
        cells += [shown(found["mean"]), shown(found["first"])] if several else []
        table.add_row(name, *cells)

    for row in summary["relations"]:
        line(inline(row["label"], 40), row["facts"], row)
    table.add_section()
    for part in summary["parts"]:
        line(f"  {inline(part['name'], 40)}", part["facts"], part)
    line("in all", meta["facts"], summary["all"])
    screen.print(table)
    parameters, rate = summary["parameters"], summary["per_parameter"]
    screen.print(
        f"per parameter {shown(rate['all'])} of {parameters['total']:,}; "
        f"{shown(rate['without embeddings'])} of the {parameters['others']:,} that are no embedding"
    )
    for reason, number in meta["dropped"].items():
        said = counted(number, "fact") if number else "nothing"
        screen.print(f"left out      {said}: {inline(reason)}")
    screen.print(f"report        {out / 'report.html'}")
