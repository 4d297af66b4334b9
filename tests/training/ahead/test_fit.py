"""The fastest settings that fit, against trying all of them."""

import dataclasses
import itertools
import types

import pytest

from closedbook.errors import UserError
from closedbook.parallel import Partitioner
from closedbook.parallel.topologies import topology
from closedbook.training.ahead import fit as fitting
from closedbook.training.ahead.plan import Run, plan
from closedbook.training.settings import DatasetConfig, Trainer

KEPT = {"none": 16, "minimal": 6, "full": 1}


@pytest.fixture(scope="module")
def a_run(tiny) -> Run:
    data = DatasetConfig(
        mixture_or_task_name="not_read",
        split="train",
        task_feature_lengths={"inputs": 512, "targets": 16},
        batch_size=64,
    )
    return Run(model=tiny, train=data, trainer=Trainer(), partitioner=Partitioner())


def _need(settings):
    """Memory as a model's: a part that partitions share, and activations."""
    ways = 8 // settings.partitions
    kept = KEPT[settings.remat_policy] * 64 / ways / settings.microbatches
    return 240 / settings.partitions + kept


@pytest.mark.parametrize("limit", [1300, 300, 160, 100, 70, 50, 33])
def test_the_fastest_that_fits_is_found(a_run, monkeypatch, limit):
    tried = []

    def made(run, topology, *, mfu, memory_limit, train_step_alone=False):
        tried.append(run.settings)
        fits = _need(run.settings) <= memory_limit
        return types.SimpleNamespace(fits=fits, settings=run.settings)

    monkeypatch.setattr(fitting, "plan", made)
    monkeypatch.setattr(fitting, "_held", lambda run, topology: 0)
    found = fitting.fit(a_run, topology("cpu:8"), mfu=0.4, memory_limit=limit)
    everything = itertools.product(KEPT, (1, 2, 4, 8), (1, 2, 4, 8, 16, 32))
    possible = [
        (policy, partitions, parts)
        for policy, partitions, parts in everything
        # Rows of a microbatch on one device, of 512 tokens each: at least two, or the whole batch.
        if 64 * partitions // 8 % parts == 0 and 64 * partitions // 8 // parts >= 2
        if _need(fitting.Settings(partitions=partitions, microbatches=parts, remat_policy=policy))
        <= limit
    ]
    assert dataclasses.astuple(found.settings) == (possible[0][1], possible[0][2], possible[0][0])
    assert len(tried) < 30


def test_what_is_too_large_by_its_parameters_alone_is_not_compiled(a_run, monkeypatch):
    monkeypatch.setattr(fitting, "plan", lambda *args, **rest: pytest.fail("compiled"))
    with pytest.raises(UserError, match=r"nothing fits: .*take more devices, a smaller batch"):
        fitting.fit(a_run, topology("cpu:8"), mfu=0.4, memory_limit=1)


def test_a_real_search_finds_what_its_own_plan_confirms(a_run):
    devices = topology("cpu:1")
    small = dataclasses.replace(a_run, train=dataclasses.replace(a_run.train, batch_size=4))
    own = plan(small, devices, train_step_alone=True)
    limit = own.needed  # too little, as some is left to the runtime
    found = fitting.fit(small, devices, mfu=0.4, memory_limit=limit)
    assert found.fits is True
    wanted = fitting.Settings(partitions=1, microbatches=2, remat_policy="none")
    assert found.settings == wanted


def test_memory_that_is_not_known_is_asked_for(a_run):
    with pytest.raises(UserError, match="--fit needs the memory of a device, and cpu:8 has none"):
        fitting.fit(a_run, topology("cpu:8"), mfu=0.4)
