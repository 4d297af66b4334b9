"""`closedbook compare`: says which of several systems is better, and whether it is chance."""

import pathlib
from typing import TYPE_CHECKING, Annotated

import typer

from closedbook.cli.analyze import read_named, shown
from closedbook.cli.run import comma_separated

if TYPE_CHECKING:
    from closedbook.eval.analysis.comparison.results import Comparison
    from closedbook.eval.intervals import Estimate


def compare(
    predictions: Annotated[
        list[pathlib.Path],
        typer.Argument(
            metavar="A B ...",
            help="Predictions of two or more systems for the same questions; matched by id where "
            "all have ids, else by question.",
        ),
    ],
    out: Annotated[
        pathlib.Path, typer.Option("--out", metavar="DIR", help="The report directory to make.")
    ],
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            help="Protocols of exact match, the headline first; may be given several times. "
            "Default: all that apply, squad first."
        ),
    ] = None,
    names: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...", help="The systems' names, in order. Default: the files' names."
        ),
    ] = None,
    judge: Annotated[
        str,
        typer.Option(
            help="Judge of equivalence for the adjusted scores: learned; rules; t5:CHECKPOINT; "
            "cross-encoder:MODEL; or module:function."
        ),
    ] = "learned",
    force: Annotated[
        bool, typer.Option("--force", help="Replace DIR if it is a report already.")
    ] = False,
) -> None:
    """Compare systems on the questions that all of them answered, and write a report.

    Differences come with 95% intervals and McNemar's exact test, over whole questions where rows
    share them, corrected after Holm for the number of pairs. Adjusted scores also count gold
    answers in other words; slices compare the systems on parts of the questions. Where the files'
    gold answers differ, all systems are scored against those of all files. DIR gets report.html,
    report.md, report.tex, summary.json, examples.jsonl (each question with every system's
    prediction) and figures.

    Examples:

    `closedbook compare t5.jsonl fid.jsonl --out comparison`

    `closedbook compare run1/p.jsonl run2/p.jsonl run3/p.jsonl --names a,b,c --out comparison`

    `closedbook compare a.jsonl b.jsonl --protocol trivia_qa --protocol squad --out comparison`
    """
    from closedbook.cli import judging
    from closedbook.cli.analyze import progress_bar
    from closedbook.errors import UserError
    from closedbook.eval.analysis import comparison
    from closedbook.eval.report import outputs

    outputs.check_target(out, force=force)
    chosen = judging.judge(judge)
    with progress_bar() as progress:
        systems = read_named(predictions)
        if names is not None:
            given = comma_separated(names, drop_empty=False)
            if len(given) != len(systems) or len(set(given)) < len(given) or not all(given):
                raise UserError(
                    f"--names is {names!r}; give {len(systems)} different names, with commas "
                    "between them"
                )
            systems = dict(zip(given, systems.values(), strict=True))
        progress("comparing", 0, 1)
        headline, *others = protocol or ["squad"]
        found = comparison.compare(
            systems, protocol=headline, others=others if protocol else None, judge=chosen
        )
        outputs.write_comparison(found, out, force=force)
    _print(found, out)


def _print(found: "Comparison", out: pathlib.Path) -> None:
    """The headline of each system, best first, and its difference to the best."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from closedbook.eval.report import measures

    screen = Console(highlight=False, soft_wrap=True, markup=False)
    headline = found.protocols[0]
    scores = sorted(headline.scores, key=lambda score: -score.em.mean)
    best = scores[0].system
    pairs = {frozenset(pair.systems): pair for pair in headline.pairs}
    adjusted = {score.system: score.adjusted for score in found.adjusted.scores}
    table = Table(
        *("system", "exact match", "to the best", "p (Holm)", "adjusted"), box=None, pad_edge=False
    )
    for score in scores:
        name = score.system
        cells = ["", ""]
        if name != best:
            pair = pairs[frozenset((best, name))]
            sign = 1 if pair.systems[0] == name else -1
            cells = [_difference(pair.difference, sign), f"{pair.p_holm:.2g}"]
        table.add_row(Text(_printable(name)), shown(score.em), *cells, shown(adjusted[name]))
    screen.print(f"{headline.protocol}, n {measures.compared(found)} in common")
    screen.print(table)
    if found.meta.golds_differ:
        screen.print(measures.golds(found).strip())
    left_out = sum(system.left_out for system in found.systems)
    if left_out:
        screen.print(f"left out     {left_out:,} rows whose question not all systems answered")
    screen.print(f"report       {out / 'report.html'}")


def _difference(value: "Estimate", sign: int) -> str:
    mean = 100 * sign * value.mean
    low, high = sorted(100 * sign * end for end in (value.low, value.high))
    # Without the sum a difference of nothing would be written -0.0.
    mean, low, high = (round(number, 1) + 0.0 for number in (mean, low, high))
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
