"""`closedbook memories report` and `sheet`: the analyses of Geva et al. 2021 of an index."""

import pathlib
from typing import Annotated

import typer

from closedbook.cli.knowledge.memories import DEFAULT, IndexOption, ModelOption, opened
from closedbook.cli.knowledge.options import ForceOption, OutOption
from closedbook.cli.run import at_least


def report(
    out: OutOption,
    index: IndexOption = DEFAULT,
    model: ModelOption = None,
    corpus: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|DIR|atlas",
            help="Where positions are drawn from, such as held-out text. Default: the corpus of "
            "the index.",
        ),
    ] = None,
    positions: Annotated[
        int,
        typer.Option(
            callback=at_least(1), help="Positions of the corpus at which layers are read."
        ),
    ] = 4000,
    keys: Annotated[
        int,
        typer.Option(callback=at_least(1), help="Memories per layer whose triggers lose a token."),
    ] = 100,
    triggers: Annotated[
        int, typer.Option(callback=at_least(1), help="Triggers of each of them.")
    ] = 50,
    seed: Annotated[int, typer.Option(callback=at_least(0), help="Of what is drawn.")] = 0,
    force: ForceOption = False,
) -> None:
    """Measure the memories of an index as Geva et al. 2021 did, in figures, tables and a page.

    DIR gets report.html (open it in a browser), figures, tables, results.jsonl (a row per memory),
    summary.json and command.json. What is done when the command is killed stays in
    DIR.unfinished, and the same command goes on from there.

    Example: `closedbook memories index`, then `closedbook memories report --out memories_report`
    """
    arguments = {
        "out": str(out),
        "index": str(index),
        "model": model,
        "corpus": corpus,
        "positions": positions,
        "keys": keys,
        "triggers": triggers,
        "seed": seed,
    }
    from closedbook.cli.analyze import progress_bar
    from closedbook.knowledge import result_folders
    from closedbook.knowledge.memories import sources
    from closedbook.knowledge.memories.analyses import results, run

    result_folders.check_target(out, force=force)
    settings = run.Settings(positions=positions, keys=keys, triggers=triggers, seed=seed)
    with progress_bar() as progress, result_folders.unfinished(out) as kept:
        found, loaded = opened(index, model)
        texts = sources.corpus_of(found, loaded, corpus)
        tables = run.analyse(loaded, found, texts, settings, kept, progress)
        made = results.of(tables, loaded, found, texts, settings, arguments)
        results.write(made, out, force=force)
    print(out / "report.html")


def sheet(
    out: OutOption,
    index: IndexOption = DEFAULT,
    model: ModelOption = None,
    stack: Annotated[str, typer.Option(help="encoder or decoder.")] = "decoder",
    keys: Annotated[int, typer.Option(callback=at_least(1), help="Memories per layer.")] = 10,
    triggers: Annotated[
        int, typer.Option(callback=at_least(1), help="Triggers of each of them.")
    ] = 25,
    seed: Annotated[
        int, typer.Option(callback=at_least(0), help="Of which memories are drawn.")
    ] = 0,
    labels: Annotated[
        pathlib.Path | None,
        typer.Option(
            metavar="FILE",
            help="Read this labelled sheet.csv back instead, and draw figure 2 of the paper.",
        ),
    ] = None,
    force: ForceOption = False,
) -> None:
    """Write a sheet of random memories and their triggers for people to label, or read it back.

    People look for patterns that recur in at least three triggers of a memory, and call them
    shallow (words) or semantic (a topic). DIR gets report.html to label on a screen and
    tables/sheet.csv for a spreadsheet.

    Example: `closedbook memories sheet --out sheet`, then, labelled,
    `closedbook memories sheet --labels sheet.csv --out figure_2`
    """
    from closedbook.eval.report import numbers
    from closedbook.knowledge import result_folders
    from closedbook.knowledge.memories.analyses import labels as labelling
    from closedbook.knowledge.memories.analyses import sheet as sheets

    result_folders.check_target(out, force=force)
    arguments: dict[str, object] = {
        "out": str(out),
        "index": str(index),
        "model": model,
        "seed": seed,
    }
    if labels is not None:
        done, unlabelled = labelling.read(labels)
        found, loaded = opened(index, model)
        labelling.check(done, found, labels)
        made = sheets.meta(found, done[0].cell.stack)
        command = result_folders.command(
            loaded, found.model_name, {**arguments, "labels": str(labels)}
        )
        labelling.write(done, unlabelled, out, made, command, force=force)
        labelled = numbers.counted(len(done), "labelled memory")
        print(f"{labelled}, {unlabelled} without a label: {out}/report.html")
        return
    found, loaded = opened(index, model)
    drawn = sheets.draw(found, loaded.vocabulary, stack, keys=keys, triggers=triggers, seed=seed)
    arguments |= {"stack": stack, "keys": keys, "triggers": triggers}
    sheets.write(drawn, loaded, out, arguments, force=force)
    to_label = numbers.counted(len(drawn.rows), "trigger")
    print(f"{to_label} to label: {out}/report.html or {out}/tables/sheet.csv")
