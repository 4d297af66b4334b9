"""Number types: what is rounded and what is not, and what a platform makes of bfloat16."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from closedbook.models import T5, T5Config, fastest_products, precision

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
    change = rng.normal(size=np.einsum(equation, a, b).shape).astype(np.float32)

    def both_ways(a, b, change):
        out, back = jax.vjp(lambda a, b: precision.contracted(equation, "bfloat16", a, b), a, b)
        return out, *back(change)

    # Compiled, a kernel's gradient is worked out otherwise.
    given = jnp.asarray(a), jnp.asarray(b), jnp.asarray(change)
    for found in (both_ways(*given), jax.jit(both_ways)(*given)):
        _check_sums_of_rounded(equation, a, b, change, found)


def _check_sums_of_rounded(equation, a, b, change, found):
    result = equation.partition("->")[2]
    first, second = equation.partition("->")[0].split(",")
    # float64 sums of rounded factors: only adding up in float32 is left as an error.
    wanted = [
        np.einsum(equation, _rounded(a), _rounded(b)),
        np.einsum(f"{result},{second}->{first}", _rounded(change), _rounded(b)),
        np.einsum(f"{first},{result}->{second}", _rounded(a), _rounded(change)),
    ]
    for x, y in zip(found, wanted, strict=True):
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
    ("dtype", "platform", "flags", "narrow", "wanted", "told"),
    [
        ("float32", "cpu", {"amx_bf16"}, 0.5, "float32", ""),
        ("bfloat16", "tpu", set(), 0.5, "bfloat16", ""),
        ("auto", "tpu", set(), 0.5, "bfloat16", "as on every tpu"),
        ("bfloat16", "cpu", {"avx512_bf16"}, 0.5, "bf16_bf16_f32", "2.00 times as fast"),
        ("auto", "cpu", {"amx_bf16", "fma"}, 0.9, "bf16_bf16_f32", "1.11 times as fast"),
        ("auto", "cpu", {"bf16"}, 1.25, "float32", "0.80 times as fast"),
        ("bfloat16", "cpu", {"avx512_bf16"}, 0.99, "float32", "1.01 times as fast"),
        ("bfloat16", "cpu", {"avx2"}, 0.5, "float32", "no instructions for bfloat16"),
        ("bf16_bf16_f32", "cpu", {"avx512_bf16"}, 0.5, "bf16_bf16_f32", ""),
        ("bf16_bf16_f32", "cpu", {"avx512_bf16"}, 2.0, "bf16_bf16_f32", "slow here: products"),
        ("bf16_bf16_f32", "cpu", {"avx2"}, 0.5, "bf16_bf16_f32", "slow here: this processor"),
    ],
)
def test_a_platform_decides_what_a_number_type_means_and_the_log_tells_why(
    monkeypatch, caplog, dtype, platform, flags, narrow, wanted, told
):
    monkeypatch.setattr(precision, "processor_features", lambda: frozenset(flags))
    taken = {"float32": 1.0, "bf16_bf16_f32": narrow}
    monkeypatch.setattr(fastest_products, "seconds", lambda kernels, ways: taken)
    with caplog.at_level("INFO"):
        assert precision.dtype_on(dtype, platform, ((32, 64),)) == wanted
    assert told in caplog.text
    assert bool(caplog.text) == bool(told)


def test_products_are_timed_once_and_kept_for_processors_of_this_kind(monkeypatch, tmp_path):
    monkeypatch.setenv("CLOSEDBOOK_CACHE", str(tmp_path / "cache"))
    calls = []

    def slow(x, kernel):
        calls.append(kernel.shape)
        return sum((jnp.tanh(x * n) @ kernel for n in range(40)), start=jnp.zeros(()))

    monkeypatch.setattr(fastest_products, "_ROWS", 32)
    ways = {"float32": jnp.dot, "bf16_bf16_f32": slow}
    found = fastest_products.seconds([(16, 8), (16, 4096)], ways)
    assert found["bf16_bf16_f32"] > found["float32"] > 0
    assert set(calls) == {(16, 8), (16, 2048)}  # wider ones are cut
    calls.clear()
    fastest_products._known.clear()  # another process
    assert fastest_products.seconds([(16, 4096), (16, 8)], ways) == found
    assert not calls
    [path] = (tmp_path / "cache/products").iterdir()
    odd = json.dumps({"16x2048 16x8": {"float32": "fast", "bf16_bf16_f32": None}})
    for damaged in ("{", odd, odd.replace('"fast"', "NaN"), "[]"):  # made anew
        path.write_text(damaged)
        calls.clear()
        fastest_products._known.clear()
        assert fastest_products.seconds([(16, 8), (16, 4096)], ways).keys() == ways.keys()
        assert calls
