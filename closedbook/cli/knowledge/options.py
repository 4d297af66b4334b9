"""Options that several commands have, with the same words."""

import pathlib
from typing import Annotated

import typer

OutOption = Annotated[
    pathlib.Path, typer.Option("--out", metavar="DIR", help="The folder of results to make.")
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Replace DIR if it holds results already.")
]
VocabularyOption = Annotated[
    str | None,
    typer.Option(
        "--vocabulary",
        help="A SentencePiece model, a tokenizer.json, or bytes (ByT5), for checkpoints that come "
        "without one.",
    ),
]
ExtraIdsOption = Annotated[
    int | None,
    typer.Option("--extra-ids", help="Sentinels after the pieces of --vocabulary. Default: 100."),
]
StackOption = Annotated[
    str | None,
    typer.Option("--stack", help="encoder or decoder. Default: all that the model has."),
]
