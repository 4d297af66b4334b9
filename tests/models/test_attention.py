"""The seam between an attention's projections and its output, where other kernels may stand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from closedbook.models import Patch, Taps, attention
from closedbook.models.attention import MASKED, attend
from closedbook.models.precision import Precision


def test_attend_by_hand():
    # Two keys, logits ln 3 and 0: weights 3/4 and 1/4. The third key is masked.
    query = jnp.array([1.0, 0.0]).reshape(1, 1, 1, 2)
    key = jnp.array([[np.log(3), 5.0], [0.0, 7.0], [9.0, 9.0]]).reshape(1, 1, 3, 2)
    value = jnp.array([[4.0, 0.0], [0.0, 8.0], [1e6, 1e6]]).reshape(1, 1, 3, 2)
    bias = jnp.array([0.0, 0.0, MASKED]).reshape(1, 1, 1, 3)
    seen = []

    def halved(weights):
        seen.append(weights)
        return weights / 2

    found = attend(query, key, value, bias, precision=Precision())
    np.testing.assert_allclose(found.ravel(), [3.0, 2.0], rtol=1e-6)
    found = attend(query, key, value, bias, precision=Precision(), on_weights=halved)
    np.testing.assert_allclose(found.ravel(), [1.5, 1.0], rtol=1e-6)
    np.testing.assert_allclose(seen[0].ravel(), [0.75, 0.25, 0.0], rtol=1e-6)


def test_logits_and_softmax_are_wide_where_the_factors_are_narrow():
    # Summed in bfloat16 the logits 256 and 257 would be equal, and so would the weights.
    ones = jnp.ones((1, 1, 1, 257), jnp.bfloat16)
    keys = jnp.stack([ones[0, 0, 0], ones[0, 0, 0].at[-1].set(0)])[None, None]
    value = jnp.array([[1.0], [0.0]], jnp.bfloat16)[None, None]
    found = attend(ones, keys, value, jnp.zeros(1), precision=Precision(compute="bfloat16"))
    assert found.dtype == jnp.bfloat16
    assert float(found[0, 0, 0, 0]) == pytest.approx(np.e / (1 + np.e), rel=1e-2)


@pytest.fixture
def other_kernel(monkeypatch):
    """XLA's fused attention where `attend` stands; what each call was told about weights."""
    told = []

    def fused(query, key, value, bias, *, precision, on_weights=None):
        told.append(on_weights is not None)
        if on_weights is not None:
            return attend(query, key, value, bias, precision=precision, on_weights=on_weights)
        sides = (x.swapaxes(1, 2) for x in (query, key, value))
        shape = (query.shape[0], query.shape[1], query.shape[2], key.shape[2])
        bias = jnp.broadcast_to(bias, shape)
        return jax.nn.dot_product_attention(*sides, bias, scale=1.0).swapaxes(1, 2)

    monkeypatch.setattr(attention, "attend", fused)
    return told


@pytest.mark.parametrize("scan", [False, True])
def test_another_kernel_can_stand_in_for_attend(tiny, other_kernel, scan, monkeypatch):
    model = tiny.scanned if scan else tiny
    found = model()
    assert set(other_kernel) == {False}
    monkeypatch.undo()
    np.testing.assert_allclose(found, model(), atol=1e-5)


def test_a_kernel_is_told_whether_anything_looks_at_the_weights(tiny, other_kernel):
    # Two layers of the encoder, then two of the decoder with two attentions each.
    tiny(taps=Taps(record=("encoder.1.attention.weights",)))
    assert other_kernel == [False, True, False, False, False, False]
    other_kernel.clear()
    tiny(taps=Taps(patches={"decoder.0.cross_attention.weights": Patch(np.float32(0.1))}))
    assert other_kernel == [False, False, False, True, False, False]
    other_kernel.clear()
    jax.eval_shape(lambda: tiny.apply(tiny.params, rngs={"dropout": jax.random.key(0)}))
    assert other_kernel == [True] * 6
