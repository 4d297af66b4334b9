"""Number types: what is rounded and what is not, and what a platform makes of bfloat16."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from closedbook.models import T5, T5Config, precision

CONFIG = T5Config(
    vocab_size=64,
    emb_dim=32,
    num_heads=2,
    num_encoder_layers=2,
    num_decoder_layers=2,
    head_dim=16,
    mlp_dim=48,
    dropout_rate=0.0,
)


def _rounded(x):
    return np.asarray(jnp.asarray(x).astype(jnp.bfloat16).astype(jnp.float32), np.float64)


@pytest.mark.parametrize(
    ("equation", "a", "b"),
    [
        ("nk,km->nm", (6, 5), (5, 4)),
        ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
        ("bhqk,bhkd->bhqd", (2, 3, 4, 6), (2, 3, 6, 5)),
    ],
)
def test_factors_alone_are_rounded_forward_and_back(equation, a, b):
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=shape).astype(np.float32) for shape in (a, b))
    result = equation.partition("->")[2]
    first, second = equation.partition("->")[0].split(",")
    out, back = jax.vjp(lambda a, b: precision.contracted(equation, "bfloat16", a, b), a, b)
    change = rng.normal(size=out.shape).astype(np.float32)
    found = back(jnp.asarray(change))
    # float64 sums of rounded factors: only adding up in float32 is left as an error.
    wanted = [
        np.einsum(equation, _rounded(a), _rounded(b)),
        np.einsum(f"{result},{second}->{first}", _rounded(change), _rounded(b)),
        np.einsum(f"{first},{result}->{second}", _rounded(a), _rounded(change)),
    ]
    for x, y in zip((out, *found), wanted, strict=True):
        assert x.dtype == jnp.float32
        np.testing.assert_allclose(x, y, rtol=2e-6, atol=2e-6)


def test_a_model_with_narrow_factors_is_nearer_than_one_with_narrow_results():
    rng = np.random.default_rng(1)
    inputs, targets = (rng.integers(3, 64, (4, n)).astype(np.int32) for n in (12, 7))
    params = T5(CONFIG).init(jax.random.key(0), *T5(CONFIG).example())["params"]

    goal = rng.normal(size=(4, 7, 64)).astype(np.float32)

    def loss(dtype):
        module = T5(dataclasses.replace(CONFIG, dtype=dtype))

        def value(params):
            logits = module.apply({"params": params}, inputs, targets)
            return jnp.mean(jnp.square(logits - goal)), logits

        return jax.jit(jax.value_and_grad(value, has_aux=True))

    found = {dtype: loss(dtype)(params) for dtype in precision.DTYPES}
    (_, right), right_gradient = found["float32"]
    errors, gradients = {}, {}
    for dtype, ((_, logits), gradient) in found.items():
        errors[dtype] = float(jnp.abs(logits - right).max() / jnp.abs(right).max())
        gradients[dtype] = _distance(gradient, right_gradient)
    assert 0 < errors["bf16_bf16_f32"] < 0.02
    assert errors["bf16_bf16_f32"] < errors["bfloat16"]
    assert 0 < gradients["bf16_bf16_f32"] < 0.05
    assert gradients["bf16_bf16_f32"] < gradients["bfloat16"]


def _distance(tree, other) -> float:
    apart = sum(float(jnp.sum(jnp.square(a - b))) for a, b in _pairs(tree, other))
    return (apart / sum(float(jnp.sum(jnp.square(b))) for _, b in _pairs(tree, other))) ** 0.5


def _pairs(tree, other):
    return zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True)


@pytest.mark.parametrize(
    ("dtype", "platform", "flags", "wanted"),
    [
        ("float32", "cpu", {"amx_bf16"}, "float32"),
        ("bfloat16", "tpu", set(), "bfloat16"),
        ("bfloat16", "cpu", {"avx512_bf16"}, "bf16_bf16_f32"),
        ("bfloat16", "cpu", {"amx_bf16", "fma"}, "bf16_bf16_f32"),
        ("bfloat16", "cpu", {"avx2"}, "float32"),
        ("bf16_bf16_f32", "cpu", {"avx2"}, "bf16_bf16_f32"),
    ],
)
def test_a_platform_decides_what_bfloat16_means_and_the_log_tells(
    monkeypatch, caplog, dtype, platform, flags, wanted
):
    monkeypatch.setattr(precision, "processor_features", lambda: frozenset(flags))
    with caplog.at_level("INFO"):
        assert precision.dtype_on(dtype, platform) == wanted
    assert bool(caplog.text) == (wanted != dtype)
