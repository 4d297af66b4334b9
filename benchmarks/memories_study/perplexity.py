"""The perplexity of a language model on WikiText-2, by piece and by word."""

import dataclasses
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.models.parameters import Params, unboxed
from closedbook.tasks import texts

_ROWS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Perplexity:
    """How surely a text was predicted.

    Attributes:
        by_piece: exp of the mean negative log-probability of a piece.
        by_word: The same total over WikiText's own tokens: words and ends of lines.
        pieces: How many were predicted, ends of articles included.
        words: How many words and ends of lines there are.
    """

    by_piece: float
    by_word: float
    pieces: int
    words: int


def measure(model: LoadedModel, file: pathlib.Path, length: int) -> Perplexity:
    """Predicts a file as the training does: articles in rows, each piece once.

    A row's first piece is predicted from the one that truly stood before it alone.

    Args:
        model: A decoder-only model whose texts begin with an id of their own.
        file: WikiText's raw form.
        length: Pieces per row.
    """
    config, vocabulary = model.config, model.vocabulary
    rows: list[tuple[list[int], list[int]]] = []
    words = 0
    for document in texts.read(file):
        words += len(document.text.split()) + len(document.text.splitlines())
        targets = [*vocabulary.encode(document.text), vocabulary.eos_id]
        read = [config.begin_id, *targets[:-1]]  # type: ignore[union-attr]
        for first in range(0, len(targets), length):
            part = slice(first, first + length)
            rows.append((read[part], targets[part]))

    @jax.jit
    def loss(params: Params, read: jax.Array, targets: jax.Array) -> jax.Array:
        logits = model.module.apply({"params": params}, read)
        scores = jax.nn.log_softmax(jnp.asarray(logits)[..., : vocabulary.vocab_size])
        own = jnp.take_along_axis(scores, jnp.maximum(targets, 0)[..., None], axis=-1)[..., 0]
        return -jnp.where(targets >= 0, own, 0.0).sum()

    total, params = 0.0, unboxed(model.params)
    for first in range(0, len(rows), _ROWS):
        read_, targets_ = np.zeros((_ROWS, length), int), np.full((_ROWS, length), -1)
        for row, (ids, after) in enumerate(rows[first : first + _ROWS]):
            read_[row, : len(ids)], targets_[row, : len(after)] = ids, after
        total += float(loss(params, read_, targets_))
    pieces = sum(len(after) for _, after in rows)
    return Perplexity(
        by_piece=math.exp(total / pieces),
        by_word=math.exp(total / words),
        pieces=pieces,
        words=words,
    )
