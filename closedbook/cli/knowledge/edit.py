"""`closedbook edit`: put another object into a fact, look what else changed, take it back."""

import dataclasses
import pathlib
from typing import TYPE_CHECKING, Annotated

import typer

from closedbook.cli.knowledge.options import ForceOption
from closedbook.cli.run import at_least, comma_separated, one_of, plain

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
    layers: Annotated[
        str | None,
        typer.Option("--layer", metavar="N,...", help="The layers to change, from 0."),
    ] = None,
    stack: Annotated[
        str | None,
        typer.Option(help="encoder or decoder. Default: the one that reads the prompt."),
    ] = None,
    key_mode: Annotated[
        str | None,
        typer.Option(
            help="averaged: the key is the mean over prompt and contexts; prompt: that of the "
            "prompt; original: kmeng01/rome's mixture of the two, which breaks some edits."
        ),
    ] = None,
    effect: Annotated[
        str | None,
        typer.Option(
            help="What the search for the new value sees: it added at the subject (as published), "
            "or the whole effect of the changed matrix."
        ),
    ] = None,
    context: Annotated[
        list[str] | None,
        typer.Option(help="Another prompt with {} for the same fact; may be given several times."),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(help="A prompt with {} whose answer is to stay; may be given several times."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Most steps of the search.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of the search.")] = None,
    kl: Annotated[
        float | None, typer.Option(help="Weight of leaving the subject's other facts alone.")
    ] = None,
    decay: Annotated[
        float | None,
        typer.Option(
            help="Weight of keeping the value's change short. Higher: fewer other facts change, "
            "and more edits fail."
        ),
    ] = None,
    stop: Annotated[
        float | None, typer.Option(help="The search ends once its loss is below this.")
    ] = None,
    preserve: Annotated[
        float | None, typer.Option(help="Weight of their keys beside the second moment.")
    ] = None,
    ridge: Annotated[
        float | None,
        typer.Option(help="Added to the second moment, as a share of its mean eigenvalue."),
    ] = None,
    accumulate_keys: Annotated[
        bool | None,
        typer.Option(
            "--accumulate-keys/--no-accumulate-keys",
            help="Later edits leave the keys of earlier ones alone.",
        ),
    ] = None,
    null_space: Annotated[
        bool | None,
        typer.Option(
            "--null-space/--no-null-space",
            help="Write only where the corpus's keys do nearly nothing.",
        ),
    ] = None,
    null_threshold: Annotated[
        float | None,
        typer.Option(help="Eigenvalues below this share of the largest count as nothing."),
    ] = None,
    norm_anchor: Annotated[
        bool | None,
        typer.Option(
            "--norm-anchor/--no-norm-anchor",
            help="Keep each value at the length that it has in the original.",
        ),
    ] = None,
    corpus: Annotated[
        pathlib.Path | None,
        typer.Option(
            metavar="FILE",
            help="Text of the second moment: one passage a line, or JSON lines of question and "
            "answers. Default: the atlas's questions or sentences.",
        ),
    ] = None,
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
    changes = {
        "stack": stack,
        "layers": None if layers is None else _layers(layers),
        "key_mode": key_mode,
        "effect": effect,
        "preserve": preserve,
        "ridge": ridge,
        "accumulate_keys": accumulate_keys,
        "null_space": null_space,
        "null_threshold": null_threshold,
        "norm_anchor": norm_anchor,
    }
    search = {
        "steps": steps,
        "learning_rate": learning_rate,
        "kl": kl,
        "decay": decay,
        "stop": stop,
    }

    def settled(loaded: "LoadedModel", number: int) -> "Settings":
        from closedbook.knowledge.editing import presets
        from closedbook.knowledge.editing.settings import METHODS

        known = one_of("--method", method, METHODS)
        made = presets.settings(loaded, known, in_row=number > 1)
        value = dataclasses.replace(made.value, **_given(search))  # type: ignore[arg-type]
        return dataclasses.replace(made, value=value, **_given(changes))  # type: ignore[arg-type]

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


def _given(options: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in options.items() if value is not None}


def _layers(text: str) -> tuple[int, ...]:
    from closedbook.errors import UserError

    found = comma_separated(text, drop_empty=False)
    if not all(each.isdecimal() for each in found):
        raise UserError(f"--layer is {text!r}; give numbers from 0: --layer 1, or --layer 0,1")
    return tuple(map(int, found))
