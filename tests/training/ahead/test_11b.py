"""T5-11B's train step on 64 devices that are not there: what they hold and send each other.

A rule that begins to hold a parameter whole on each device, or to gather one in each layer, shows
in the bytes.
"""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import dataclasses, json, sys
from closedbook.checkpoints.tensors import flatten
from closedbook.cli import gin_files
from closedbook.parallel.topologies import topology
from closedbook.training.ahead import table
from closedbook.training.ahead.plan import Run, plan
from closedbook.training.state import abstract_state
devices = topology("cpu:64")
for bindings in json.loads(sys.argv[1]):
    run = Run.of(gin_files.resolve("train", ["nq_11b.gin"], bindings, []))
    partitioner = dataclasses.replace(run.partitioner, devices=devices.devices, backend=None)
    params = flatten(abstract_state(run.model, partitioner).params, leaf=lambda _: False)
    whole = [name for name, leaf in params.items() if leaf.sharding.is_fully_replicated]
    made = table.as_json(plan(run, devices, train_step_alone=True), run)
    print(json.dumps(made | {"whole": whole}))
"""
RULES = "partitioning.standard_logical_axis_rules.parameter_partitioning_dims = 2"


@pytest.fixture(scope="module")
def plans():
    """As JSON: split over 16 devices as the file has it, and over all 64 besides."""
    environment = os.environ | {"XLA_FLAGS": "--xla_backend_optimization_level=0"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps([[], [RULES]])],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def _exchanged(plan):
    (step,) = plan["programs"]
    found = {}
    for row in step["exchanged"]:
        count, size = found.get((row["kind"], row["devices"]), (0, 0))
        found[row["kind"], row["devices"]] = (count + row["count"], size + row["bytes"])
    return found


def test_the_model_is_split_over_sixteen_devices(plans):
    split, _ = plans
    (step,) = split["programs"]
    parameters = 11.3e9 * 4
    assert parameters / 16 <= step["memory"]["parameters"] < 1.01 * parameters / 16
    assert step["memory"]["optimizer"] < 0.01 * step["memory"]["parameters"]
    # Biases of heads, too, which are small: every device would work out those of all heads.
    assert split["whole"]
    assert {name.rpartition("/")[2] for name in split["whole"]} == {"scale"}


def test_sixteen_devices_add_up_activations_and_gather_nothing(plans):
    found = _exchanged(plans[0])
    assert {kind for kind, _ in found} == {"all-reduce"}
    # Forward: two in each encoder layer, three in each decoder layer. With these computed again
    # and what goes back, at most 14 of a layer pair.
    count, size = found["all-reduce", 16]
    assert 24 * 5 < count <= 24 * 14
    inputs, targets = 96 * 512 * 1024 * 4, 96 * 128 * 1024 * 4  # activations, float32
    assert 24 * (2 * inputs + 3 * targets) < size < 24 * 12 * inputs
    # Gradients, once: the parameters that a device holds.
    assert found["all-reduce", 4][1] < 1.05 * plans[0]["programs"][0]["memory"]["parameters"]


def test_all_devices_share_parameters_where_the_rules_say_so(plans):
    split, shared = plans
    memory = shared["programs"][0]["memory"]
    assert memory["parameters"] < 0.27 * split["programs"][0]["memory"]["parameters"]
    found = _exchanged(shared)
    gathered = found["all-gather", 4][1]
    whole = split["programs"][0]["memory"]["parameters"]
    # Each parameter is gathered for the forward pass, again for the backward pass, and not more
    # often.
    assert whole < gathered < 3.2 * whole
