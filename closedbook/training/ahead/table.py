"""A plan for people and for programs."""

import dataclasses
from typing import Any

from closedbook.training.ahead.compiled import Compiled, Memory
from closedbook.training.ahead.plan import SPARE, Plan, Run

_GIB = 2**30


def as_json(plan: Plan, run: Run) -> dict[str, Any]:
    """A plan as JSON has it; memory in bytes, time in seconds.

    Args:
        plan: From `plan` or `fit`.
        run: What it was made of, for the names of the bindings.
    """
    kind = plan.topology.kind
    return {
        "model": plan.title,
        "topology": plan.topology.name,
        "compiled_by": plan.topology.told,
        "devices": len(plan.topology.devices),
        "device_memory": plan.memory_limit,
        "device_peak_flops": kind.peak_flops if kind else None,
        "settings": dataclasses.asdict(plan.settings),
        "bindings": plan.settings.bindings(run.model),
        "batch_size": plan.batch_size,
        "tokens_per_batch": plan.tokens,
        "flops_per_step": plan.flops,
        "assumed_mfu": plan.mfu,
        "assumed_share_of_peak_with_recomputation": plan.busy,
        "step_seconds": plan.step_seconds,
        "needed": plan.needed,
        "fits": plan.fits,
        "programs": [_program(each) for each in plan.programs],
    }


def _program(made: Compiled) -> dict[str, Any]:
    memory = made.memory
    return {
        "name": made.name,
        "compile_seconds": round(made.seconds, 2),
        "too_large": made.too_large,
        "memory": None if memory is None else dataclasses.asdict(memory) | {"total": memory.total},
        "exchanged": [dataclasses.asdict(each) for each in made.exchanged],
    }


def as_text(plan: Plan, run: Run) -> str:
    """A plan in lines to read.

    Args:
        plan: From `plan` or `fit`.
        run: What it was made of.
    """
    kind, chips = plan.topology.kind, len(plan.topology.devices)
    lines = [
        f"model           {plan.title}",
        f"devices         {chips} of {plan.topology.name}; compiled by {plan.topology.told}",
        f"settings        {'; '.join(plan.settings.bindings(run.model))}",
        f"batch           {plan.batch_size:,} rows, {plan.tokens:,} tokens with padding",
        f"arithmetic      {plan.flops / 1e12:,.4g} TFLOP a step: three forward passes, each stack "
        "on its own tokens, attention and output included; what is computed again is not",
    ]
    if plan.step_seconds is not None and kind is not None:
        rate = plan.tokens / plan.step_seconds
        lines.append(
            f"step time       {plan.step_seconds:.3g} s at an assumed {plan.mfu:.0%} of the "
            f"devices' {kind.peak_flops / 1e12:,.0f} TFLOP/s: {rate:,.0f} tokens/s (not measured)"
        )
    if plan.busy > plan.mfu:
        impossible = "; that is impossible, give a smaller --mfu" if plan.busy > 1 else ""
        lines.append(
            f"                with what is computed again the devices reach up to {plan.busy:.0%}"
            f"{impossible}"
        )
    lines += ["", "GiB on one device", *_memory(plan)]
    lines += ["", "exchanged in one run, on one device", *_exchange(plan)]
    return "\n".join([*lines, "", *_verdict(plan, run)])


def _memory(plan: Plan) -> list[str]:
    names = ("parameters", "optimizer", "activations", "temporaries", "other", "total")
    rows = [["", *names]]
    for made in plan.programs:
        memory = made.memory
        if memory is None:
            rows.append([made.name, *["-"] * (len(names) - 1), made.too_large or "too large"])
            continue
        rows.append([made.name, *map(_gib, _kinds(memory))])
    return _columns(rows)


def _kinds(memory: Memory) -> list[int | None]:
    rest = memory.temporaries - (memory.activations or 0)
    other = memory.batch + memory.outputs + memory.code
    return [memory.parameters, memory.optimizer, memory.activations, rest, other, memory.total]


def _exchange(plan: Plan) -> list[str]:
    rows = [["", "operation", "devices", "times", "GB"]]
    for made in plan.programs:
        for each in made.exchanged:
            devices = str(each.devices or "all")
            cells = [each.kind, devices, f"{each.count:,}", f"{each.bytes / 1e9:,.3f}"]
            rows.append([made.name, *cells])
    return _columns(rows) if len(rows) > 1 else ["nothing"]


def _verdict(plan: Plan, run: Run) -> list[str]:
    if plan.fits is None:
        return [
            f"needs {_gib(plan.needed)} GiB a device; whether that fits depends on the device "
            "(--device_memory, in GiB)"
        ]
    limit = f"{_gib(plan.memory_limit)} GiB a device"
    if plan.fits:
        assert plan.needed is not None
        return [f"fits: {_gib(plan.needed)} GiB of {limit}", *_reserved(plan)]
    needed = "" if plan.needed is None else f": {_gib(plan.needed)} GiB of {limit}"
    share = f", of which {SPARE:.0%} are left for the runtime" if plan.needed is not None else ""
    return [f"does not fit{needed}{share}; what helps, cheapest first:", *_advice(plan, run)]


def _reserved(plan: Plan) -> list[str]:
    """What to set so that JAX takes enough of a device's memory."""
    share = plan.topology.reserved
    assert plan.needed is not None
    assert plan.memory_limit is not None
    if plan.needed <= share * plan.memory_limit:
        return []
    return [
        f"with XLA_PYTHON_CLIENT_MEM_FRACTION={1 - SPARE:.2f} in the environment of the run: by "
        f"itself JAX takes {share:.0%} of a device's memory"
    ]


def _advice(plan: Plan, run: Run) -> list[str]:
    settings, ways = plan.settings, len(plan.topology.devices) // plan.settings.partitions
    if evaluations := _too_large_evaluations(plan):
        return evaluations
    found = []
    microbatches = 2 * settings.microbatches
    if plan.batch_size % (microbatches * ways) == 0:
        found.append(dataclasses.replace(settings, microbatches=microbatches))
    order = ("none", "minimal", "full")
    if settings.remat_policy != order[-1]:
        policy = order[order.index(settings.remat_policy) + 1]
        found.append(dataclasses.replace(settings, remat_policy=policy))
    if ways % 2 == 0:
        found.append(dataclasses.replace(settings, partitions=2 * settings.partitions))
    now = settings.bindings(run.model)
    changes = [
        binding for each in found for binding in each.bindings(run.model) if binding not in now
    ]
    rules = "partitioning.standard_logical_axis_rules.parameter_partitioning_dims = 2"
    changes.append(f"{rules}  (parameters and optimiser split over all devices)")
    return [*(f"  {change}" for change in changes), "  or --fit, which looks for what fits"]


def _too_large_evaluations(plan: Plan) -> list[str]:
    """What to set where the train step fits; what it may be split by does not help the others."""
    limit = (1 - SPARE) * (plan.memory_limit or 0)
    large = [each for each in plan.programs if each.memory is None or each.memory.total > limit]
    if plan.programs[0] in large:
        return []
    scopes = {
        "train_eval" if each.name == "held-out loss" else "infer_eval": each for each in large
    }
    return [
        f"  {scope}/utils.DatasetConfig.batch_size = a smaller number  (the {each.name}; the train "
        "step itself fits)"
        for scope, each in scopes.items()
    ]


def _gib(size: int | None) -> str:
    return "-" if size is None else f"{size / _GIB:.2f}"


def _columns(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
