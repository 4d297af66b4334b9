"""The parts of a T5: RMSNorm, relative position bias, attention, feed-forward, dropout.

Parameter names, shapes, initial values and logical axes are T5X's (t5x/examples/t5/layers.py).
Dropout is on when the caller gives a `dropout` random key, off otherwise.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from closedbook.models.t5.config import T5Config
from closedbook.models.taps import Tap

MASKED = -1e10  # added to attention logits that must not be seen, as T5X
_FAN_IN_NORMAL = nn.initializers.variance_scaling(1.0, "fan_in", "normal")
_FAN_IN_TRUNCATED = nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")
_ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": nn.relu,
    "gelu": functools.partial(nn.gelu, approximate=True),
    "silu": nn.silu,
    "linear": lambda x: x,
}


class KVCache(struct.PyTreeNode):
    """Keys and values of one decoder layer (with a leading layer axis under scan).

    Attributes:
        key, value: Own keys and values so far, [batch * beams, heads, max_length, head_dim].
        cross_key, cross_value: Of the encoded inputs, [batch, heads, inputs, head_dim]; shared by
            all beams of an example.
    """

    key: jax.Array
    value: jax.Array
    cross_key: jax.Array
    cross_value: jax.Array


def constrain(x: jax.Array, *axes: str) -> jax.Array:
    """Pins an activation to logical axes; nothing happens without a mesh."""
    return nn.with_logical_constraint(x, axes)


def with_axes(init: Any, axes: tuple[str, ...]) -> Any:
    """An initialiser whose parameter knows its logical axes."""
    return nn.with_logical_partitioning(init, axes)


def dense(module: nn.Module, name: str, x: jax.Array, width: int, axes: Any, init: Any) -> Any:
    """A bias-free matrix product inside a compact module: x [..., in] to [..., width]."""
    return _Kernel(width, axes, init, name=name, parent=module)(x)


def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """x [..., in] times kernel [in, out], as a product of matrices.

    With more axes a CPU computes the kernel's gradient about twice as slowly.
    """
    return jnp.dot(x.reshape(-1, x.shape[-1]), kernel).reshape(*x.shape[:-1], kernel.shape[-1])


class _Kernel(nn.Module):
    features: int
    axes: tuple[str, str]
    init: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        initializer = with_axes(self.init, self.axes)
        kernel = self.param("kernel", initializer, (x.shape[-1], self.features), jnp.float32)
        return product(x, kernel.astype(x.dtype))


class RMSNorm(nn.Module):
    """Root-mean-square normalisation without bias, computed in float32 (epsilon 1e-6)."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        initializer = with_axes(nn.initializers.ones, ("embed",))
        scale = self.param("scale", initializer, (x.shape[-1],), jnp.float32)
        wide = x.astype(jnp.float32)
        variance = jnp.mean(jnp.square(wide), axis=-1, keepdims=True)
        return (wide * jax.lax.rsqrt(variance + 1e-6) * scale).astype(x.dtype)


class Dropout(nn.Module):
    """Dropout whose mask is one for all positions of a row when `over_length` is set."""

    rate: float
    over_length: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        if self.rate == 0.0 or not self.has_rng("dropout"):
            return x
        shape = list(x.shape)
        if self.over_length:
            shape[-2] = 1
        keep = jax.random.bernoulli(self.make_rng("dropout"), 1.0 - self.rate, shape)
        return jnp.where(keep, x / (1.0 - self.rate), jnp.zeros_like(x))


def relative_position_bucket(
    distance: np.ndarray | jax.Array, *, bidirectional: bool, buckets: int, max_distance: int
) -> jax.Array:
    """T5's buckets of key position minus query position (Raffel et al. 2020, section 2.1).

    Half of the buckets are exact, the others grow logarithmically up to `max_distance`.
    """
    n = -jnp.asarray(distance)
    offset = jnp.zeros_like(n)
    if bidirectional:
        buckets //= 2
        offset = (n < 0).astype(jnp.int32) * buckets
        n = jnp.abs(n)
    else:
        n = jnp.maximum(n, 0)
    exact = buckets // 2
    # The tiny constant is T5X's: log(1) must not round below its bucket.
    ratio = jnp.log(n.astype(jnp.float32) / exact + np.finfo(np.float32).eps)
    far = exact + (ratio / np.log(max_distance / exact) * (buckets - exact)).astype(jnp.int32)
    return offset + jnp.where(n < exact, n, jnp.minimum(far, buckets - 1))


class RelativePositionBias(nn.Module):
    """A learned bias a head and a bucket, shared by all layers of a stack."""

    config: T5Config
    bidirectional: bool

    @nn.compact
    def __call__(self, queries: jax.Array, keys: jax.Array) -> jax.Array:
        """Bias [1, heads, queries, keys] for positions `queries` and `keys` (1-D int32)."""
        initializer = with_axes(
            nn.initializers.variance_scaling(1.0, "fan_avg", "uniform"),
            ("heads", "relpos_buckets"),
        )
        cfg = self.config
        shape = (cfg.num_heads, cfg.relpos_buckets)
        embedding = self.param("rel_embedding", initializer, shape, jnp.float32)
        buckets = relative_position_bucket(
            keys[None, :] - queries[:, None],
            bidirectional=self.bidirectional,
            buckets=cfg.relpos_buckets,
            max_distance=cfg.relpos_max_distance,
        )
        # One-hot keeps the gradient a matrix product: a scatter over heads is slow on TPUs.
        one_hot = jax.nn.one_hot(buckets, cfg.relpos_buckets, dtype=jnp.float32)
        return jnp.einsum("hb,qkb->hqk", embedding, one_hot)[None]


class Attention(nn.Module):
    """Multi-head attention; the 1/sqrt(head_dim) is in the query's initial values, not here."""

    config: T5Config
    site: str  # prefix of the tap sites, for example "self_attention"

    def _heads(self, x: jax.Array) -> jax.Array:
        """[batch, length, joined_kv] to [batch, heads, length, head_dim]."""
        split = x.reshape(*x.shape[:2], self.config.num_heads, self.config.head_dim)
        return split.transpose(0, 2, 1, 3)

    def _project(self, name: str, x: jax.Array) -> jax.Array:
        def query_init(*args: Any) -> jax.Array:
            return _FAN_IN_NORMAL(*args) / np.sqrt(self.config.head_dim)

        init = query_init if name == "query" else _FAN_IN_NORMAL
        width = self.config.joined_kv
        return self._heads(dense(self, name, x, width, ("embed", "joined_kv"), init))

    @nn.compact
    def keys_and_values(self, source: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Keys and values [batch, heads, inputs, head_dim] of encoded inputs, to be cached."""
        return self._project("key", source), self._project("value", source)

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        bias: jax.Array,
        tap: Tap,
        *,
        source: jax.Array | None = None,
        cache: KVCache | None = None,
        index: jax.Array | None = None,
    ) -> tuple[jax.Array, KVCache | None]:
        """Attends from `x` to itself, to `source` (cross-attention) or to what the cache holds.

        Args:
            x: Queries [batch, length, emb].
            bias: Added to the logits; broadcasts to [batch, heads, length, keys].
            tap: The layer's taps.
            source: Encoded inputs [batch, inputs, emb]. With beams `x` has beams times the rows.
            cache: Keys and values so far.
            index: Position of the first query in the cache, an int32 scalar.

        Returns:
            The output [batch, length, emb] and the cache with this call's keys and values.
        """
        query = self._project("query", x)
        key: Any
        value: Any
        if self.site != "cross_attention":
            key, value = self._project("key", x), self._project("value", x)
            if cache is not None:
                start: Any = (0, 0, index, 0)
                key = jax.lax.dynamic_update_slice(cache.key, key.astype(cache.key.dtype), start)
                value = jax.lax.dynamic_update_slice(
                    cache.value, value.astype(cache.value.dtype), start
                )
                cache = cache.replace(key=key, value=value)
        elif cache is not None:
            key, value = cache.cross_key, cache.cross_value
        else:
            assert source is not None
            key, value = self._project("key", source), self._project("value", source)

        rows, heads, length, depth = query.shape
        if rows != key.shape[0]:  # beams of an example attend to one copy of its keys
            query = query.reshape(key.shape[0], -1, heads, length, depth).swapaxes(1, 2)
            query = query.reshape(key.shape[0], heads, -1, depth)
        logits = jnp.einsum("bhqd,bhkd->bhqk", query, key, preferred_element_type=jnp.float32)
        weights = jax.nn.softmax(logits + bias, axis=-1).astype(x.dtype)
        weights = tap(f"{self.site}.weights", weights)
        weights = Dropout(self.config.dropout_rate, name="dropout")(weights)
        out = jnp.einsum("bhqk,bhkd->bhqd", weights, value)
        if rows != key.shape[0]:
            out = out.reshape(key.shape[0], heads, -1, length, depth).swapaxes(1, 2)
            out = out.reshape(rows, heads, length, depth)
        out = out.transpose(0, 2, 1, 3).reshape(rows, length, heads * depth)
        axes = ("joined_kv", "embed")
        out = dense(self, "out", out, x.shape[-1], axes, _FAN_IN_NORMAL)
        return tap(f"{self.site}.out", out), cache


class FeedForward(nn.Module):
    """The feed-forward unit: coefficients times the value matrix `wo` (Geva et al. 2021).

    ReLU(x wi) wo in 1.0, (gelu(x wi_0) * (x wi_1)) wo in 1.1.
    """

    config: T5Config

    @nn.compact
    def __call__(self, x: jax.Array, tap: Tap) -> jax.Array:
        cfg = self.config
        gated = len(cfg.mlp_activations) > 1
        coefficients: Any = 1.0
        for i, activation in enumerate(cfg.mlp_activations):
            name = f"wi_{i}" if gated else "wi"
            hidden = dense(self, name, x, cfg.mlp_dim, ("embed", "mlp"), _FAN_IN_TRUNCATED)
            coefficients = coefficients * _ACTIVATIONS[activation](hidden)
        coefficients = tap("mlp.coefficients", coefficients)
        coefficients = Dropout(cfg.dropout_rate, name="dropout")(coefficients)
        coefficients = constrain(coefficients, "batch", "length", "mlp")
        out = dense(self, "wo", coefficients, x.shape[-1], ("mlp", "embed"), _FAN_IN_TRUNCATED)
        return tap("mlp.out", out)
