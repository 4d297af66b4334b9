"""Looks for the fastest settings with which a run fits."""

import logging
import time
from collections.abc import Iterable, Iterator

from closedbook.errors import UserError
from closedbook.memory import readable
from closedbook.parallel.topologies import Topology
from closedbook.training.ahead.estimate import Estimates
from closedbook.training.ahead.plan import SPARE, Plan, Run, Settings, plan

_log = logging.getLogger(__name__)
_LEAST_TOKENS = 1024  # of a microbatch on one device; with fewer, products of matrices are slow
_MOST_PROGRAMS = 8  # that are compiled; each takes half a minute to some minutes
# How much too high a reckoning of memory may be: corrected by a program, or by none.
_DOUBT, _DOUBT_UNTRIED = 1.1, 1.5
_WORTH = 0.97  # of the time of what fits; what is reckoned less faster is not compiled
# "products" is left out: it keeps hardly more than "minimal", and each is compiled many times.
_POLICIES = ("none", "minimal", "full")


def fit(
    run: Run,
    topology: Topology,
    *,
    mfu: float,
    memory_limit: int | None = None,
    train_step_alone: bool = False,
) -> Plan:
    """The fastest plan that fits.

    Settings (rematerialisation, partitions, microbatches) are ordered by the time that they are
    reckoned to take, and those that are reckoned to fit are compiled, fastest first. Each compiled
    program says how far the reckoning of memory was off for its rematerialisation; with that the
    rest is reckoned again. The search ends when nothing that may be faster is left, or after
    `_MOST_PROGRAMS`.

    Args:
        run: From `Run.of`; its own settings count no more than others.
        topology: Of devices that need not be attached.
        mfu: The share of the devices' peak that the step's time assumes.
        memory_limit: Bytes of a device, instead of those of its data sheet.
        train_step_alone: Leaves the evaluations out.

    Raises:
        UserError: The memory of a device is not known, or nothing fits.
    """
    limit = memory_limit or (topology.kind.memory if topology.kind else None)
    if limit is None:
        raise UserError(
            f"--fit needs the memory of a device, and {topology.name} has none of its own; give "
            "--device_memory, in GiB"
        )
    run = run.on(topology)
    estimates = Estimates(run, topology, mfu)
    search = _Search(estimates, _candidates(run, topology), int((1 - SPARE) * limit))
    for number in range(1, _MOST_PROGRAMS + 1):
        settings = search.next()
        if settings is None:
            break
        _log.info(
            "%d (of %d at most): %s; reckoned to need %s",
            number,
            _MOST_PROGRAMS,
            ", ".join(settings.bindings(run.model)),
            readable(search.needed(settings)),
        )
        began = time.monotonic()
        made = plan(
            run.changed(settings), topology, mfu=mfu, memory_limit=limit, train_step_alone=True
        )
        needed = "more than there is" if made.needed is None else readable(made.needed)
        fits = "fits" if made.fits else "does not fit"
        _log.info("needs %s, %s (%.0f s)", needed, fits, time.monotonic() - began)
        search.tried(settings, made)
    if search.best is None:
        raise UserError(
            f"nothing fits: {run.model.config.title} with batches of {run.train.batch_size} rows "
            f"on {topology.name}, {readable(limit)} a device; take more devices, a smaller batch, "
            "or split parameters over the data axis too "
            "(partitioning.standard_logical_axis_rules.parameter_partitioning_dims = 2)"
        )
    if train_step_alone:
        return search.best
    chosen = run.changed(search.best.settings)
    return plan(chosen, topology, mfu=mfu, memory_limit=limit, train_step=search.best.programs[0])


class _Search:
    """What has been compiled, and what is worth compiling next.

    Attributes:
        best: The fastest plan that fits; None so far.
    """

    def __init__(self, estimates: Estimates, candidates: Iterable[Settings], room: int) -> None:
        self.best: Plan | None = None
        self._estimates, self._room = estimates, room
        possible = [each for each in candidates if estimates.least(each) <= room]
        self._left = sorted(possible, key=estimates.seconds)
        self._corrections: dict[str, float] = {}

    def needed(self, settings: Settings) -> int:
        """Bytes of a device, by what is known so far."""
        known, usual = self._corrections, self._estimates.usual_correction
        # Of a rematerialisation that was not compiled the best is believed: at worst it is tried.
        hoped = min(usual, sum(known.values()) / len(known)) if known else usual
        return self._estimates.needed(settings, known.get(settings.remat_policy, hoped))

    def next(self) -> Settings | None:
        """What to compile; None if nothing is worth it."""
        for settings in self._left:
            if self.needed(settings) <= self._room:
                return settings
        # Once something fits, what is faster is only tried to learn of its rematerialisation.
        left = [each for each in self._left if self.best is None or self._untried(each)]
        smallest = min(left, key=self.needed, default=None)
        if smallest is None:
            return None
        doubt = _DOUBT_UNTRIED if self._untried(smallest) else _DOUBT
        return smallest if self.needed(smallest) <= doubt * self._room else None

    def _untried(self, settings: Settings) -> bool:
        """Whether no program of this rematerialisation was compiled yet."""
        return settings.remat_policy not in self._corrections

    def tried(self, settings: Settings, made: Plan) -> None:
        """Learns from a compiled program."""
        needed, held = made.programs[0].needed, self._estimates.held(settings)
        estimated = self._estimates.temporaries(settings)
        if needed is not None:
            self._corrections[settings.remat_policy] = (needed - held) / estimated
        else:
            # Too large, and not by how much: at least by what there is no room for.
            usual = self._estimates.usual_correction
            known = self._corrections.get(settings.remat_policy, usual)
            least = (self._room - held) / estimated
            self._corrections[settings.remat_policy] = max(1.25 * known, least)
        if made.fits:
            self.best = made
            time_of_best = self._estimates.seconds(settings)
            faster = (
                each for each in self._left if self._estimates.seconds(each) < _WORTH * time_of_best
            )
            self._left = [each for each in faster if each != settings]
        else:
            self._left = [each for each in self._left if not _needs_as_much(each, settings)]


def _needs_as_much(settings: Settings, failed: Settings) -> bool:
    """Whether settings need at least as much memory as others that do not fit."""
    order = _POLICIES.index
    return (
        settings.partitions <= failed.partitions
        and settings.microbatches * failed.partitions <= failed.microbatches * settings.partitions
        and settings.microbatches <= failed.microbatches
        and order(settings.remat_policy) <= order(failed.remat_policy)
    )


def _candidates(run: Run, topology: Topology) -> Iterator[Settings]:
    count = len(topology.devices)
    partitions = [n for n in (2**power for power in range(count.bit_length())) if count % n == 0]
    for policy in _POLICIES:
        for n in partitions:
            for parts in _microbatches(run, topology, n):
                yield Settings(partitions=n, microbatches=parts, remat_policy=policy)


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
