"""Layers one by one or stacked: parameters and Adafactor's accumulators, both ways."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from closedbook.checkpoints import Checkpoint, Tensor, load_opt_state, load_params
from closedbook.checkpoints.architecture import parameter_shapes
from closedbook.checkpoints.layouts import arranged, slot_axis
from closedbook.checkpoints.tensors import nest
from closedbook.errors import UserError
from closedbook.models import T5, T5Config, unboxed
from closedbook.training.optimizers.adafactor import adafactor

# Widths of 128 and more are factored; mlp_dim is the larger and joined_kv the smaller of a pair.
CONFIG = T5Config(
    vocab_size=256,
    emb_dim=160,
    num_heads=4,
    num_encoder_layers=3,
    num_decoder_layers=2,
    head_dim=32,
    mlp_dim=256,
    mlp_activations=("gelu", "linear"),
    logits_via_embedding=False,
)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    """Random parameters, and a state in which every accumulator has numbers of its own."""
    rng = np.random.default_rng(0)
    shapes = parameter_shapes(CONFIG)
    params = {k: rng.standard_normal(v, dtype=np.float32) for k, v in shapes.items()}
    state = adafactor().init(nest(params))
    slots = {}
    for slot in ("v", "v_row", "v_col"):
        for path, x in jax.tree_util.tree_leaves_with_path(getattr(state, slot)):
            values = np.zeros(1, np.float32)
            if x.shape != (1,):
                values = rng.random(x.shape, dtype=np.float32)
            slots["/".join(key.key for key in path) + f"/{slot}"] = values
    return Checkpoint(
        format="t5x",
        path="somewhere",
        params={name: Tensor.of(array, name) for name, array in params.items()},
        slots={name: Tensor.of(array, name) for name, array in slots.items()},
        step=7,
    )


@pytest.mark.parametrize("per_layer", [False, True])
def test_names_and_shapes_are_those_of_the_network(per_layer):
    for scan in (False, True):
        config = dataclasses.replace(CONFIG, scan_layers=scan, relpos_per_layer=per_layer)
        tokens = jax.ShapeDtypeStruct((1, 2), jnp.int32)
        boxed = jax.eval_shape(T5(config).init, jax.random.key(0), tokens, tokens)
        leaves = jax.tree_util.tree_leaves_with_path(unboxed(boxed["params"]))
        shapes = {"/".join(key.key for key in path): x.shape for path, x in leaves}
        assert parameter_shapes(config) == shapes


def test_stacking_and_taking_apart_gives_the_same_bits(checkpoint):
    stacked = arranged(checkpoint, scanned=True)
    wi = stacked.params["encoder/layers/mlp/wi_0/kernel"]
    assert wi.shape == (160, 3, 256)
    np.testing.assert_array_equal(
        wi.read()[:, 1], checkpoint.params["encoder/layers_1/mlp/wi_0/kernel"].read()
    )
    again = arranged(stacked, scanned=False)
    for before, after in ((checkpoint.params, again.params), (checkpoint.slots, again.slots)):
        assert before.keys() == after.keys()
        for name, tensor in before.items():
            assert after[name].shape == tensor.shape
            np.testing.assert_array_equal(after[name].read(), tensor.read(), err_msg=name)


def test_parts_of_a_stack_are_read_alone(checkpoint):
    index = (slice(3, 9), slice(1, 3), slice(None, None))
    stacked = arranged(checkpoint, scanned=True)
    tensor = stacked.params["encoder/layers/mlp/wi_0/kernel"]
    np.testing.assert_array_equal(tensor.read(index), tensor.read()[index])
    layer = arranged(stacked, scanned=False).params["encoder/layers_2/mlp/wo/kernel"]
    part = (slice(0, 5), slice(2, 4))
    np.testing.assert_array_equal(layer.read(part), layer.read()[part])


def test_a_restored_state_takes_the_same_step_in_either_layout(checkpoint):
    """The layer axis of every accumulator is where our Adafactor keeps it."""
    results = {}
    for scanned in (False, True):
        optimizer = adafactor()
        stored = arranged(checkpoint, scanned=scanned)
        wanted = nest({k: jax.ShapeDtypeStruct(t.shape, t.dtype) for k, t in stored.params.items()})
        # The other layout is what is stored, so loading has to change it.
        source = arranged(checkpoint, scanned=not scanned)
        params = load_params(source, wanted)
        state = load_opt_state(source, jax.eval_shape(optimizer.init, wanted))
        assert int(state.count) == 7
        grads = jax.tree.map(lambda x: jnp.sin(x * 3.0), params)
        updates, _ = optimizer.update(grads, state, params)
        leaves = jax.tree_util.tree_leaves_with_path(updates)
        found = {"/".join(key.key for key in path): np.asarray(x) for path, x in leaves}
        tensors = {name: Tensor.of(array, name) for name, array in found.items()}
        back = arranged(Checkpoint(format="", path="", params=tensors), scanned=False)
        results[scanned] = {name: tensor.read() for name, tensor in back.params.items()}
    assert results[False].keys() == results[True].keys()
    for name, update in results[False].items():
        np.testing.assert_allclose(results[True][name], update, rtol=2e-6, err_msg=name)


@pytest.mark.parametrize(
    ("slot", "shape", "axis"),
    [
        ("v_row", (64, 256), 1),  # keeps the 64: [64, layers]
        ("v_col", (64, 256), 0),  # keeps the 256: [layers, 256]
        ("v_row", (256, 64), 0),
        ("v_col", (256, 64), 1),
        ("v", (64, 256), 1),
        ("v", (64,), 1),
    ],
)
def test_the_layer_axis_of_an_accumulator(slot, shape, axis):
    assert slot_axis(slot, shape) == axis


def test_a_missing_layer_cannot_be_stacked(checkpoint):
    params = {k: v for k, v in checkpoint.params.items() if k != "encoder/layers_1/mlp/wo/kernel"}
    with pytest.raises(
        UserError, match=r"encoder/layers/mlp/wo/kernel .* layers \[1\] are missing"
    ):
        arranged(dataclasses.replace(checkpoint, params=params, slots=None), scanned=True)
