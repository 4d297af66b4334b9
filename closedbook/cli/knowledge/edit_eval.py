"""`closedbook edit-eval`: how well edits hold, and what they cost."""

import pathlib
from typing import TYPE_CHECKING, Annotated

import typer

from closedbook.cli.knowledge import edit_options
from closedbook.cli.knowledge.edit_options import (
    AccumulateKeysOption,
    CorpusOption,
    DecayOption,
    EditedStackOption,
    EffectOption,
    KeyModeOption,
    KlOption,
    LayersOption,
    LearningRateOption,
    NormAnchorOption,
    NullSpaceOption,
    NullThresholdOption,
    PreserveOption,
    RidgeOption,
    StepsOption,
    StopOption,
)
from closedbook.cli.knowledge.options import ForceOption, OutOption
from closedbook.cli.run import at_least, comma_separated, plain

if TYPE_CHECKING:
    from closedbook.knowledge.editing.evaluation.pages import Variant
    from closedbook.knowledge.leaving_out import LeftOut

_WIDTH = 150


def edit_eval(
    out: OutOption,
    model: Annotated[
        str | None, typer.Option(help="The model that is edited. Default: the atlas model.")
    ] = None,
    data: Annotated[
        str,
        typer.Option(
            metavar="DIR|FILE|atlas",
            help="The edits: CounterFact, zsRE, QAEdit or your own facts with a target; or false "
            "objects for facts that the model knows, of the atlas or of data without targets.",
        ),
    ] = "atlas",
    methods: Annotated[
        str,
        typer.Option(
            "--method",
            metavar="A,B,...",
            help="rome, memit, emmet, alphaedit, ft, ft-l, ft-m: all in one table.",
        ),
    ] = "rome,ft-m,ft-l,ft",
    edits: Annotated[
        int, typer.Option(callback=at_least(1), metavar="N", help="How many single edits.")
    ] = 20,
    others: Annotated[
        int | None,
        typer.Option(
            callback=at_least(1),
            metavar="N",
            help="Other facts asked after each edit. Default: all of the atlas.",
        ),
    ] = None,
    sequence: Annotated[
        str | None,
        typer.Option(metavar="1,10,...", help="Also make so many edits in a row."),
    ] = None,
    layers: LayersOption = None,
    stack: EditedStackOption = None,
    key_mode: KeyModeOption = None,
    effect: EffectOption = None,
    steps: StepsOption = None,
    learning_rate: LearningRateOption = None,
    kl: KlOption = None,
    decay: DecayOption = None,
    stop: StopOption = None,
    preserve: PreserveOption = None,
    ridge: RidgeOption = None,
    accumulate_keys: AccumulateKeysOption = None,
    null_space: NullSpaceOption = None,
    null_threshold: NullThresholdOption = None,
    norm_anchor: NormAnchorOption = None,
    corpus: CorpusOption = None,
    seed: Annotated[int, typer.Option(help="Which facts of the atlas, and which targets.")] = 0,
    vocabulary: Annotated[
        pathlib.Path | None,
        typer.Option(help="A vocabulary, for checkpoints that come without one."),
    ] = None,
    force: ForceOption = False,
) -> None:
    """Evaluate edits by what the model says freely; the papers' measures stand beside it.

    Each edit is of the stored original. The model answers greedily, with no gold tokens, to its
    natural end. DIR gets report.html, summary.json, results.jsonl, tables and figures.

    Examples:

    `closedbook edit-eval --data atlas --edits 20 --others 600 --out edits`

    `closedbook edit-eval --data atlas --method rome,alphaedit --sequence 1,10,100 --out row`
    """
    arguments = {name: plain(value) for name, value in locals().items()}
    from closedbook.cli.analyze import progress_bar
    from closedbook.knowledge import result_folders
    from closedbook.knowledge.editing.evaluation import data_cases, pages, run
    from closedbook.knowledge.leaving_out import LeftOut
    from closedbook.knowledge.loading import DEFAULT_MODEL, load_model

    chosen = run.methods(comma_separated(methods))
    points = _numbers(sequence)
    options = edit_options.given(arguments)

    result_folders.check_target(out, force=force)
    name = model or DEFAULT_MODEL
    with progress_bar() as progress:
        loaded = load_model(name, vocabulary=vocabulary)
        number = max(edits, *points, 1)
        left = LeftOut()
        if data == "atlas":
            cases = run.atlas_cases(loaded, number, others, seed)
        else:
            read = data_cases.read(
                loaded, data, number, others=others, seed=seed, progress=progress
            )
            cases, left = read.cases, read.left
        found = run.evaluate(
            loaded,
            cases,
            chosen,
            singles=edits,
            points=points,
            changed=lambda made: edit_options.changed(made, options),
            corpus=corpus,
            progress=progress,
        )
        pages.write(out, found, loaded, name=name, data=data, arguments=arguments, force=force)
    _print(found, left, out)


def _numbers(text: str | None) -> list[int]:
    from closedbook.errors import UserError

    found = comma_separated(text or "")
    if not all(each.isdecimal() for each in found):
        raise UserError(f"{text!r} is no list of numbers; give them with commas: 1,10,100")
    return [int(each) for each in found]


def _print(variants: "list[Variant]", left: "LeftOut", out: pathlib.Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from closedbook.eval.report import numbers
    from closedbook.knowledge.editing.evaluation.cases import DENIED, GROUPS, YES_NO
    from closedbook.knowledge.editing.evaluation.summary import WRITTEN

    screen = Console(highlight=False, soft_wrap=True, markup=False, width=_WIDTH)
    for line in left.lines():
        screen.print(line)
    edits = numbers.counted(variants[0].summary["n"], "single edit")
    screen.print(f"{edits}; free answers, percent")
    table = Table("", *(each.name for each in variants), box=None, pad_edge=False)
    for group in GROUPS:
        cells = [numbers.with_interval(each.summary["free"].get(group)) for each in variants]
        if any(group in each.summary["free"] for each in variants):
            table.add_row(f"{group} (low is good)" if group in DENIED else group, *cells)
    table.add_section()
    for name in ("ES", "PS", "NS"):
        cells = [numbers.with_interval(each.summary["forced"].get(name)) for each in variants]
        table.add_row(f"forced {name}", *cells)
    table.add_row("forced S", *(numbers.percent(each.summary["S"]) for each in variants))
    for name in YES_NO:
        found = [each.summary["yes_no"].get(name) for each in variants]
        if any(found):
            cells = [numbers.with_interval(each and each["after"]) for each in found]
            table.add_row(name, *cells)
    for name in WRITTEN:
        found = [each.summary["written"].get(name) for each in variants]
        if any(found):
            scale = 1 if name == "GE" else 100
            cells = ["–" if not e else f"{scale * e['after'].mean:.1f}" for e in found]
            table.add_row(name, *cells)
    screen.print(table)
    for variant in variants:
        for point in variant.points:
            screen.print(
                f"{variant.name}, {point.edits:,} in a row: prompt "
                f"{numbers.percent(point.told['prompt'].mean)}, others kept "
                f"{numbers.percent(point.kept.mean)}, |W| x {max(point.norms.values()):.2f}"
                + (" collapsed" if point.collapsed else "")
            )
    screen.print(f"report       {out / 'report.html'}")
