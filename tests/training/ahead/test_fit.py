"""The fastest settings that fit, against trying all of them."""

import dataclasses
import itertools
import types

import pytest

from closedbook.errors import UserError
from closedbook.parallel import Partitioner
from closedbook.parallel.topologies import topology
from closedbook.training.ahead import fit as fitting
from closedbook.training.ahead.estimate import Estimates
from closedbook.training.ahead.plan import Run, Settings, plan
from closedbook.training.settings import DatasetConfig, Trainer


@pytest.fixture(scope="module")
def a_run(tiny) -> Run:
    data = DatasetConfig(
        mixture_or_task_name="not_read",
        split="train",
        task_feature_lengths={"inputs": 512, "targets": 16},
        batch_size=64,
    )
    return Run(model=tiny, train=data, trainer=Trainer(), partitioner=Partitioner())


@pytest.fixture(scope="module")
def estimates(a_run) -> Estimates:
    return Estimates(a_run, topology("cpu:8"), 0.4)


def _all(run, devices):
    everything = itertools.product((1, 2, 4, 8), (1, 2, 4, 8, 16, 32), ("none", "minimal", "full"))
    return [
        Settings(partitions=partitions, microbatches=parts, remat_policy=policy)
        for partitions, parts, policy in everything
        # Rows of a microbatch on one device, of 512 tokens each: at least two, or the whole batch.
        if 64 * partitions // devices % parts == 0 and 64 * partitions // devices // parts >= 2
    ]


class _Compiler:
    """Stands for the real one: needs what is reckoned, times an error that it keeps to itself."""

    def __init__(self, estimates, errors):
        self.estimates, self.errors, self.tried = estimates, errors, []

    def needed(self, settings):
        error = self.errors[settings.remat_policy]
        return self.estimates.held(settings) + error * self.estimates.temporaries(settings)

    def plan(self, run, topology, *, mfu, memory_limit, train_step_alone=False, train_step=None):
        needed = self.needed(run.settings)
        self.tried += [] if train_step else [run.settings]
        return types.SimpleNamespace(
            fits=needed <= 0.95 * memory_limit,
            needed=round(needed),
            settings=run.settings,
            programs=[types.SimpleNamespace(needed=needed)],
        )


@pytest.mark.parametrize(
    "errors",
    [
        {"none": 1.0, "minimal": 1.0, "full": 1.0},
        {"none": 0.6, "minimal": 0.9, "full": 1.6},
        {"none": 1.7, "minimal": 1.3, "full": 0.7},
    ],
)
@pytest.mark.parametrize("share", [0.02, 0.2, 0.9])
def test_nothing_that_fits_is_much_faster(a_run, estimates, monkeypatch, errors, share):
    compiler = _Compiler(estimates, errors)
    monkeypatch.setattr(fitting, "plan", compiler.plan)
    possible = _all(a_run, 8)
    needs = [compiler.needed(each) for each in possible]
    limit = round(min(needs) / 0.95 + share * (max(needs) - min(needs)))
    found = fitting.fit(a_run, topology("cpu:8"), mfu=0.4, memory_limit=limit)
    fastest = min(
        estimates.seconds(each) for each in possible if compiler.needed(each) <= 0.95 * limit
    )
    assert found.fits
    assert estimates.seconds(found.settings) <= 1.03 * fastest
    assert len(compiler.tried) == len(set(compiler.tried)) <= 8


def test_what_the_compiler_refuses_for_its_size_is_learnt_from(a_run, estimates, monkeypatch):
    compiler = _Compiler(estimates, dict.fromkeys(("none", "minimal", "full"), 2.0))

    def refusing(*args, **kwargs):
        made = compiler.plan(*args, **kwargs)
        if not made.fits:
            made.needed, made.programs[0].needed = None, None
        return made

    monkeypatch.setattr(fitting, "plan", refusing)
    limit = round(1.3 * min(map(compiler.needed, _all(a_run, 8))))
    assert fitting.fit(a_run, topology("cpu:8"), mfu=0.4, memory_limit=limit).fits


def test_what_is_too_large_by_its_parameters_alone_is_not_compiled(a_run, monkeypatch):
    monkeypatch.setattr(fitting, "plan", lambda *args, **rest: pytest.fail("compiled"))
    with pytest.raises(UserError, match=r"nothing fits: .*take more devices, a smaller batch"):
        fitting.fit(a_run, topology("cpu:8"), mfu=0.4, memory_limit=1)


def test_a_real_search_finds_what_its_own_plan_confirms(a_run):
    devices = topology("cpu:1")
    small = dataclasses.replace(a_run, train=dataclasses.replace(a_run.train, batch_size=4))
    own = plan(small, devices, train_step_alone=True)
    limit = own.needed  # too little, as some is left to the runtime
    found = fitting.fit(small, devices, mfu=0.4, memory_limit=limit, train_step_alone=True)
    assert found.fits is True
    assert found.settings != own.settings
    # The reckoning, without a compiler, is of the right size.
    estimated = Estimates(small, devices, 0.4).needed(own.settings)
    assert own.needed / 2 < estimated < 2 * own.needed


def test_memory_is_reckoned_by_what_decides_it(estimates):
    def needs(partitions=1, microbatches=1, remat_policy="none"):
        settings = Settings(
            partitions=partitions, microbatches=microbatches, remat_policy=remat_policy
        )
        return estimates.temporaries(settings)

    assert needs() > needs(remat_policy="minimal") > needs(remat_policy="full")
    assert needs(microbatches=2) < needs(microbatches=1) < 2.1 * needs(microbatches=2)
    # Rows of a device double, parameters and most activations of a row halve.
    assert 0.8 * needs() < needs(partitions=2) < 1.7 * needs()


def test_time_is_reckoned_by_what_costs_it(estimates):
    def seconds(partitions=1, microbatches=1, remat_policy="none"):
        settings = Settings(
            partitions=partitions, microbatches=microbatches, remat_policy=remat_policy
        )
        return estimates.seconds(settings)

    assert seconds() < seconds(remat_policy="minimal") < seconds(remat_policy="full")
    assert seconds(remat_policy="full") < 4 / 3 * 1.01 * seconds()
    assert seconds() < seconds(microbatches=4)
    assert seconds() < seconds(partitions=4)


def test_memory_that_is_not_known_is_asked_for(a_run):
    with pytest.raises(UserError, match="--fit needs the memory of a device, and cpu:8 has none"):
        fitting.fit(a_run, topology("cpu:8"), mfu=0.4)
