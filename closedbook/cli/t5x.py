"""The command `t5x`: T5X's modes, flags and gin files."""

import os
import sys
from typing import Annotated

import typer

from closedbook.cli.run import complete, print_version, program
from closedbook.cli.runs.absl_flags import rewritten
from closedbook.cli.runs.help_texts import HELP
from closedbook.errors import UserError

app = typer.Typer(
    name="t5x",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help=(
        "Train, evaluate and run T5 models, with the gin macros, flags and files of T5X.\n\n"
        "Any binding may be given as `--gin.NAME=VALUE`, strings in their own quotes:\n\n"
        "`t5x train --gin_file=nq_tiny.gin --gin.DATA_DIR=\"'data'\" --gin.TRAIN_STEPS=2000`"
    ),
)
_MODES = ("train", "eval", "infer")

GinFile = Annotated[
    list[str] | None,
    typer.Option(
        "--gin_file",
        help="A gin file; may be given several times. Looked up in the working directory, in "
        "--gin_search_paths and among the packaged files (nq_11b.gin, wq_11b.gin, ...).",
    ),
]
GinBinding = Annotated[
    list[str] | None,
    typer.Option("--gin_bindings", help="A binding, NAME=VALUE; the same as --gin.NAME=VALUE."),
]
SearchPaths = Annotated[
    str, typer.Option("--gin_search_paths", help="Folders to look in, separated by commas.")
]
DryRun = Annotated[
    bool,
    typer.Option("--dry_run", help="Print the resolved configuration and the plan, then stop."),
]
TfdsDataDir = Annotated[str | None, typer.Option("--tfds_data_dir", help="Folder of TFDS data.")]
CacheDirs = Annotated[
    str, typer.Option("--seqio_additional_cache_dirs", help="SeqIO caches, separated by commas.")
]
MultiprocessGpu = Annotated[
    bool,
    typer.Option(
        "--multiprocess_gpu",
        help="Join several processes, of any accelerator; without the next three flags JAX finds "
        "them by itself (TPU pods, SLURM, Open MPI).",
    ),
]
Coordinator = Annotated[
    str | None, typer.Option("--coordinator_address", help="host:port of process 0.")
]
ProcessCount = Annotated[int | None, typer.Option("--process_count", help="Processes in all.")]
ProcessIndex = Annotated[int | None, typer.Option("--process_index", help="This one, from 0.")]
NoImports = Annotated[
    bool,
    typer.Option(
        "--no_imports",
        help="Refuse gin files that import modules, and MIXTURE_OR_TASK_MODULE: either runs that "
        "module's code, an import in a dry run too. For files of people that you do not know.",
    ),
]
Version = Annotated[
    bool,
    typer.Option(
        "--version", callback=print_version, is_eager=True, help="Print the version and stop."
    ),
]
Timeout = Annotated[
    int, typer.Option("--initialization_timeout", help="Seconds to wait for all processes.")
]


@app.callback()
def _root(version: Version = False) -> None:
    pass


def _command(mode: str) -> None:
    def command(
        gin_file: GinFile = None,
        gin_bindings: GinBinding = None,
        gin_search_paths: SearchPaths = "",
        dry_run: DryRun = False,
        tfds_data_dir: TfdsDataDir = None,
        seqio_additional_cache_dirs: CacheDirs = "",
        multiprocess_gpu: MultiprocessGpu = False,
        coordinator_address: Coordinator = None,
        process_count: ProcessCount = None,
        process_index: ProcessIndex = None,
        initialization_timeout: Timeout = 300,
        no_imports: NoImports = False,
    ) -> None:
        from closedbook.cli.runs import modes

        if not gin_file and not gin_bindings:
            raise UserError(f"t5x {mode} needs --gin_file; packaged ones are listed by `t5x files`")
        if tfds_data_dir:
            os.environ["TFDS_DATA_DIR"] = tfds_data_dir
        if not dry_run:
            modes.join_processes(
                multiprocess_gpu or coordinator_address is not None or process_count is not None,
                coordinator_address,
                process_count,
                process_index,
                initialization_timeout,
            )
        modes.run(
            mode,
            gin_file or [],
            gin_bindings or [],
            [path for path in gin_search_paths.split(",") if path],
            dry_run=dry_run,
            imports_allowed=not no_imports,
            seqio_cache_dirs=[path for path in seqio_additional_cache_dirs.split(",") if path],
        )

    command.__doc__ = HELP[mode]
    app.command(mode)(command)


for _mode in _MODES:
    _command(_mode)


@app.command()
def precompile(
    gin_file: GinFile = None,
    gin_bindings: GinBinding = None,
    gin_search_paths: SearchPaths = "",
    topology: Annotated[
        str,
        typer.Option(
            "--topology",
            help="Devices to compile for, attached or not: a slice of TPUs (v5p:4x4x4, v5e:16x16, "
            "v6e:4x4, v4:2x2x4; needs closedbook[tpu-aot]), GPUs (h200, h200:8, h100:8, a100:8; "
            "needs closedbook[cuda-aot]), or cpu:64, as many fake devices.",
        ),
    ] = "cpu:1",
    fit: Annotated[
        bool,
        typer.Option(
            "--fit",
            help="Look for the fastest rematerialisation, microbatches and partitions that fit.",
        ),
    ] = False,
    mfu: Annotated[
        float, typer.Option(help="Share of the devices' peak that the step's time assumes.")
    ] = 0.4,
    device_memory: Annotated[
        float | None, typer.Option("--device_memory", help="GiB of a device.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry_run", help="Print the resolved configuration; compile nothing."),
    ] = False,
    no_imports: NoImports = False,
) -> None:
    """Compile a training run's programs for devices that need not be there: does it fit?

    Takes the files and bindings of `t5x train`, or T5X's precompile.gin. Prints, for the train step
    and the evaluations, the memory of one device by kind, what devices send each other, and the
    time of a step at an assumed share of the peak; the exit code is 1 where the run does not fit.
    Reads no data and no checkpoint.

    `t5x precompile --gin_file=nq_11b.gin --topology=v5p:4x4x4`
    """
    from closedbook.cli.runs import precompile as precompile_command

    if not gin_file and not gin_bindings:
        raise UserError("t5x precompile needs --gin_file; packaged ones are listed by `t5x files`")
    code = precompile_command.run(
        gin_file or [],
        gin_bindings or [],
        [path for path in gin_search_paths.split(",") if path],
        topology=topology,
        fit=fit,
        mfu=mfu,
        device_memory=device_memory,
        as_json=json,
        dry_run=dry_run,
        imports_allowed=not no_imports,
    )
    if code:
        raise typer.Exit(code)


@app.command()
def files() -> None:
    """List the packaged gin files, and what each is for."""
    from closedbook.cli.gin_files import described_files

    found = described_files()
    width = max(map(len, found))
    for name, purpose in found.items():
        print(f"{name:{width}}  {purpose}")


complete(app)


def main() -> None:
    """Entry point of `t5x`."""
    # A user's module of tasks may lie in the working directory; last, so that no file there takes
    # the place of a module of Python's or of an installed package.
    if "" not in sys.path:
        sys.path.append("")
    program(lambda words: app(args=rewritten(words, (*_MODES, "precompile")), prog_name="t5x"))
