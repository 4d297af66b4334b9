"""What a network remembers while it writes answers token by token."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct


class Packing(struct.PyTreeNode):
    """Where an encoder finds the tokens of a batch when several inputs share a row.

    Attributes:
        segments: int32 [packs, width]; counts the inputs of a batch from 1, 0 where there is none.
        places: int32 [batch, length]; of each token in the flattened packs. Of padding their size.
    """

    segments: jax.Array | np.ndarray
    places: jax.Array | np.ndarray

    def packed(self, inputs: jax.Array) -> jax.Array:
        """Tokens [packs, width] of inputs [batch, length]; 0 where there is none."""
        nothing = jnp.zeros(self.segments.size, inputs.dtype)
        return nothing.at[self.places].set(inputs, mode="drop").reshape(self.segments.shape)

    def unpacked(self, x: jax.Array) -> jax.Array:
        """[..., packs, heads, width, depth] to [..., batch, heads, length, depth].

        What stands where an input is padded belongs to any token, and must be masked.
        """
        *lead, _, heads, _, depth = x.shape
        flat = x.swapaxes(-3, -2).reshape(*lead, self.segments.size, heads, depth)
        found = jnp.take(flat, self.places, axis=len(lead), mode="clip")
        return found.swapaxes(-3, -2)


class DecodingState(struct.PyTreeNode):
    """What a decoder keeps from one step to the next, as a family lays it out.

    A search reorders hypotheses, and need know no more of a family than where its rows lie.

    Attributes:
        own: Arrays of each hypothesis, such as keys and values of its tokens so far. Their axis
            `row_axis` counts rows: inputs times hypotheses, those of one input side by side.
        shared: Whatever all hypotheses of an input share, such as keys of the encoded inputs.
        row_axis: 0, or 1 where a layer axis leads.
    """

    own: Any
    shared: Any
    row_axis: int = struct.field(pytree_node=False, default=0)

    def continued(self, parents: jax.Array) -> "DecodingState":
        """The state in which each hypothesis goes on from another one of the same input.

        Args:
            parents: int32 [batch, hypotheses], places among the hypotheses of the same input. They
                may be more or fewer than before.
        """
        batch, beams = parents.shape
        before = jax.tree.leaves(self.own)[0].shape[self.row_axis]
        if before == batch and beams == 1:
            return self

        def pick(x: jax.Array) -> jax.Array:
            # A gather within each input, so that a batch divided over devices stays in place.
            rows = x.reshape(batch, -1, *x.shape[1:])
            picked = jax.vmap(lambda row, parent: row[parent])(rows, parents)
            return picked.reshape(batch * beams, *x.shape[1:])

        for _ in range(self.row_axis):
            pick = jax.vmap(pick)
        return self.replace(own=jax.tree.map(pick, self.own))
