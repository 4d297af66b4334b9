"""Parameters of scanned layers lie layer after layer, and a step leaves them there."""

import dataclasses

import jax
import numpy as np
import pytest

from closedbook.models import T5
from closedbook.parallel import Partitioner
from closedbook.training import programs
from closedbook.training.settings import DatasetConfig, Trainer
from closedbook.training.state import abstract_state, fresh_state, laid_out

LAYERS = 3  # as no other axis


@pytest.fixture(scope="module")
def scanned(tiny):
    config = dataclasses.replace(
        tiny.config,
        num_encoder_layers=LAYERS,
        num_decoder_layers=LAYERS,
        scan_layers=True,
        remat_policy="full",
    )
    return dataclasses.replace(tiny, module=T5(config))


@pytest.fixture(scope="module")
def partitioner():
    return Partitioner(devices=tuple(jax.devices()[:4]), num_partitions=2)


def _layout(x):
    return x.format.layout.major_to_minor if x.format.layout else tuple(range(len(x.shape)))


def test_a_step_takes_and_gives_layer_after_layer(scanned, partitioner):
    cfg = DatasetConfig(
        mixture_or_task_name="not_read",
        split="train",
        task_feature_lengths={"inputs": 16, "targets": 8},
        batch_size=8,
        pack=True,
    )
    with partitioner.activate():
        step = programs.train_step(scanned, partitioner, cfg, Trainer(num_microbatches=2))
        compiled = step.lower().compile()
    kernels = {
        x.shape: _layout(x)
        for x in jax.tree.leaves(step.arguments[0].params)
        if len(x.shape) == 3 and LAYERS in x.shape
    }
    assert kernels
    assert set(kernels.values()) == {(1, 0, 2)}
    state_in, state_out = compiled.input_formats[0][0], compiled.output_formats[0]
    for formats in (state_in, state_out):
        layouts = jax.tree.map(lambda f: f.layout.major_to_minor, formats.params)
        shapes = jax.tree.map(lambda x: x.shape, step.arguments[0].params)
        leaves = zip(
            jax.tree.leaves(layouts, is_leaf=lambda x: isinstance(x, tuple)),
            jax.tree.leaves(shapes, is_leaf=lambda x: isinstance(x, tuple)),
            strict=True,
        )
        assert all(layout == (1, 0, 2) for layout, shape in leaves if shape in kernels)


def test_arrays_keep_their_values_in_the_other_order(scanned, partitioner):
    abstract = abstract_state(scanned, partitioner)
    with partitioner.activate():
        state = fresh_state(scanned, partitioner, 0)
        plain = jax.tree.map(lambda x: jax.device_put(np.asarray(x), x.sharding), state)
        turned = laid_out(plain, abstract)
    found = {_layout(x) for x in jax.tree.leaves(turned.params) if x.ndim == 3}
    assert found == {(1, 0, 2)}
    moved = [x for x in jax.tree.leaves(plain.params) if x.ndim == 3]
    assert all(x.is_deleted() for x in moved)  # a run that goes on has no memory for two
    for one, other in zip(jax.tree.leaves(state), jax.tree.leaves(turned), strict=True):
        assert one.format == other.format
        np.testing.assert_array_equal(one, other)
