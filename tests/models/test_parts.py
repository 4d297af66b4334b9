"""Relative positions, normalisation and dropout against numbers worked out elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from closedbook.models import T5Config
from closedbook.models.layers import Dropout, RMSNorm
from closedbook.models.t5.positions import relative_position_bucket


def test_bidirectional_buckets():
    # Key minus query. 32 buckets: 16 per direction, of which 8 exact, then
    # 8 + floor(8 * ln(n / 8) / ln(16)): n = 12 -> 8 + 1, 16 -> 8 + 2, 32 -> 8 + 4, 64 -> 8 + 6,
    # 91 -> 8 + 7; from 128 on the last. Keys after the query are 16 further on.
    table = {
        0: 0, -1: 1, -7: 7, -8: 8, -11: 8, -12: 9, -15: 9, -16: 10, -22: 10, -23: 11, -31: 11,
        -32: 12, -45: 12, -46: 13, -63: 13, -64: 14, -90: 14, -91: 15, -127: 15, -128: 15, -500: 15,
        1: 17, 7: 23, 8: 24, 12: 25, 16: 26, 32: 28, 64: 30, 91: 31, 128: 31, 9999: 31,
    }  # fmt: skip
    found = relative_position_bucket(
        np.array(list(table)), bidirectional=True, buckets=32, max_distance=128
    )
    assert dict(zip(table, found.tolist(), strict=True)) == table


def test_causal_buckets():
    # 16 exact, then 16 + floor(16 * ln(n / 16) / ln(8)): n = 19 -> 16 + 1, 32 -> 16 + 5,
    # 64 -> 16 + 10, 113 -> 16 + 15. Keys after the query share bucket 0 with the query itself.
    table = {
        5: 0, 1: 0, 0: 0, -1: 1, -15: 15, -16: 16, -18: 16, -19: 17, -20: 17, -21: 18, -31: 21,
        -32: 21, -63: 26, -64: 26, -112: 30, -113: 31, -127: 31, -128: 31, -1000: 31,
    }  # fmt: skip
    found = relative_position_bucket(
        np.array(list(table)), bidirectional=False, buckets=32, max_distance=128
    )
    assert dict(zip(table, found.tolist(), strict=True)) == table


@pytest.mark.parametrize("bidirectional", [True, False])
def test_buckets_equal_the_formula_at_all_distances(bidirectional):
    distance = np.arange(-600, 601)
    n = -distance if bidirectional else np.maximum(-distance, 0)
    buckets, exact = (16, 8) if bidirectional else (32, 16)
    # In float64; exact powers would round either way, so they are nudged as T5X nudges them.
    far = np.maximum(np.abs(n), 1) / exact + np.finfo(np.float32).eps
    far = exact + np.floor(np.log(far) / np.log(128 / exact) * (buckets - exact)).astype(int)
    expected = np.where(np.abs(n) < exact, np.abs(n), np.minimum(far, buckets - 1))
    if bidirectional:
        expected = expected + (n < 0) * 16
    found = relative_position_bucket(
        distance, bidirectional=bidirectional, buckets=32, max_distance=128
    )
    np.testing.assert_array_equal(found, expected)


def test_norm_divides_by_the_root_mean_square_without_mean_or_bias():
    x = jnp.array([[3.0, 4.0]])  # root mean square: sqrt(12.5)
    params = {"scale": jnp.array([1.0, 2.0])}
    found = RMSNorm().apply({"params": params}, x)
    np.testing.assert_allclose(found, [[3 / 12.5**0.5, 8 / 12.5**0.5]], rtol=1e-6)
    # Computed in float32: the square of 300 does not fit float16-like ranges of bfloat16's digits.
    wide = RMSNorm().apply({"params": params}, jnp.array([[300.0, 301.0]], jnp.bfloat16))
    assert wide.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(wide, np.float32), [[1.0, 2.0]], rtol=1e-2)


def test_dropout_mask_is_one_for_all_positions_of_a_row():
    x = jnp.ones((4, 9, 64))
    out = np.asarray(Dropout(0.25).apply({}, x, rngs={"dropout": jax.random.key(0)}))
    np.testing.assert_allclose(np.unique(out), [0, 4 / 3], rtol=1e-6)
    assert (out == out[:, :1]).all()
    assert (out[0] != out[1]).any()
    assert abs((out[:, 0] == 0).mean() - 0.25) < 0.12


def test_dropout_after_the_encoder_differs_between_positions():
    x = jnp.ones((2, 9, 64))
    dropout = Dropout(0.25, over_length=False)
    out = np.asarray(dropout.apply({}, x, rngs={"dropout": jax.random.key(0)}))
    assert (out != out[:, :1]).any()


def test_dropout_without_a_key_does_nothing():
    x = jnp.ones((1, 2, 3))
    assert (Dropout(0.5).apply({}, x) == x).all()
    rngs = {"dropout": jax.random.key(0)}
    assert (Dropout(0.0).apply({}, x, rngs=rngs) == x).all()


def test_joined_width_is_heads_times_head_dim():
    assert T5Config(num_heads=6, head_dim=64).joined_kv == 384
