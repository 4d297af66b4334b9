"""How an edit is made: the options that `edit` and `edit-eval` share, and what they change."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from closedbook.cli.run import comma_separated

if TYPE_CHECKING:
    from closedbook.knowledge.editing.settings import Settings

LayersOption = Annotated[
    str | None,
    typer.Option("--layer", metavar="N,...", help="The layers to change, from 0."),
]
EditedStackOption = Annotated[
    str | None,
    typer.Option(help="encoder or decoder. Default: the one that reads the prompt."),
]
KeyModeOption = Annotated[
    str | None,
    typer.Option(
        help="averaged: the key is the mean over prompt and contexts; prompt: that of the "
        "prompt; original: kmeng01/rome's mixture of the two, which breaks some edits."
    ),
]
EffectOption = Annotated[
    str | None,
    typer.Option(
        help="What the search for the new value sees: it added at the subject (as published), "
        "or the whole effect of the changed matrix."
    ),
]
StepsOption = Annotated[int | None, typer.Option(help="Most steps of the search.")]
LearningRateOption = Annotated[float | None, typer.Option(help="Of the search.")]
KlOption = Annotated[
    float | None, typer.Option(help="Weight of leaving the subject's other facts alone.")
]
DecayOption = Annotated[
    float | None,
    typer.Option(
        help="Weight of keeping the value's change short. Higher: fewer other facts change, "
        "and more edits fail."
    ),
]
StopOption = Annotated[
    float | None, typer.Option(help="The search ends once its loss is below this.")
]
PreserveOption = Annotated[
    float | None, typer.Option(help="Weight of their keys beside the second moment.")
]
RidgeOption = Annotated[
    float | None,
    typer.Option(help="Added to the second moment, as a share of its mean eigenvalue."),
]
AccumulateKeysOption = Annotated[
    bool | None,
    typer.Option(
        "--accumulate-keys/--no-accumulate-keys",
        help="Later edits leave the keys of earlier ones alone.",
    ),
]
NullSpaceOption = Annotated[
    bool | None,
    typer.Option(
        "--null-space/--no-null-space",
        help="Write only where the corpus's keys do nearly nothing.",
    ),
]
NullThresholdOption = Annotated[
    float | None,
    typer.Option(help="Eigenvalues below this share of the largest count as nothing."),
]
NormAnchorOption = Annotated[
    bool | None,
    typer.Option(
        "--norm-anchor/--no-norm-anchor",
        help="Keep each value at the length that it has in the original.",
    ),
]
CorpusOption = Annotated[
    pathlib.Path | None,
    typer.Option(
        metavar="FILE",
        help="Text of the second moment: one passage a line, or JSON lines of question and "
        "answers. Default: the atlas's questions or sentences.",
    ),
]


_NAMES = (
    "stack",
    "key_mode",
    "effect",
    "steps",
    "learning_rate",
    "kl",
    "decay",
    "stop",
    "preserve",
    "ridge",
    "accumulate_keys",
    "null_space",
    "null_threshold",
    "norm_anchor",
)


def given(arguments: Mapping[str, object]) -> dict[str, object]:
    """Those of a command's arguments that say how an edit is made, and are given.

    Args:
        arguments: By the names of the command's parameters; None is not given.

    Raises:
        UserError: The layers are no numbers.
    """
    layers = arguments["layers"]
    found = {name: arguments[name] for name in _NAMES}
    found["layers"] = None if layers is None else _numbers(str(layers))
    return {name: value for name, value in found.items() if value is not None}


def changed(made: "Settings", options: Mapping[str, object]) -> "Settings":
    """Settings with other values.

    Args:
        made: What a method does for a model where nothing is said.
        options: Names of fields, of `Settings` or of its search for the value.
    """
    from closedbook.knowledge.editing.values import ValueSettings

    of_search = {field.name for field in dataclasses.fields(ValueSettings)}
    search = {name: value for name, value in options.items() if name in of_search}
    rest = {name: value for name, value in options.items() if name not in of_search}
    value = dataclasses.replace(made.value, **search)  # type: ignore[arg-type]  # typer checked it
    return dataclasses.replace(made, value=value, **rest)  # type: ignore[arg-type]


def _numbers(text: str) -> tuple[int, ...]:
    """The layers of --layer.

    Raises:
        UserError: They are no numbers.
    """
    from closedbook.errors import UserError

    found = comma_separated(text, drop_empty=False)
    if not all(each.isdecimal() for each in found):
        raise UserError(f"--layer is {text!r}; give numbers from 0: --layer 1, or --layer 0,1")
    return tuple(map(int, found))
