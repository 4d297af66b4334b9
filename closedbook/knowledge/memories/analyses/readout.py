"""Scores of the vocabulary for many vectors of the residual stream, on the device.

`values` says what the two readings of a value are. Of a residual stream x they are

| reading | scores |
|---|---|
| raw | x E, as in Geva et al. 2021, whose model has no last norm |
| scaled | norm(x) E, which after the last layer are the model's own logits |

Columns of E beyond the vocabulary, which name no token, are left out.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.memories.values import Reading
from closedbook.models.parameters import unboxed

_SCORES = 1 << 24  # held at once: 64 MiB


class Readout(flax.struct.PyTreeNode):
    """The way from a decoder's residual stream to the vocabulary.

    Attributes:
        matrix: E with the model's factor in it (T5 1.0: d^-0.5), float32 [emb, tokens].
        scale: Of the last norm, float32 [emb].
        bias: Of the last norm, [emb]; 0 where it has none.
        epsilon: Of the last norm.
        centred: Whether the last norm takes the mean away.
    """

    matrix: jax.Array
    scale: jax.Array
    bias: jax.Array
    epsilon: float = flax.struct.field(pytree_node=False)
    centred: bool = flax.struct.field(pytree_node=False)

    @classmethod
    def of(cls, model: LoadedModel) -> "Readout":
        """The readout of a model."""
        config, params = model.config, unboxed(model.params)
        tokens = min(config.vocab_size, model.vocabulary.vocab_size)
        eye = jnp.eye(config.emb_dim)[None]
        scores = model.module.apply({"params": params}, eye, method="logits")
        norm = params["decoder"]["decoder_norm"]
        return cls(
            matrix=jnp.asarray(scores)[0, :, :tokens],
            scale=jnp.asarray(norm["scale"], jnp.float32),
            bias=jnp.asarray(norm.get("bias", jnp.zeros(config.emb_dim)), jnp.float32),
            epsilon=config.norm_epsilon,
            centred="bias" in norm,
        )

    def of_value(self, v: jax.Array, reading: Reading) -> jax.Array:
        """Scores [..., tokens] of values or updates [..., emb]."""
        if reading == "raw":
            return v @ self.matrix
        v = v - v.mean(-1, keepdims=True) if self.centred else v
        return (v * self.scale) @ self.matrix

    def of_stream(self, x: jax.Array, scores: jax.Array, reading: Reading) -> jax.Array:
        """Scores [..., tokens] of a residual stream [..., emb].

        Args:
            x: The stream.
            scores: What `of_value` gives of it. But for the norm's division and bias both are
                linear, so that the scores of a sum need no product with E.
            reading: How.
        """
        if reading == "raw":
            return scores
        return scores * self._shrunk(x) + self.bias @ self.matrix

    def of_normed(self, x: jax.Array) -> jax.Array:
        """The model's logits [..., tokens] of the output of its last norm [..., emb]."""
        return x @ self.matrix

    def _shrunk(self, x: jax.Array) -> jax.Array:
        """What the last norm multiplies a stream [..., emb] by: [..., 1]."""
        x = x - x.mean(-1, keepdims=True) if self.centred else x
        return shrunk(x, self.epsilon)


def shrunk(x: jax.Array, epsilon: float) -> jax.Array:
    """What a norm multiplies [..., emb] by, 1 / sqrt(mean(x^2) + epsilon): [..., 1]."""
    return jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + epsilon)


class Promoted(NamedTuple):
    """What values promote.

    Attributes:
        top: The token with the highest probability under softmax(v E), int32 [cells].
        probability: Its probability, float32 [cells].
        rank: The place of the token that was asked for, from 1, int32 [cells]; equals do not
            count against it. 0 where none was asked for.
    """

    top: np.ndarray
    probability: np.ndarray
    rank: np.ndarray


def promoted(
    readout: Readout, found: jax.Array, asked: Sequence[np.ndarray], reading: Reading
) -> list[Promoted]:
    """What values [cells, emb] promote, and where the tokens that are asked for stand.

    Args:
        readout: Of the model.
        found: The values.
        asked: A token per cell, int [cells]; -1 for none. A second array asks the same of the
            values' opposites, which memories write whose coefficient is below 0.
        reading: How.

    Returns:
        One for each array of `asked`.
    """
    cells, rows = len(found), max(1, _SCORES // readout.matrix.shape[1])
    rows = min(rows, cells)
    parts = []
    for first in range(0, cells, rows):
        start = min(first, cells - rows)  # the last chunk reaches back, so that one program does
        part = slice(start, start + rows)
        told = _promoted(readout, found[part], [each[part] for each in asked], reading)
        parts.append([[np.asarray(each)[first - start :] for each in one] for one in told])
    return [
        Promoted(*(np.concatenate(each) for each in zip(*one, strict=True)))
        for one in zip(*parts, strict=True)
    ]


@functools.partial(jax.jit, static_argnums=3)
def _promoted(
    readout: Readout, found: jax.Array, asked: list[jax.Array], reading: Reading
) -> list[tuple[jax.Array, jax.Array, jax.Array]]:
    votes = readout.of_value(found, reading)
    told = []
    for scores, wanted in zip((votes, -votes), asked, strict=False):
        own = jnp.take_along_axis(scores, jnp.maximum(wanted, 0)[:, None], axis=1)
        sure = jnp.exp(scores.max(-1) - jax.nn.logsumexp(scores, axis=-1))
        rank = jnp.where(wanted < 0, 0, (scores > own).sum(-1) + 1)
        told.append((scores.argmax(-1), sure, rank))
    return told
