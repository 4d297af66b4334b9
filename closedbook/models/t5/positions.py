"""Relative positions of T5: distances in buckets, and a learned bias per head and bucket."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from closedbook.models.layers import with_axes
from closedbook.models.precision import Precision


def relative_position_bucket(
    distance: np.ndarray | jax.Array, *, bidirectional: bool, buckets: int, max_distance: int
) -> jax.Array:
    """T5's buckets of key position minus query position (Raffel et al. 2020, section 2.1).

    Half of the buckets are exact, the others grow logarithmically up to `max_distance`.

    Args:
        distance: Key positions minus query positions, int of any shape.
        bidirectional: Whether keys after the query have half of the buckets to themselves;
            otherwise they share bucket 0.
        buckets: Number of buckets.
        max_distance: Tokens from which on all distances share the last bucket.

    Returns:
        int32 of the shape of `distance`, from 0 to `buckets` - 1.
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
    """One learned bias per head and bucket, shared by all layers of a stack or a layer's own."""

    heads: int
    buckets: int
    max_distance: int  # tokens; all further ones share a bucket
    bidirectional: bool
    precision: Precision

    @nn.compact
    def __call__(self, queries: jax.Array, keys: jax.Array) -> jax.Array:
        """Bias [1, heads, queries, keys] for positions `queries` and `keys` (1-D int32)."""
        initializer = with_axes(
            nn.initializers.variance_scaling(1.0, "fan_avg", "uniform"),
            ("heads", "relpos_buckets"),
        )
        shape = (self.heads, self.buckets)
        embedding = self.param("rel_embedding", initializer, shape, self.precision.parameters)
        buckets = relative_position_bucket(
            keys[None, :] - queries[:, None],
            bidirectional=self.bidirectional,
            buckets=self.buckets,
            max_distance=self.max_distance,
        )
        # One-hot keeps the gradient a matrix product: a scatter over heads is slow on TPUs.
        one_hot = jax.nn.one_hot(buckets, self.buckets, dtype=embedding.dtype)
        return jnp.einsum("hb,qkb->hqk", embedding, one_hot)[None]
