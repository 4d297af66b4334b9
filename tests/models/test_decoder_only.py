"""Decoder-only networks: causality, packing, layouts, taps, positions."""

import dataclasses
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.models import (
    DecoderOnly,
    DecoderOnlyConfig,
    Patch,
    Taps,
    abstract_parameters,
    decoder_only,
    sites,
)
from closedbook.models.decoder_only.positions import frequencies, rotated, rotation, sinusoids

COMMON: dict[str, Any] = {
    "vocab_size": 20,
    "emb_dim": 16,
    "num_heads": 4,
    "num_layers": 3,
    "head_dim": 4,
    "mlp_dim": 24,
    "max_positions": 12,
    "eos_id": 1,
    "dropout_rate": 0.5,
}
LLAMA: dict[str, Any] = {
    "num_kv_heads": 2,
    "mlp_activations": ("silu", "linear"),
    "attention_bias": False,
    "mlp_bias": False,
    "norm": "rms",
    "positions": "rotary",
    "logits_via_embedding": False,
}
CONFIGS = {
    "gpt2": DecoderOnlyConfig(**COMMON),
    "llama": DecoderOnlyConfig(**COMMON | LLAMA),
    "relu_lm": DecoderOnlyConfig(
        **COMMON, mlp_activations=("relu",), positions="sinusoidal", embedding_scale=4.0, pad_id=0
    ),
}
# Compiling takes nearly all the time of these tests; without optimisation it takes half of it.
FAST: Any = {"xla_backend_optimization_level": 0}


@dataclasses.dataclass(frozen=True)
class Tiny:
    """A random model and a batch of three texts of eight tokens."""

    config: DecoderOnlyConfig
    params: Any
    tokens: np.ndarray

    def apply(self, params: Any, tokens: Any, *, rngs: Any = None, **batch: Any) -> Any:
        return DecoderOnly(self.config).apply({"params": params}, tokens, **batch, rngs=rngs)

    def __call__(self, tokens: Any = None, **batch: Any) -> Any:
        """Logits, and records if there are taps; compiled, NumPy arrays."""
        tokens = self.tokens if tokens is None else tokens
        run = jax.jit(self.apply, compiler_options=FAST)
        return jax.device_get(run(self.params, tokens, **batch))

    @property
    def scanned(self) -> "Tiny":
        decoder = self.params["decoder"]
        names = sorted(name for name in decoder if name.startswith("layers_"))
        layers = jax.tree.map(lambda *x: jnp.stack(x, axis=1), *(decoder[name] for name in names))
        rest = {name: value for name, value in decoder.items() if name not in names}
        return dataclasses.replace(
            self,
            config=dataclasses.replace(self.config, scan_layers=True),
            params=self.params | {"decoder": rest | {"layers": layers}},
        )


@pytest.fixture(scope="module", params=CONFIGS)
def tiny(request) -> Tiny:
    return made(CONFIGS[request.param])


def made(config: DecoderOnlyConfig) -> Tiny:
    tokens = np.random.default_rng(3).integers(2, 20, (3, 8)).astype(np.int32)
    variables = jax.jit(DecoderOnly(config).init)(jax.random.key(0), tokens)
    params = nn.meta.unbox(variables["params"])
    # Biases and scales begin as zeros and ones, which would hide a wrong one.
    keys = iter(jax.random.split(jax.random.key(1), 200))
    params = jax.tree.map(lambda x: x + 0.3 * jax.random.normal(next(keys), x.shape), params)
    return Tiny(config, params, tokens)


def test_logits_depend_on_no_later_token(tiny):
    def embedded(noise: jax.Array) -> jax.Array:
        patches = {"decoder.embed": Patch(noise, mode="add")}
        return tiny.apply(tiny.params, tiny.tokens[:1], taps=Taps(patches=patches))[0][0].sum(-1)

    noise = jnp.zeros((8, 16))
    slopes = jax.jit(jax.jacrev(embedded), compiler_options=FAST)(noise)  # [query, token, emb]
    seen = np.abs(slopes).max(-1) > 0
    np.testing.assert_array_equal(seen, np.tri(8, dtype=bool))


def test_scanned_layers_compute_the_same(tiny):
    taps = Taps(record=("decoder.*.mlp.out", "decoder.1.attention.weights", "decoder.final_norm"))
    expected, records = tiny(taps=taps)
    found, same = tiny.scanned(taps=taps)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert list(same) == list(records)
    for name, value in records.items():
        np.testing.assert_allclose(same[name], value, atol=1e-5)
    np.testing.assert_allclose(tiny(), expected, atol=1e-5)


def test_packed_texts_do_not_see_each_other(tiny):
    first, second = tiny.tokens[:1, :3], tiny.tokens[1:2, :4]
    padding = np.full((1, 1), tiny.config.pad_id, np.int32)
    packed = np.concatenate([first, second, padding], axis=1)
    segments = np.array([[1, 1, 1, 2, 2, 2, 2, 0]], np.int32)
    logits = tiny(packed, decoder_segment_ids=segments)
    np.testing.assert_allclose(logits[:, :3], tiny(first), atol=1e-5)
    np.testing.assert_allclose(logits[:, 3:7], tiny(second), atol=1e-5)
    assert np.isfinite(logits).all()


def test_padding_after_a_text_changes_nothing(tiny):
    wide = np.pad(tiny.tokens, ((0, 0), (0, 4)), constant_values=tiny.config.pad_id)
    np.testing.assert_allclose(tiny(wide)[:, :8], tiny(), atol=1e-5)


def test_all_sites_record_and_patch(tiny):
    names = sites(tiny.config)
    assert names[:3] == ("decoder.embed", "decoder.0.resid_pre", "decoder.0.attention.values")
    logits, records = tiny(taps=Taps(record=("*",)))
    assert sorted(records) == sorted(names)
    widths = {
        "mlp.coefficients": (3, 8, 24),
        "attention.values": (3, 8, tiny.config.kv_heads, 4),
        "attention.weights": (3, 4, 8, 8),
        "attention.heads": (3, 8, 4, 4),
    }
    for name, value in records.items():
        assert value.shape == widths.get(name.split(".", 2)[-1], (3, 8, 16))
    np.testing.assert_allclose(records["decoder.1.attention.weights"].sum(-1), 1, atol=1e-5)
    # A site that is set to what it is changes nothing; set to zero it changes the output.
    same = {name: Patch(value) for name, value in records.items()}
    np.testing.assert_allclose(tiny(taps=Taps(patches=same))[0], logits, atol=1e-5)
    for local in ("attention.weights", "attention.out", "mlp.coefficients", "mlp.out"):
        patch = {f"decoder.1.{local}": Patch(jnp.zeros(()))}
        assert np.abs(tiny(taps=Taps(patches=patch))[0] - logits).max() > 1e-3


def test_a_glob_patches_one_layer_at_a_time_in_one_program(tiny):
    where = np.eye(3)[:, :, None, None]  # grid cell, layer
    value = jnp.zeros((3, 3, 8, 16))

    def cell(where: jax.Array, value: jax.Array) -> jax.Array:
        taps = Taps(patches={"decoder.*.mlp.out": Patch(value, jnp.broadcast_to(where, (3, 3, 8)))})
        return tiny.apply(tiny.params, tiny.tokens, taps=taps)[0]

    grid = jax.jit(lambda w: jax.lax.map(lambda each: cell(each, value), w))(jnp.array(where))
    for layer in range(3):
        alone = Taps(patches={f"decoder.{layer}.mlp.out": Patch(jnp.zeros(()))})
        np.testing.assert_allclose(grid[layer], tiny(taps=alone)[0], atol=1e-5)


def test_dropout_needs_a_key_and_changes_the_output(tiny):
    run = jax.jit(lambda key: tiny.apply(tiny.params, tiny.tokens, rngs={"dropout": key}))
    one, same, other = (run(jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3
    assert np.abs(one - tiny()).max() > 1e-3


@pytest.mark.parametrize("tiny", ["llama"], indirect=True)
def test_rematerialisation_changes_no_gradient(tiny):
    def gradients(model: Tiny) -> Any:
        def loss(params: Any) -> jax.Array:
            return jnp.square(model.apply(params, model.tokens)).mean()

        return jax.jit(jax.grad(loss), compiler_options=FAST)(model.params)

    expected = gradients(tiny.scanned)
    for policy in ("minimal", "full"):
        config = dataclasses.replace(tiny.scanned.config, remat_policy=policy)
        found = gradients(dataclasses.replace(tiny.scanned, config=config))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), found, expected)


def test_bfloat16_is_near_and_gives_wide_logits(tiny):
    config = dataclasses.replace(tiny.config, dtype="bfloat16")
    narrow, wide = dataclasses.replace(tiny, config=config)(), tiny()
    assert narrow.dtype == np.float32
    assert 0 < np.abs(narrow - wide).max() < 0.1 * np.abs(wide).max()


@pytest.mark.parametrize("scan", [False, True])
@pytest.mark.parametrize("name", CONFIGS)
def test_shapes_by_arithmetic_are_those_of_the_network(name, scan):
    config = dataclasses.replace(CONFIGS[name], scan_layers=scan)
    flat = jax.tree_util.tree_flatten_with_path(abstract_parameters(config))[0]
    found = {"/".join(key.key for key in path): leaf.shape for path, leaf in flat}
    assert found == decoder_only.parameter_shapes(config)
    assert decoder_only.parameter_count(config) == sum(map(math.prod, found.values()))


def test_published_sizes_have_their_published_counts():
    # From the models' pages; GPT-2's are those of its released files.
    counts = {
        "gpt2": 124_439_808,
        "gpt2_medium": 354_823_168,
        "gpt2_large": 774_030_080,
        "gpt2_xl": 1_557_611_200,
        "smollm2_135m": 134_515_008,
    }
    for name, count in counts.items():
        assert decoder_only.parameter_count(decoder_only.size(name)) == count
    # 16 layers of 4,096 memories: the 65,536 of Geva et al. 2021.
    geva = decoder_only.size("relu_lm")
    assert geva.num_layers * geva.mlp_dim == 65_536


def test_operations_of_a_step_by_hand():
    config = dataclasses.replace(CONFIGS["llama"], num_layers=1)
    # Per token: query and out 2 * 2 * 16 * 16, key and value 2 * 2 * 16 * 8, three products of
    # the gated unit 3 * 2 * 16 * 24, scores and their sum 2 * 2 * 16 * 5, output 2 * 16 * 20.
    token = 1024 + 512 + 2304 + 320 + 640
    assert decoder_only.flops_per_step(config, batch=2, length=5) == 3 * 2 * 5 * token


def test_rotary_positions_turn_pairs_by_hand():
    config = dataclasses.replace(CONFIGS["llama"], rope_theta=100.0)
    np.testing.assert_allclose(frequencies(config), [1.0, 0.1], rtol=1e-6)
    x = jnp.array([1.0, 0.0, 0.0, 2.0]).reshape(1, 1, 1, 4)  # pairs (1, 0) and (0, 2)
    found = rotated(x, rotation(config, jnp.array([[3]]))).ravel()
    angles = np.cos(3.0), -2 * np.sin(0.3), np.sin(3.0), 2 * np.cos(0.3)
    np.testing.assert_allclose(found, angles, atol=1e-6)


def test_llama_3_stretches_long_waves_alone():
    config = dataclasses.replace(
        CONFIGS["llama"],
        head_dim=8,
        rope_theta=10000.0,
        rope_factor=8.0,
        rope_original_positions=100,
    )
    # Waves of 6.3, 62.8, 628, 6283 positions: 15.9, 1.59, 0.16, 0.016 of them in the original
    # 100. From 4 on they stay, up to 1 they are 8 times longer, 1.59 is (1.59 - 1) / 3 between.
    kept = (100 * 0.1 / (2 * np.pi) - 1) / 3
    expected = [1.0, 0.1 * (kept + (1 - kept) / 8), 0.01 / 8, 0.001 / 8]
    np.testing.assert_allclose(frequencies(config), expected, rtol=1e-5)


def test_sinusoids_by_hand():
    found = sinusoids(jnp.array([[0, 2]]), 4)
    expected = [[0, 0, 1, 1], [np.sin(2), np.sin(2e-4), np.cos(2), np.cos(2e-4)]]
    np.testing.assert_allclose(found[0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positions": "rotary", "head_dim": 5}, "head_dim is 5; it must be even"),
        ({"num_kv_heads": 3}, "num_kv_heads is 3; it must be a divisor of num_heads, 4"),
        ({"norm": "batch"}, "unknown value of DecoderOnlyConfig.norm 'batch'"),
        ({"eos_id": 20}, "eos_id is 20; it must be a row of the embedding, below 20"),
        ({"pad_id": 1}, "pad_id is 1; it must be another than bos_id and eos_id"),
        ({"add_bos": True}, "add_bos is True; it must be false without bos_id"),
        ({"rope_theta": float("nan")}, "rope_theta is nan; it must be above 0"),
    ],
)
def test_what_no_network_can_be_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(CONFIGS["gpt2"], **changes)


def test_text_longer_than_the_learned_positions_is_refused():
    tokens = jnp.zeros((1, 13), jnp.int32)
    shape = jax.eval_shape(DecoderOnly(CONFIGS["llama"]).init, jax.random.key(0), tokens)
    assert shape
    with pytest.raises(UserError, match="the model has 12 positions, and a text with its"):
        jax.eval_shape(DecoderOnly(CONFIGS["gpt2"]).init, jax.random.key(0), tokens)
