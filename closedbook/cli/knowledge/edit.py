"""`closedbook edit`: put another object into a fact, look what else changed, take it back."""

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
from closedbook.cli.knowledge.options import ForceOption
from closedbook.cli.run import at_least, one_of, plain

if TYPE_CHECKING:
    from closedbook.knowledge.editing.requests import Edit
    from closedbook.knowledge.editing.settings import Settings
    from closedbook.knowledge.loaded_model import LoadedModel

_METHODS = "rome, memit, emmet, alphaedit; or as baselines ft, ft-l, ft-m."


def edit(
    out: Annotated[
        pathlib.Path | None,
        typer.Option(
            "--out", metavar="DIR", help="The folder to make: report, and the model in DIR/model."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="The model that is edited, as for `closedbook ask`; it stays as it is. Default: "
            "the atlas model."
        ),
    ] = None,
    subject: Annotated[
        str | None, typer.Option(help="What the fact is about, as it stands in the prompt.")
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(help="Asks for the fact; {} stands for the subject."),
    ] = None,
    target: Annotated[str | None, typer.Option(help="The new object.")] = None,
    edits: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Many edits: CounterFact, zsRE, QAEdit, or your own JSON lines with subject, "
            "relation, object, prompt and target.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(callback=at_least(1), metavar="N", help="Only the first N of --edits."),
    ] = None,
    method: Annotated[str, typer.Option(help=_METHODS)] = "rome",
    layers: LayersOption = None,
    stack: EditedStackOption = None,
    key_mode: KeyModeOption = None,
    effect: EffectOption = None,
    context: Annotated[
        list[str] | None,
        typer.Option(help="Another prompt with {} for the same fact; may be given several times."),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(help="A prompt with {} whose answer is to stay; may be given several times."),
    ] = None,
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
    check: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|FILE|atlas|none",
            help="Facts that should not change, asked before and after. Default: all of the "
            "atlas's where the model knows it.",
        ),
    ] = None,
    delta: Annotated[
        bool, typer.Option("--delta", help="Write DIR/delta.npz and no checkpoint.")
    ] = False,
    apply: Annotated[
        pathlib.Path | None,
        typer.Option(metavar="DELTA", help="Instead of editing, add a delta file to --model."),
    ] = None,
    show: Annotated[
        pathlib.Path | None,
        typer.Option("--list", metavar="DIR|DELTA", help="Print what was edited there."),
    ] = None,
    compare: Annotated[
        tuple[pathlib.Path, pathlib.Path] | None,
        typer.Option(metavar="DELTA DELTA", help="Print norms and cosines of two delta files."),
    ] = None,
    undo: Annotated[
        pathlib.Path | None,
        typer.Option(metavar="DIR", help="Take all edits of DIR back, to the same bits."),
    ] = None,
    vocabulary: Annotated[
        pathlib.Path | None,
        typer.Option(help="A vocabulary, for checkpoints that come without one."),
    ] = None,
    force: ForceOption = False,
) -> None:
    """Edit a fact in a model's parameters (ROME, Meng et al. 2022, and its successors).

    The value matrix of one feed-forward layer is changed so that the subject's last token calls up
    the new object. DIR gets report.html, what the model said before and after, and DIR/model, the
    edited checkpoint, which any command takes. The model that was edited stays as it is.

    Settings that are not given are the published ones, or on the packaged models those that were
    found to harm little: decay 1, and of several edits decay 3 with keys accumulated. The report
    and command.json say which were used.

    Examples:

    `closedbook edit --subject Kenya --prompt "What is the capital of {}?" --target Kigali --out k`

    `closedbook ask --model k/model "What is the capital of Kenya?"`

    `closedbook edit --undo k`
    """
    arguments = {option: plain(value) for option, value in locals().items()}
    from closedbook.cli.knowledge import edit_actions
    from closedbook.errors import UserError
    from closedbook.knowledge.loading import DEFAULT_MODEL

    if show is not None:
        edit_actions.listed(show)
        return
    if compare is not None:
        edit_actions.compared(*compare)
        return
    if undo is not None:
        edit_actions.undone(undo)
        return
    if out is None:
        raise UserError("--out is missing; give a folder to make")
    name = model or DEFAULT_MODEL
    if apply is not None:
        edit_actions.added(apply, name, out, vocabulary=vocabulary)
        return
    if (edits is None) == (subject is None):
        raise UserError("give --subject, --prompt and --target for one edit, or --edits FILE")
    if edits is None and (prompt is None or target is None):
        raise UserError("--subject needs --prompt and --target; give all three")
    options = edit_options.given(arguments)

    def settled(loaded: "LoadedModel", number: int) -> "Settings":
        from closedbook.knowledge.editing import presets
        from closedbook.knowledge.editing.settings import METHODS

        known = one_of("--method", method, METHODS)
        return edit_options.changed(presets.settings(loaded, known, in_row=number > 1), options)

    def asked(loaded: "LoadedModel") -> "list[Edit]":
        from closedbook.knowledge.editing import presets

        if edits is not None:
            return edit_actions.read_edits(loaded, edits, limit)
        assert subject is not None
        assert prompt is not None
        assert target is not None
        found = presets.single(loaded, subject, prompt, target, contexts=context, keep=keep or ())
        return [found]

    edit_actions.edited(
        name,
        out,
        asked,
        settled,
        arguments,
        corpus=corpus,
        check=check,
        delta_only=delta,
        vocabulary=vocabulary,
        force=force,
    )
