"""Runs one mode of `t5x` on a resolved configuration."""

import functools
from collections.abc import Sequence
from typing import Any

from closedbook.cli import gin_files
from closedbook.cli.faults import memory_advice
from closedbook.cli.gin_files import visible
from closedbook.cli.runs import next_steps
from closedbook.errors import UserError
from closedbook.models import parameter_count


def join_processes(
    wanted: bool,
    coordinator_address: str | None,
    process_count: int | None,
    process_index: int | None,
    timeout: int,
) -> None:
    """Joins the other processes of a run before anything touches the devices."""
    if not wanted:
        return
    from closedbook.parallel.processes import initialize_processes

    initialize_processes(
        coordinator_address=coordinator_address,
        process_count=process_count,
        process_index=process_index,
        initialization_timeout=timeout,
    )


def run(
    mode: str,
    files: Sequence[str],
    bindings: Sequence[str],
    search_paths: Sequence[str],
    *,
    dry_run: bool,
    imports_allowed: bool = True,
    seqio_cache_dirs: Sequence[str],
) -> None:
    """Resolves the configuration and runs the mode's function, or only prints the plan."""
    arguments = gin_files.resolve(
        mode, files, bindings, search_paths, imports_allowed=imports_allowed
    )
    gin_files.log_without_effect()
    visible.check(mode, arguments)
    if dry_run:
        print(gin_files.config_text())
        print(plan(mode, arguments))
        return
    gin_files.start()
    if seqio_cache_dirs:
        from closedbook.data.build import add_seqio_cache_dirs

        add_seqio_cache_dirs(seqio_cache_dirs)
    try:
        _run(mode, arguments)
    except Exception as error:
        advice = functools.partial(memory_advice.of_run, mode, arguments)
        message = memory_advice.told(error, advice)
        if message is None:
            raise
        raise message from error


def _run(mode: str, arguments: dict[str, Any]) -> None:
    from closedbook.parallel.processes import is_first
    from closedbook.training import jobs
    from closedbook.training.loop import train

    if mode == "train":
        result = train(**arguments, config_text=gin_files.config_text())
        state = "finished" if result.finished else "stopped"
        scores = "".join(f"\n  {name} {value:.4g}" for name, value in result.scores.items())
        print(f"{state} at step {result.step}; MODEL_DIR {arguments['model_dir']}{scores}")
        if result.finished and is_first():
            print(next_steps.after_training(arguments, result.step))
    elif mode == "eval":
        for step, found in jobs.evaluate(**arguments, config_text=gin_files.config_text()).items():
            print(f"step {step}" + "".join(f"\n  {k} {v:.2f}" for k, v in found.items()))
    else:
        for path in jobs.infer(**arguments, config_text=gin_files.config_text()):
            print(path)


def _not_here(path: str) -> str | None:
    """Why a run could not start from a local path; None for one that is there, or elsewhere."""
    from closedbook.checkpoints.opening import find

    if "://" in path:
        return None
    try:
        find(path)
    except UserError as error:
        return str(error).splitlines()[0]
    return None


def plan(mode: str, arguments: dict[str, Any]) -> str:
    """What a run would do, in a few lines; no network is reached, and no array is restored."""
    model = arguments["model"]
    config = model.config
    layers = "+".join(str(stack.layers) for stack in config.stacks.values())
    lines = [
        f"mode            {mode}",
        f"model           {config.title}, {parameter_count(config):,} parameters, "
        f"{layers} layers, {config.dtype}",
        f"vocabulary      {model.vocabulary.path}",
    ]
    data = arguments.get("train_dataset_cfg") or arguments.get("dataset_cfg")
    if data is not None:
        lengths = dict(data.task_feature_lengths or {})
        lines.append(f"data            {data.mixture_or_task_name} {data.split}, lengths {lengths}")
        if mode in ("train", "precompile") and lengths:
            lengths = data.lengths_of(model.converter.features)
            tokens = data.batch_size * max(lengths.values())
            side = " of the longer side" if len(lengths) > 1 else ""
            flops = model.flops_per_step(data.batch_size, lengths)
            lines.append(
                f"batch           {data.batch_size} rows, {tokens:,} tokens{side}, "
                f"{flops / 1e12:,.3g} TFLOP per step"
            )
    if mode == "precompile":
        return "\n".join(lines)
    restore = arguments.get("restore_checkpoint_cfg")
    if mode == "train":
        restore = arguments["checkpoint_cfg"].restore
        relative = arguments.get("relative_steps")
        until = f"{relative} more" if relative else f"until {arguments['total_steps']}"
        lines.append(f"steps           {until}")
        lines.append(f"MODEL_DIR       {arguments['model_dir']}")
    start = restore.path if restore is not None and restore.path else None
    lines.append(f"starts from     {start or 'random parameters'}")
    if start and (problem := _not_here(str(start))):
        lines.append(f"  but           {problem}")
    if mode == "train":
        lines.append(f"saves           {arguments['checkpoint_cfg'].save}")
    return "\n".join(lines)
