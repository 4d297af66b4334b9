"""Multi-head attention: projections, the cache of decoding, and `attend` between them.

Parameter names, shapes and logical axes are T5X's (t5x/examples/t5/layers.py).
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from closedbook.models.layers import Dropout, Initializer, Kernel, drops
from closedbook.models.precision import Precision, contracted
from closedbook.models.taps import Tap

MASKED = -1e10  # added to attention logits that must not be seen, as T5X


class KVCache(struct.PyTreeNode):
    """Keys and values of one decoder layer (with a leading layer axis under scan).

    Attributes:
        key, value: Own keys and values so far, [batch * beams, heads, max_length, head_dim].
        cross_key, cross_value: Of the encoded inputs, [batch, heads, inputs, head_dim]; shared by
            all beams of an example. None where there is no cross-attention.
        prompt_key, prompt_value: Of what stands before the own tokens and is shared by all beams
            of an example, [batch, heads, prompt, head_dim]. None where nothing does.

    Where keys and values have fewer heads than queries, "heads" is their number.
    """

    key: jax.Array
    value: jax.Array
    cross_key: jax.Array | None = None
    cross_value: jax.Array | None = None
    prompt_key: jax.Array | None = None
    prompt_value: jax.Array | None = None


def attend(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    bias: jax.Array,
    *,
    precision: Precision,
    on_weights: Callable[[jax.Array], jax.Array] | None = None,
) -> jax.Array:
    """softmax(query keyᵀ + bias) value: all that stands between the projections and the output.

    The logits are not scaled; where a model scales them, its queries are scaled. Another kernel
    may compute the same; one that never forms the weights can do so where `on_weights` is None.

    Args:
        query: [batch, heads, queries, head_dim].
        key: [batch, heads, keys, head_dim].
        value: [batch, heads, keys, head_dim].
        bias: Added to the logits; broadcasts to [batch, heads, queries, keys]. `MASKED` hides.
        precision: Logits and softmax are in its accumulation type.
        on_weights: Sees the weights [batch, heads, queries, keys] and gives those to be used
            (taps, dropout). None where nothing looks at them.

    Returns:
        [batch, heads, queries, head_dim], in the type of the queries.
    """
    if precision.narrow:
        logits = contracted("bhqd,bhkd->bhqk", precision.operands, query, key)
    else:
        logits = jnp.einsum(
            "bhqd,bhkd->bhqk", query, key, preferred_element_type=jnp.dtype(precision.accumulate)
        )
    weights = jax.nn.softmax(logits + bias, axis=-1).astype(query.dtype)
    if on_weights is not None:
        weights = on_weights(weights)
    if precision.narrow:
        return contracted("bhqk,bhkd->bhqd", precision.operands, weights, value)
    return jnp.einsum("bhqk,bhkd->bhqd", weights, value)


class Attention(nn.Module):
    """Multi-head attention; as T5's unless biases, scaled logits or shared keys are asked for.

    Attributes:
        heads: Number of heads.
        head_dim: Width of a head.
        site: Prefix of the tap sites, for example "self_attention": `values` [batch, keys, heads,
            head_dim] (as many heads as of keys), `weights` [batch, heads, queries, keys], `heads`
            [batch, queries, heads, head_dim] (their mixtures of values) and `out` [batch, queries,
            emb].
        cross: Whether keys and values come from another sequence (`source`), not from `x`.
        query_init: Initial values of the query's kernel [emb, heads * head_dim].
        kernel_init: Initial values of the other three kernels.
        dropout_rate: Of the weights.
        precision: Number types.
        kv_heads: Of keys and values: each serves a group of heads // kv_heads neighbouring heads
            of queries (Ainslie et al. 2023); 0 for as many as of queries.
        bias: Whether all four products have one.
        query_scale: Of the queries, and so of the logits.
    """

    heads: int
    head_dim: int
    site: str
    cross: bool
    query_init: Initializer
    kernel_init: Initializer
    dropout_rate: float
    precision: Precision
    kv_heads: int = 0
    bias: bool = False
    query_scale: float = 1.0

    def _project(self, name: str, x: jax.Array, tap: Tap | None = None) -> jax.Array:
        """[batch, length, emb] to [batch, heads, length, head_dim]; taps see values alone."""
        query = name == "query"
        init = self.query_init if query else self.kernel_init
        heads = self.heads if query else self.kv_heads or self.heads
        width, axes = heads * self.head_dim, ("embed", "joined_kv")
        joined = Kernel(width, axes, init, self.precision, self.bias, name=name)(x)
        split = joined.reshape(*joined.shape[:2], heads, self.head_dim)
        if tap is not None:
            split = tap(f"{self.site}.values", split)
        return split.transpose(0, 2, 1, 3)

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
        turn: Callable[[jax.Array], jax.Array] | None = None,
    ) -> tuple[jax.Array, KVCache | None]:
        """Attends from `x` to itself, to `source` (cross-attention) or to what the cache holds.

        Args:
            x: Queries [batch, length, emb].
            bias: Added to the logits; broadcasts to [batch, heads, length, keys].
            tap: The layer's taps.
            source: Encoded inputs [batch, inputs, emb]. With beams `x` has beams times the rows.
            cache: Keys and values so far.
            index: Position of the first query in the cache, an int32 scalar.
            turn: Gives queries and keys [batch, heads, length, head_dim] their positions, before
                keys are cached (rotary embeddings).

        Returns:
            The output [batch, length, emb] and the cache with this call's keys and values.
        """
        query = self._project("query", x)
        if self.cross and cache is not None:
            assert cache.cross_key is not None
            assert cache.cross_value is not None
            key, value = cache.cross_key, cache.cross_value
        else:
            origin = source if self.cross else x
            assert origin is not None
            key, value = self._project("key", origin), self._project("value", origin, tap)
        if turn is not None:
            query, key = turn(query), turn(key)
        if self.query_scale != 1.0:
            query = query * self.query_scale
        if not self.cross and cache is not None:
            assert index is not None
            cache = cache.replace(
                key=_written(cache.key, key, index), value=_written(cache.value, value, index)
            )
            key, value = cache.key, cache.value
            if cache.prompt_key is not None and cache.prompt_value is not None:
                key, value = _after(cache.prompt_key, key), _after(cache.prompt_value, value)

        dropout = Dropout(self.dropout_rate, name="dropout")
        seen = tap.touches(f"{self.site}.weights") or drops(self, self.dropout_rate)

        def on_weights(weights: jax.Array) -> jax.Array:
            weights = jax.lax.stop_gradient(weights) if tap.relevance else weights
            return dropout(tap(f"{self.site}.weights", weights))

        out = _attend_in_groups(
            _beams_as_queries(query, key.shape[0]),
            key,
            value,
            bias,
            precision=self.precision,
            on_weights=on_weights if seen or tap.relevance else None,
        )
        rows, heads, length, depth = query.shape
        out = _beams_as_rows(out, rows)
        out = tap(f"{self.site}.heads", out.transpose(0, 2, 1, 3))
        out = out.reshape(rows, length, heads * depth)
        axes = ("joined_kv", "embed")
        project = Kernel(x.shape[-1], axes, self.kernel_init, self.precision, self.bias, name="out")
        return tap(f"{self.site}.out", project(out)), cache


def _attend_in_groups(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    bias: jax.Array,
    *,
    precision: Precision,
    on_weights: Callable[[jax.Array], jax.Array] | None,
) -> jax.Array:
    """`attend`, where neighbouring heads of queries may share a head of keys and values.

    The queries of a group stand one after the other, so that keys and values are not repeated.
    The bias must then be one for all heads; weights are seen with the heads of the queries.
    """
    rows, heads, length, depth = query.shape
    shared = key.shape[1]
    if heads == shared:
        return attend(query, key, value, bias, precision=precision, on_weights=on_weights)
    bias = jnp.broadcast_to(bias, (bias.shape[0], 1, length, key.shape[2]))

    def apart(weights: jax.Array) -> jax.Array:
        assert on_weights is not None
        seen = on_weights(weights.reshape(rows, heads, length, -1))
        return seen.reshape(weights.shape)

    out = attend(
        query.reshape(rows, shared, -1, depth),
        key,
        value,
        jnp.tile(bias, (1, 1, heads // shared, 1)),
        precision=precision,
        on_weights=None if on_weights is None else apart,
    )
    return out.reshape(query.shape)


def _after(prompt: jax.Array, own: jax.Array) -> jax.Array:
    """Keys or values of a prompt [batch, ...] before those of each of its beams [rows, ...]."""
    repeated = jnp.repeat(prompt, own.shape[0] // prompt.shape[0], axis=0)
    return jnp.concatenate([repeated, own], axis=2)


def _written(cached: jax.Array, new: jax.Array, index: jax.Array) -> jax.Array:
    """Cached keys or values with new ones [batch, heads, length, head_dim] from `index` on."""
    return jax.lax.dynamic_update_slice(cached, new.astype(cached.dtype), (0, 0, index, 0))


def _beams_as_queries(query: jax.Array, batch: int) -> jax.Array:
    """[batch * beams, heads, length, depth] to [batch, heads, beams * length, depth].

    So all beams of an example attend to one copy of its keys.
    """
    rows, heads, length, depth = query.shape
    if rows == batch:
        return query
    query = query.reshape(batch, -1, heads, length, depth).swapaxes(1, 2)
    return query.reshape(batch, heads, -1, depth)


def _beams_as_rows(out: jax.Array, rows: int) -> jax.Array:
    """What `_beams_as_queries` did, undone: to [rows, heads, length, depth]."""
    batch, heads, queries, depth = out.shape
    if rows == batch:
        return out
    length = queries * batch // rows
    out = out.reshape(batch, heads, -1, length, depth).swapaxes(1, 2)
    return out.reshape(rows, heads, length, depth)
