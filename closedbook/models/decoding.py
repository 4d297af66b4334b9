"""What a network remembers while it writes answers token by token."""

from typing import Any

import jax
from flax import struct


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
