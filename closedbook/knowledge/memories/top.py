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
    best = best_of_texts if convention == "text" else _every_position
    found = [best(layer.astype(jnp.float32), lengths, signs) for layer in layers]
    size, position, active = (jnp.stack(each, axis=1) for each in zip(*found, strict=True))
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


def best_of_texts(
    layer: jax.Array, lengths: jax.Array, signs: int, *, one_by_one: bool | None = None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Each text's largest coefficient per cell, where it is, and how often there is one.

    Args:
        layer: Float32 [rows, length, cells].
        lengths: Int32 [rows], how many positions of each row count.
        signs: 1 for positive coefficients alone, 2 for negative ones too.
        one_by_one: Whether to go from position to position, which on a CPU takes a third of the
            time of a reduction over an axis that is not the last; default: on a CPU.

    Returns:
        Sizes float32 and positions int32 [signs, cells, rows], 0 where there is none; and at how
        many positions coefficients have the sign, int32 [signs, cells].
    """
    rows, length, cells = layer.shape
    turns = jnp.array([1.0, -1.0])[:signs, None, None]

    def step(at: jax.Array | int, carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        best, place, count = carry
        here = jax.lax.dynamic_index_in_dim(layer, at, 1, keepdims=False)
        here = jnp.where((at < lengths)[:, None], here, 0.0) * turns
        better = here > best
        return (
            jnp.maximum(best, here),  # which hands on what is no number
            jnp.where(better, at, place),
            count + (here > 0),
        )

    if jax.default_backend() == "cpu" if one_by_one is None else one_by_one:
        shape = (signs, rows, cells)
        start = jnp.zeros(shape), jnp.zeros(shape, jnp.int32), jnp.zeros(shape, jnp.int32)
        best, place, count = jax.lax.fori_loop(0, length, step, start)
    else:
        inside = jnp.arange(length)[:, None] < lengths[:, None, None]
        signed = jnp.where(inside, layer, 0.0) * turns[..., None]
        best = jnp.maximum(signed.max(2), 0.0)
        place = jnp.where(best > 0, signed.argmax(2), 0).astype(jnp.int32)
        count = jnp.sum(signed > 0, 2, dtype=jnp.int32)
    return best.swapaxes(1, 2), place.swapaxes(1, 2), count.sum(1)


def _every_position(
    layer: jax.Array, lengths: jax.Array, signs: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """As `best_of_texts`, but for every position: the last axis is [rows * length]."""
    rows, length, cells = layer.shape
    inside = jnp.arange(length)[:, None] < lengths[:, None, None]
    signed = jnp.where(inside, layer, 0.0) * jnp.array([1.0, -1.0])[:signs, None, None, None]
    place = jnp.broadcast_to(jnp.arange(length, dtype=jnp.int32), (signs, cells, rows, length))
    flat = jnp.maximum(signed, 0.0).transpose(0, 3, 1, 2).reshape(signs, cells, -1)
    count = jnp.sum(signed > 0, (1, 2), dtype=jnp.int32)
    return flat, place.reshape(signs, cells, -1), count
