"""`closedbook calibrate`: says when a model should rather not answer."""

import pathlib
from typing import Annotated

import typer

from closedbook.cli.run import at_least


def calibrate(
    predictions: Annotated[
        pathlib.Path,
        typer.Argument(
            metavar="PREDICTIONS",
            help="Answers with scores, of any model: a predictions.jsonl, or what else `closedbook "
            "analyze` reads.",
        ),
    ],
    risk: Annotated[
        float, typer.Option(help="Highest share of wrong answers among those given.")
    ] = 0.1,
    delta: Annotated[
        float, typer.Option(help="Highest probability that the threshold breaks it.")
    ] = 0.1,
    score: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="What says how sure the model was: score, confidence, another key of the rows "
            "(--score=-KEY where smaller is surer), or semantic_entropy, worked out of beams. "
            "Default: confidence if rows have it, else score.",
        ),
    ] = None,
    out: Annotated[
        pathlib.Path | None, typer.Option("--out", metavar="DIR", help="The report to make.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="FIELD=NAME,...", help="Which key is which, as `closedbook analyze` has it."
        ),
    ] = None,
    gold: Annotated[
        pathlib.Path | None,
        typer.Option(metavar="FILE", help="Answers, as `closedbook analyze` has it."),
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="Whose exact match says what is right; see `closedbook analyze`.")
    ] = "squad",
    judge: Annotated[
        str | None,
        typer.Option(
            help="Answers that this judge calls the same are right too: learned, rules, or what "
            "else `closedbook analyze` takes. Default: exact match alone."
        ),
    ] = None,
    splits: Annotated[
        int, typer.Option(help="Random halves on which it is counted whether the promise is held.")
    ] = 1000,
    seed: Annotated[
        int, typer.Option(callback=at_least(0), help="Of all that is drawn at random.")
    ] = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Replace DIR if it is a report already.")
    ] = False,
) -> None:
    """Find the threshold of a model's own score under which it should not answer.

    Of the answers it then gives, at most --risk are wrong, with probability 1 - --delta over the
    questions: a guarantee for finite samples, by Learn then Test. DIR gets report.md, summary.json,
    examples.jsonl (each row, and whether to answer it) and the plot of risk against coverage.

    Examples:

    `closedbook calibrate predictions.jsonl --risk 0.1`

    `closedbook calibrate predictions.jsonl --risk 0.05 --judge learned --out calibrated`

    `closedbook calibrate predictions.jsonl --score semantic_entropy`
    """
    from rich.console import Console

    from closedbook.cli import judging
    from closedbook.cli.analyze import progress_bar
    from closedbook.eval import predictions as files
    from closedbook.eval.abstention import calibrating
    from closedbook.eval.files.forms import columns as column_names
    from closedbook.eval.report import calibrated, outputs

    if out is not None:
        outputs.check_target(out, force=force)
    chosen = None if judge is None else judging.judge(judge)
    named = None if columns is None else column_names.parse(columns)
    read = files.read_any(predictions, columns=named, gold=gold)
    with progress_bar() as progress:
        found = calibrating.calibrate(
            read.rows,
            risk=risk,
            delta=delta,
            score=score,
            protocol=protocol,
            judge=chosen,
            number_of_splits=splits,
            seed=seed,
            source=predictions.name,
            progress=progress,
        )
        if out is not None:
            calibrated.write_calibrated(found, out, force=force)
    screen = Console(highlight=False, soft_wrap=True, markup=False)
    for name, text in calibrated.lines(found):
        screen.print(name.ljust(12), text)
    screen.print("right if".ljust(12), found.right_if)
    screen.print("promise".ljust(12), found.promise)
    if out is not None:
        screen.print("report".ljust(12), out / "report.md")
