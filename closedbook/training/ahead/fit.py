"""Looks for the fastest settings with which a run fits."""

import dataclasses
import logging
from collections.abc import Callable, Iterator

from closedbook.errors import UserError
from closedbook.memory import readable
from closedbook.parallel.programs_memory import bytes_on_a_device
from closedbook.parallel.topologies import Topology
from closedbook.training.ahead.plan import Plan, Run, Settings, plan
from closedbook.training.state import abstract_state

_log = logging.getLogger(__name__)
_LEAST_TOKENS = 1024  # of a microbatch on one device; with fewer, products of matrices are slow
# "products" is left out: it keeps hardly more than "minimal", and each is compiled many times.
_POLICIES = ("none", "minimal", "full")

Compile = Callable[[Settings], Plan]


def fit(run: Run, topology: Topology, *, mfu: float, memory_limit: int | None = None) -> Plan:
    """The fastest plan that fits, by what settings cost.

    What costs time, most first: computing layers again in the backward pass (up to a third of a
    step), splitting the model over more devices (exchange in every layer), more microbatches. So
    the settings are tried in this order, and the first that fit are taken: no rematerialisation
    before some, few partitions before many, few microbatches before many. Settings whose
    parameters alone are too large are not compiled, and the number of microbatches is bisected,
    as memory falls with it.

    Args:
        run: From `Run.of`; its own settings count no more than others.
        topology: Of devices that need not be attached.
        mfu: The share of the devices' peak that the step's time assumes.
        memory_limit: Bytes of a device, instead of those of its data sheet.

    Raises:
        UserError: The memory of a device is not known, or nothing fits.
    """
    limit = memory_limit or (topology.kind.memory if topology.kind else None)
    if limit is None:
        raise UserError(
            f"--fit needs the memory of a device, and {topology.name} has none of its own; give "
            "--device_memory, in GiB"
        )

    def compiled(settings: Settings) -> Plan:
        _log.info("trying %s", ", ".join(settings.bindings(run.model)))
        return plan(
            run.changed(settings), topology, mfu=mfu, memory_limit=limit, train_step_alone=True
        )

    for settings in _pairs(run, topology):
        held = _held(run.changed(settings), topology)
        if held > limit:
            continue
        choices = _microbatches(run, topology, settings.partitions)
        found = _fewest(choices, settings, compiled)
        if found is not None:
            return plan(run.changed(found), topology, mfu=mfu, memory_limit=limit)
    raise UserError(
        f"nothing fits: {run.model.config.title} with batches of {run.train.batch_size} rows on "
        f"{topology.name}, {readable(limit)} a device; take more devices, a smaller batch, "
        "or split parameters over the data axis too "
        "(partitioning.standard_logical_axis_rules.parameter_partitioning_dims = 2)"
    )


def _pairs(run: Run, topology: Topology) -> Iterator[Settings]:
    count = len(topology.devices)
    partitions = [n for n in (2**power for power in range(count.bit_length())) if count % n == 0]
    for policy in _POLICIES:
        for n in partitions:
            if _microbatches(run, topology, n):
                yield Settings(partitions=n, microbatches=1, remat_policy=policy)


def _microbatches(run: Run, topology: Topology, partitions: int) -> list[int]:
    """Numbers of microbatches that split a batch over the devices, ascending."""
    ways = len(topology.devices) // partitions
    rows, odd = divmod(run.train.batch_size, ways)
    if odd:
        return []
    longest = max(run.train.lengths_of(run.model.converter.features).values())
    return [n for n in range(1, rows + 1) if rows % n == 0 and _enough(rows // n, longest, n)]


def _enough(rows: int, longest: int, parts: int) -> bool:
    return parts == 1 or rows * longest >= _LEAST_TOKENS


def _fewest(choices: list[int], settings: Settings, compiled: Compile) -> Settings | None:
    """The settings with the fewest microbatches that fit; None if not even the most do."""

    def fits(index: int) -> bool:
        tried = dataclasses.replace(settings, microbatches=choices[index])
        return compiled(tried).fits is True

    low, high = 0, len(choices) - 1
    if not fits(high):
        return None
    while low < high:
        middle = (low + high) // 2
        if fits(middle):
            high = middle
        else:
            low = middle + 1
    return dataclasses.replace(settings, microbatches=choices[high])


def _held(run: Run, topology: Topology) -> int:
    """Bytes of parameters, optimiser and gradients on a device: no setting needs less."""
    partitioner = dataclasses.replace(run.partitioner, devices=topology.devices, backend=None)
    state = abstract_state(run.model, partitioner)
    return 2 * bytes_on_a_device(state.params) + bytes_on_a_device(state.opt_state)
