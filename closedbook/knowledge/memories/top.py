"""The largest coefficients of every cell, kept while a corpus streams by."""

from collections.abc import Sequence
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from closedbook.knowledge.memories.cells import Cells

Convention = Literal["text", "position"]
CONVENTIONS: tuple[Convention, ...] = get_args(Convention)
IN_WORDS: dict[Convention, str] = {
    "text": "each text gives a cell one trigger, where its coefficient is largest (Geva et al.'s "
    "code)",
    "position": "each position of a text is a trigger of its own",
}
NOBODY = -1  # the text of an empty place


class Top(struct.PyTreeNode):
    """The running triggers of one stack.

    Attributes:
        size: Float32 [signs, layers, cells, t], sizes of coefficients in falling order; 0 where
            a place is empty, since a cell whose coefficient is 0 does not answer.
        text: Int32 of the same shape, places of texts in the corpus; -1 where empty.
        position: Int32 of the same shape, positions in the texts.
        active: Int32 [signs, layers, cells], at how many positions since the last `drained` the
            coefficient had the sign.
    """

    size: jax.Array
    text: jax.Array
    position: jax.Array
    active: jax.Array

    @classmethod
    def empty(cls, cells: Cells, t: int) -> "Top":
        """No triggers yet."""
        shape = (len(cells.signs), cells.layers, cells.width, t)
        return cls(
            size=jnp.zeros(shape, jnp.float32),
            text=jnp.full(shape, NOBODY, jnp.int32),
            position=jnp.zeros(shape, jnp.int32),
            active=jnp.zeros(shape[:-1], jnp.int32),
        )

    def drained(self) -> tuple["Top", np.ndarray]:
        """The same with counts of 0, and the counts int64 [signs, layers, cells]."""
        counts = np.asarray(self.active).astype(np.int64)
        return self.replace(active=jnp.zeros_like(self.active)), counts


def merge(
    top: Top,
    layers: Sequence[jax.Array],
    number: jax.Array,
    lengths: jax.Array,
    convention: Convention,
) -> Top:
    """The triggers after one more batch; to be called inside a jit.

    Among equal coefficients the one that came first stays.

    Args:
        top: The triggers so far.
        layers: Each layer's coefficients, [rows, length, cells].
        number: Int32 [rows], each row's text.
        lengths: Int32 [rows], how many positions of each row count.
        convention: "text": each text gives a cell its largest coefficient alone, as the paper's
            code does; "position": each position of a text stands for itself.
    """
    signs, t = top.size.shape[0], top.size.shape[-1]
    best = _best_of_texts if convention == "text" else _every_position
    found = []
    for layer in layers:
        layer = layer.astype(jnp.float32)
        inside = jnp.arange(layer.shape[1])[None, :, None] < lengths[:, None, None]
        for sign in range(signs):
            signed = jnp.where(inside, -layer if sign else layer, 0.0)
            found.append((*best(signed), jnp.sum(signed > 0, (0, 1), dtype=jnp.int32)))
    size, position, active = (
        jnp.stack(each).reshape(len(layers), signs, *each[0].shape).swapaxes(0, 1)
        for each in zip(*found, strict=True)
    )
    text = jnp.repeat(number, size.shape[-1] // len(number))
    text = jnp.broadcast_to(text, size.shape)
    both = jnp.concatenate([top.size, size], -1)
    size, chosen = jax.lax.top_k(both, t)
    return Top(
        size=size,
        text=jnp.take_along_axis(jnp.concatenate([top.text, text], -1), chosen, -1),
        position=jnp.take_along_axis(jnp.concatenate([top.position, position], -1), chosen, -1),
        active=top.active + active,
    )


def _best_of_texts(signed: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Each text's largest number per cell and its first position, [cells, rows]."""
    best = jnp.maximum(signed.max(1), 0.0)
    # An argmax over an axis that is not the last is slow on a CPU.
    places = jnp.arange(signed.shape[1], dtype=jnp.int32)[None, :, None]
    place = jnp.min(jnp.where(signed == best[:, None], places, signed.shape[1]), 1)
    return best.T, place.T


def _every_position(signed: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Every position's number per cell and the position, [cells, rows * length]."""
    rows, length, cells = signed.shape
    place = jnp.broadcast_to(jnp.arange(length, dtype=jnp.int32), (cells, rows, length))
    flat = jnp.maximum(signed, 0.0).transpose(2, 0, 1).reshape(cells, -1)
    return flat, place.reshape(cells, -1)
