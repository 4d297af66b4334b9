"""The ten published sizes have the published numbers of parameters."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import pytest

from closedbook.errors import UserError
from closedbook.models import SIZES, T5, T5Config, flops_per_step, parameter_count, size

# Parameters of the public checkpoints (as their Hugging Face ports count them: 32,128 rows of
# the embedding, one relative position bias per stack, the tied embedding once).
PUBLISHED = {
    "t5_small": 60_506_624,
    "t5_base": 222_903_552,
    "t5_large": 737_668_096,
    "t5_3b": 2_851_598_336,
    "t5_11b": 11_307_321_344,
    "t5_1_1_small": 76_961_152,
    "t5_1_1_base": 247_577_856,
    "t5_1_1_large": 783_150_080,
    "t5_1_1_xl": 2_849_757_184,
    "t5_1_1_xxl": 11_135_332_352,
}


@pytest.mark.parametrize("scan", [False, True])
@pytest.mark.parametrize("name", PUBLISHED)
def test_network_has_the_published_number_of_parameters(name, scan):
    config = dataclasses.replace(size(name), scan_layers=scan)
    tokens = jax.ShapeDtypeStruct((1, 4), jnp.int32)
    shapes = jax.eval_shape(T5(config).init, jax.random.key(0), tokens, tokens)
    assert sum(math.prod(x.shape) for x in jax.tree.leaves(shapes)) == PUBLISHED[name]
    assert parameter_count(config) == PUBLISHED[name]


@pytest.mark.parametrize("scan", [False, True])
def test_biases_of_every_layer_are_counted(scan):
    config = dataclasses.replace(size("t5_small"), relpos_per_layer=True, scan_layers=scan)
    tokens = jax.ShapeDtypeStruct((1, 4), jnp.int32)
    shapes = jax.eval_shape(T5(config).init, jax.random.key(0), tokens, tokens)
    own = PUBLISHED["t5_small"] + (12 - 2) * 32 * 8
    assert sum(math.prod(x.shape) for x in jax.tree.leaves(shapes)) == own
    assert parameter_count(config) == own


def test_small_by_hand():
    # embedding + 6 x (attention, feed-forward, 2 norms) + 6 x (2 attentions, ...) + ends + biases
    embedding = 32128 * 512
    encoder = 6 * (4 * 512 * 512 + 2 * 512 * 2048 + 2 * 512)
    decoder = 6 * (8 * 512 * 512 + 2 * 512 * 2048 + 3 * 512)
    assert embedding + encoder + decoder + 2 * 512 + 2 * 32 * 8 == PUBLISHED["t5_small"]


def test_versions_follow_from_the_gate_and_the_output():
    assert {name: config.version for name, config in SIZES.items()} == {
        name: "1.1" if "1_1" in name else "1.0" for name in PUBLISHED
    }


def test_unknown_size_names_the_nearest():
    with pytest.raises(UserError, match="t5_1_1_xxl"):
        size("t5_1_1_xxxl")


def test_flops_of_11b_are_those_of_the_paper_runs():
    # 384 packs of 512 inputs and 128 targets: 8.9 PFLOP by an independent count.
    assert flops_per_step(size("t5_11b"), 384, 512, 128) == pytest.approx(8.9e15, rel=0.02)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("mlp_activations", ("gelo",), "nearest: gelu"),
        ("remat_policy", "minimum", "nearest: minimal"),
        ("dtype", "bfloat", "nearest: bfloat16"),
        ("dropout_rate", 1.0, r"in \[0, 1\)"),
    ],
)
def test_config_refuses_what_it_does_not_know(field, value, message):
    with pytest.raises(UserError, match=message):
        T5Config(**{field: value})
