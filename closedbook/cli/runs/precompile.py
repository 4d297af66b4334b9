"""`t5x precompile`: what a training run needs, before there are devices to run it on."""

from collections.abc import Sequence

from closedbook.cli import gin_files
from closedbook.cli.gin_files import visible
from closedbook.cli.run import print_json
from closedbook.cli.runs import modes
from closedbook.errors import UserError


def run(
    files: Sequence[str],
    bindings: Sequence[str],
    search_paths: Sequence[str],
    *,
    topology: str,
    fit: bool,
    mfu: float,
    device_memory: float | None,
    as_json: bool,
    dry_run: bool = False,
    imports_allowed: bool = True,
) -> int:
    """Compiles a training run's programs and prints what they need.

    Args:
        files: Gin files, those of `t5x train`, or T5X's precompile.gin.
        bindings: Of the command line.
        search_paths: Folders to look for files in.
        topology: Devices, for example "v5p:4x4x4".
        fit: Look for the fastest settings that fit.
        mfu: The share of the devices' peak that the step's time assumes.
        device_memory: GiB of a device, instead of its data sheet's.
        as_json: Print JSON.
        dry_run: Print the configuration, and compile nothing.
        imports_allowed: Whether files and bindings may name modules that are imported.

    Returns:
        The exit code: 1 where the run does not fit.

    Raises:
        UserError: A setting or the configuration is at fault, or `fit` finds nothing.
    """
    if not 0 < mfu <= 1:
        raise UserError(f"--mfu is {mfu}; give a share of the peak above 0 and up to 1, like 0.4")
    if device_memory is not None and not 0 < device_memory < 1e6:
        raise UserError(f"--device_memory is {device_memory}; give the GiB of a device, like 95")
    arguments = gin_files.resolve(
        "precompile", files, bindings, search_paths, imports_allowed=imports_allowed
    )
    gin_files.log_without_effect()
    training = "checkpoint_cfg" in arguments  # or else the arguments of T5X's mode
    if training:
        visible.check_settings("train", arguments)
    if dry_run:
        print(gin_files.config_text())
        print(modes.plan("precompile", arguments))
        print(f"compiled for    {topology}")
        return 0

    from closedbook.parallel.topologies import topology as devices_of
    from closedbook.training.ahead import fit as fitting
    from closedbook.training.ahead import plan as planning
    from closedbook.training.ahead import table

    devices = devices_of(topology)
    wanted = planning.Run.of(arguments) if training else planning.precompile(**arguments)
    limit = None if device_memory is None else int(device_memory * 2**30)
    make = fitting.fit if fit else planning.plan
    found = make(wanted, devices, mfu=mfu, memory_limit=limit)
    if as_json:
        print_json(table.as_json(found, wanted))
    else:
        print(table.as_text(found, wanted))
    return 1 if found.fits is False else 0
