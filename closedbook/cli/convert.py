"""`closedbook convert`: prints what a checkpoint is, and writes it in another format."""

import math
import pathlib
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

from closedbook.cli.run import shown_bytes

if TYPE_CHECKING:
    from closedbook.checkpoints import Checkpoint
    from closedbook.models.families import Config


def convert(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="A checkpoint of any format: a folder, a file, gs://bucket/folder, "
            "hf://organisation/name or closedbook://NAME.",
        ),
    ],
    target: Annotated[str | None, typer.Argument(metavar="DST", help="The folder to make.")] = None,
    to: Annotated[
        str,
        typer.Option(help="closedbook, t5x (native: msgpack and zarr), t5x-orbax or huggingface."),
    ] = "",
    dtype: Annotated[
        str | None, typer.Option(help="float32, bfloat16 or float16. Default: as stored.")
    ] = None,
    layers: Annotated[
        str,
        typer.Option(
            help="unrolled, scanned (stacked on axis 1), or auto: as they are for closedbook, "
            "unrolled for the others."
        ),
    ] = "auto",
    optimizer: Annotated[
        str, typer.Option(help="keep or drop the optimiser's state (Adafactor's).")
    ] = "keep",
    vocabulary: Annotated[
        str | None,
        typer.Option(
            help="SentencePiece model, tokenizer.json, or bytes (ByT5), for checkpoints that come "
            "without one."
        ),
    ] = None,
    extra_ids: Annotated[
        int | None, typer.Option(help="Sentinels after the pieces of --vocabulary. Default: 100.")
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option(help="Text before each question. Default: the source's."),
    ] = None,
    step: Annotated[
        int | None, typer.Option(help="Of the written checkpoint. Default: the source's, or 0.")
    ] = None,
    max_shard_gb: Annotated[
        float, typer.Option(help="Largest file of the Hugging Face format, in GB.")
    ] = 5.0,
    no_imports: Annotated[
        bool,
        typer.Option(
            "--no-imports",
            "--no_imports",
            help="Import no code that SRC names. It is always so: a checkpoint is data, and its "
            "config.gin is not read.",
        ),
    ] = True,
    force: Annotated[
        bool, typer.Option("--force", help="Replace DST if it is a checkpoint already.")
    ] = False,
) -> None:
    """Convert a checkpoint; without DST, only say what SRC is.

    Format, family and size are recognised. Tensors are converted one at a time, so memory for
    the largest is enough. DST appears when all is written, and never half.

    Examples:

    `closedbook convert gs://t5-data/pretrained_models/cbqa/small_ssm_nq runs/small --to closedbook`

    `closedbook convert runs/nq_small/checkpoint_1010000 exported --to huggingface`
    """
    del no_imports  # nothing here imports what a checkpoint names
    from closedbook.checkpoints import convert as converting
    from closedbook.checkpoints import open_checkpoint, recognise
    from closedbook.checkpoints.vocabularies import open_vocabulary
    from closedbook.errors import UserError

    out = Console(highlight=False, soft_wrap=True, markup=False)
    if target is None and not to:
        opened = open_checkpoint(source, newest=False)
        out.print(f"source  {opened.path}\n        {_words(opened, recognise(opened))}")
        return
    if target is None or not to:
        raise UserError(
            "give DST and --to FORMAT to convert, or neither to see what SRC is; formats: "
            + ", ".join(converting.WRITABLE)
        )
    if not 0.001 <= max_shard_gb < 1e6:
        raise UserError(f"--max-shard-gb is {max_shard_gb}; give a number of GB from 0.001 on")
    words = vocabulary and pathlib.Path(open_vocabulary(vocabulary).local_path).expanduser()
    options = converting.Options(
        to=to,
        dtype=dtype,
        layers=layers,
        optimizer=optimizer,
        vocabulary=words or None,
        extra_ids=extra_ids,
        prefix=prefix,
        step=step,
        max_shard_bytes=int(max_shard_gb * 1e9),
    )
    plan = converting.plan(source, options)
    out.print(f"source  {plan.source.path}\n        {_words(plan.source, plan.config)}")
    for note in plan.notes:
        out.print(f"        {note}")
    converting.keep_freed_memory()
    started = time.monotonic()
    columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    screen = Console(stderr=True)
    quiet = not screen.is_terminal
    bar = Progress(*columns, console=screen, transient=True, redirect_stdout=False, disable=quiet)
    with bar:
        task = bar.add_task("", total=plan.nbytes)
        written = converting.convert(
            source,
            target,
            options,
            force=force,
            planned=plan,
            progress=lambda nbytes: bar.advance(task, nbytes),
        )
    seconds = time.monotonic() - started
    rate = plan.nbytes / max(seconds, 1e-9)
    out.print(
        f"target  {written}\n        {_words(plan.result, plan.config, to)}; "
        f"{shown_bytes(plan.nbytes)} in {seconds:.1f} s, {shown_bytes(rate)}/s"
    )


def _words(checkpoint: "Checkpoint", config: "Config", form: str = "") -> str:
    """Format, version, size, layout and types of a checkpoint, in one line."""
    from closedbook.checkpoints import describe
    from closedbook.checkpoints.layouts import is_scanned

    count = sum(math.prod(tensor.shape) for tensor in checkpoint.params.values())
    dtypes = sorted({tensor.dtype.name for tensor in checkpoint.params.values()})
    layout = "scanned" if is_scanned(checkpoint.params) else "unrolled"
    if checkpoint.slots is not None:
        state = "with Adafactor's state"
    else:
        other = checkpoint.other_optimizer
        state = "with another optimiser's state" if other else "no optimiser state"
    step = "step unknown" if checkpoint.step is None else f"step {checkpoint.step:,}"
    return (
        f"{form or checkpoint.format}: {describe(config)}, {count:,} parameters, "
        f"{' and '.join(dtypes)}, layers {layout}, {step}, {state}"
    )
