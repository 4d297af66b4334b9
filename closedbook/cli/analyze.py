"""`closedbook analyze`: says which errors of a predictions file are errors."""

import os
import pathlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from closedbook.eval.analysis.analysis import Progress
    from closedbook.eval.analysis.results import Analysis
    from closedbook.eval.intervals import Estimate
    from closedbook.eval.predictions import Prediction


def analyze(
    predictions: Annotated[
        list[pathlib.Path],
        typer.Argument(
            metavar="PREDICTIONS",
            help="Answers of any model, recognised by what is in the file: a predictions.jsonl "
            "(question, answers, prediction), a table, or what another tool wrote: "
            "lm-evaluation-harness, inspect_ai, HELM, KILT, DPR, FiD, FlashRAG, self-RAG, "
            "OpenCompass, SQuAD, W&B, pandas, Parquet, Arrow. May be packed by gzip. One file; "
            "with --diagnose one or two: mine, theirs.",
        ),
    ],
    out: Annotated[
        pathlib.Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="The report directory to make; needed but with --diagnose, which prints.",
        ),
    ] = None,
    diagnose: Annotated[
        bool,
        typer.Option(
            "--diagnose",
            help="Say what would change the score of one file, or what the gap between two is made "
            "of: prefixes, run-on text, truncation, stop strings, protocols, gold answers, rows.",
        ),
    ] = False,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="FIELD=NAME,...",
            help="Which key or column is which, where it is not told by its name: "
            "question=Q,answers=golds,prediction=out; also id and score. A name may lead into a "
            "row: doc.question. Columns of a table without names have numbers, from 1.",
        ),
    ] = None,
    gold: Annotated[
        pathlib.Path | None,
        typer.Option(
            metavar="FILE",
            help="Questions and their answers, for predictions that come without: SQuAD's file, "
            "KILT's, FiD's input, or rows with id, question and answers.",
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            help="Whose exact match is the headline: squad, nq_open, trivia_qa, "
            "natural_questions, dpr, curated_trec or lm_eval; the report shows them all. Or "
            "simpleqa: what the judge calls correct, incorrect, not attempted, and SimpleQA's F1."
        ),
    ] = "squad",
    labels: Annotated[
        pathlib.Path | None,
        typer.Option(
            metavar="JSONL",
            help='What people say of wrong predictions, all or a random sample: {"id", "label"}, '
            "a label being 'true negative' (or 'wrong'), 'phrasing', 'incomplete' or "
            "'unanswerable'. Or the corrections of single verdicts that report.html saves.",
        ),
    ] = None,
    train: Annotated[
        pathlib.Path | None,
        typer.Option(
            metavar="FILE",
            help="The training set, for train-test overlap: JSON lines, or a table: .csv or .tsv "
            "with the columns question and answers, or DPR's.",
        ),
    ] = None,
    also: Annotated[
        list[pathlib.Path] | None,
        typer.Option(
            metavar="JSONL", help="Another system's predictions; answers they share are candidates."
        ),
    ] = None,
    other_gold: Annotated[
        pathlib.Path | None,
        typer.Option(
            metavar="FILE",
            help="Another data set's answers to some of the questions; as --train.",
        ),
    ] = None,
    judge: Annotated[
        str,
        typer.Option(
            help="Judge of equivalence: learned; rules (no weights); t5:CHECKPOINT (fine-tuned "
            "on answer_equivalence); cross-encoder:MODEL (of transformers); or module:function."
        ),
    ] = "learned",
    threshold: Annotated[
        float | None,
        typer.Option(help="Probability from which answers are equivalent. Default: the judge's."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace DIR if it is a report already.")
    ] = False,
) -> None:
    """Analyse the errors of a predictions file, and write a report.

    Exact match is too strict: some wrong answers say the same in other words, some are right and
    not in the gold answers, some questions have no answer without a date or a page. DIR gets
    report.html (open it in a browser), report.md, report.tex, summary.json, examples.jsonl (every
    row with its verdict), candidates.jsonl (review these first) and figures. No network, no GPU.

    Examples:

    `closedbook analyze predictions.jsonl --out report`

    `closedbook analyze mine.jsonl --out report --also dpr.jsonl --also fid.jsonl --train nq.jsonl`

    `closedbook analyze mine.jsonl --out labelled --labels labels.jsonl`

    `closedbook analyze samples_nq_open_2026-01-01.jsonl --out report`

    `closedbook analyze answers.csv --out report --columns question=Q,answers=truth,prediction=llm`

    `closedbook analyze predictions.json --gold dev-v1.1.json --out report`

    `closedbook analyze --diagnose mine.jsonl theirs.jsonl`
    """
    from closedbook.cli import judging
    from closedbook.cli.diagnose import diagnose as diagnosed
    from closedbook.errors import UserError
    from closedbook.eval import analysis
    from closedbook.eval import predictions as files
    from closedbook.eval.analysis import labels as label_files
    from closedbook.eval.files import gold as gold_files
    from closedbook.eval.files.forms import columns as column_names
    from closedbook.eval.report import outputs

    named = None if columns is None else column_names.parse(columns)
    if diagnose:
        diagnosed(
            predictions,
            out,
            columns=named,
            gold=gold,
            protocol=protocol,
            other_gold=other_gold,
            force=force,
        )
        return
    if len(predictions) > 1:
        raise UserError(
            f"{len(predictions)} files to analyse; give one, or use `closedbook compare`, or "
            "--diagnose for what their scores differ by"
        )
    if out is None:
        raise UserError("--out is missing; give the folder of the report: --out DIR")
    [path] = predictions
    outputs.check_target(out, force=force)
    chosen = judging.judge(judge)
    read = files.read_any(path, columns=named, gold=gold)
    for other in also or []:
        if other.exists() and other.samefile(path):
            raise UserError(f"--also {other} is the file to analyse; give another system's")
    with progress_bar() as progress:
        found = analysis.analyze(
            read.rows,
            protocol=protocol,
            judge=chosen,
            threshold=threshold,
            labels=label_files.read(labels) if labels else None,
            train=gold_files.read(train) if train else None,
            also=read_named(also or []),
            other_gold=gold_files.read(other_gold) if other_gold else None,
            source=path.name,
            form=read.form,
            notes=read.notes,
            progress=progress,
        )
        progress("writing", 1, 1)
        outputs.write_analysis(found, out, force=force)
    _print(found, out)


@contextmanager
def progress_bar() -> "Iterator[Progress]":
    """A bar on standard error, gone when done; nothing where no terminal is."""
    if not sys.stderr.isatty() and not os.environ.get("FORCE_COLOR"):
        yield lambda step, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from closedbook.eval.report.text import inline

    screen = Console(stderr=True)
    # Steps may be names that stand in data, brackets and all.
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    quiet = not screen.is_terminal  # of a terminal that shows no bars
    # Standard output may be a file while standard error is a terminal: what is printed stays there.
    bar = Progress(*columns, console=screen, transient=True, redirect_stdout=False, disable=quiet)
    with bar:
        task = bar.add_task("reading", total=None)
        yield lambda step, done, total: bar.update(
            task, description=inline(step, 40), completed=done, total=total
        )


def read_named(paths: list[pathlib.Path]) -> "dict[str, list[Prediction]]":
    """Predictions by their file's stem, or by folder and stem where stems are alike."""
    from closedbook.errors import UserError
    from closedbook.eval import predictions as files

    stems = [pathlib.Path(path.name.removesuffix(".gz")).stem for path in paths]
    named = {}
    for path, stem in zip(paths, stems, strict=True):
        alike = stems.count(stem) > 1
        name = f"{path.absolute().parent.name}/{stem}" if alike else stem
        if name in named:
            raise UserError(f"{path} is given twice, or a file of the same name and folder is")
        named[name] = files.read(path)
    return named


def _print(analysis: "Analysis", out: pathlib.Path) -> None:
    """The headline and the four-way table."""
    from rich.console import Console
    from rich.table import Table

    screen = Console(highlight=False, soft_wrap=True, markup=False)
    kinds, meta = analysis.taxonomy, analysis.meta
    if meta.protocol == analysis.grades.protocol:
        for name, value in analysis.grades.shares():
            screen.print(f"{name:<20} {shown(value)}")
        screen.print(f"({meta.protocol}, n {meta.n:,})")
    else:
        screen.print(f"exact match  {shown(kinds.em)}  ({meta.protocol}, n {meta.n:,})")
    flagged = (
        f"left out, to flagged questions: {kinds.counts[-1].flagged:,}" if kinds.counts else ""
    )
    screen.print(f"adjusted     {shown(kinds.adjusted)}{f'  ({flagged})' if flagged else ''}")
    if kinds.doubts:
        screen.print(f"             bounds, not an interval: {'; '.join(kinds.doubts)}")
    table = Table("wrong predictions", "count", "share", box=None, pad_edge=False)
    for row in kinds.rows:
        if row.asserted:
            share = f"{100 * row.share:.1f}% [{100 * row.low:.1f}, {100 * row.high:.1f}]"
            table.add_row(row.name, f"{row.count:,}", share)
        else:
            table.add_row(row.name, "", f"not asserted; {len(analysis.candidates):,} to review")
    screen.print(table)
    for note, count in sorted(meta.notes.items()):
        screen.print(f"{count:,} rows".ljust(12), note)
    if meta.form:
        screen.print(f"read as      {meta.form}")
    screen.print(f"report       {out / 'report.html'}")


def shown(estimate: "Estimate") -> str:
    """A share in percent with its interval."""
    from closedbook.eval.intervals import UNKNOWN

    mean, low, high = (100 * value for value in (estimate.mean, estimate.low, estimate.high))
    return f"{'not known' if estimate == UNKNOWN else f'{mean:.1f}%'} [{low:.1f}, {high:.1f}]"
