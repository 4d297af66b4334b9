"""Values of memories, read as votes for tokens.

The value of a memory is the vector that its cell adds to the residual stream, times its
coefficient. Read through the output matrix E it is a vote for every token: r = v E, whose largest
entries are the tokens that the memory promotes, and whose smallest are those that it suppresses
(Geva et al. 2021, section 4). Two readings are given:

| reading | what is projected |
|---|---|
| raw | v, as in the paper |
| scaled | v times the scale of the final norm, since that stands between the stream and E |

Both leave the norm's division by the stream's size out, which is the same for all memories; a
LayerNorm's centring is part of "scaled". T5 1.0's factor d_model ** -0.5 is in both. (A model that
shares its embedding with the output has it; neither changes the order of tokens.)

An encoder's values have no vocabulary of their own. They are read in the manner of DecoderLens
(Langedijk et al. 2023, arXiv 2310.03686), which lets the decoder attend to an intermediate state:
here the encoder's whole output is the one value, normalised ("scaled": with the encoder's final
scale; "raw": without), and the vote is the difference that it makes to the logits of the answer's
first token, against an encoder whose output is zero.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.memories.cells import Cell, cells_of
from closedbook.knowledge.probing.prompts import Prompting
from closedbook.models.parameters import layers_apart, unboxed

Reading = Literal["raw", "scaled"]
READINGS: tuple[Reading, ...] = get_args(Reading)
_AT_ONCE = 256  # values of an encoder that the decoder reads together


@dataclasses.dataclass(frozen=True)
class Values:
    """The values of one stack of a model.

    Attributes:
        model: The model.
        stack: "encoder" or "decoder".
        reading: "raw" or "scaled".

    Raises:
        UserError: The model has no such stack.
    """

    model: LoadedModel
    stack: str = "decoder"
    reading: Reading = "scaled"

    def __post_init__(self) -> None:
        cells_of(self.model.config, (self.stack,))

    @functools.cached_property
    def vectors(self) -> np.ndarray:
        """Float32 [layers, cells, emb]: the rows of each layer's second matrix."""
        params, config = unboxed(self.model.params), self.model.config
        layers = layers_apart(params[self.stack], config.stacks[self.stack].layers)
        return np.stack([np.asarray(each["mlp"]["wo"]["kernel"], np.float32) for each in layers])

    @functools.cached_property
    def tokens(self) -> int:
        """Ids that the vocabulary has; an embedding may have more rows."""
        return min(self.model.vocabulary.vocab_size, self.model.config.vocab_size)

    @functools.cached_property
    def norms(self) -> np.ndarray:
        """Float32 [layers, cells]: lengths of the values."""
        return np.linalg.norm(self.vectors, axis=-1)

    def votes(self, cells: Sequence[Cell]) -> np.ndarray:
        """Float32 [cells, tokens]: the votes of some cells for all tokens."""
        chosen = np.stack([self.vectors[cell.layer, cell.number] for cell in cells])
        return self.project(chosen)

    def project(self, vectors: np.ndarray, tokens: np.ndarray | None = None) -> np.ndarray:
        """Votes of vectors.

        Args:
            vectors: Float32 [n, emb].
            tokens: Int [m], the ids that are voted for; all if None.

        Returns:
            Float32 [n, m].
        """
        if self.stack != "decoder":
            parts = [
                self._through_decoder(vectors[first : first + _AT_ONCE], tokens)
                for first in range(0, len(vectors), _AT_ONCE)
            ]
            return np.concatenate(parts)
        matrix = self._matrix if tokens is None else self._matrix[:, tokens]
        return vectors @ matrix

    @functools.cached_property
    def _matrix(self) -> np.ndarray:
        """Float32 [emb, tokens], from the residual stream to votes."""
        params = unboxed(self.model.params)
        eye = np.eye(self.model.config.emb_dim, dtype=np.float32)
        norm = params["decoder"]["decoder_norm"]
        if self.reading == "scaled":
            if "bias" in norm:  # LayerNorm takes the mean away; its bias is not the memory's
                eye = eye - eye.mean(-1, keepdims=True)
            eye = eye * np.asarray(norm["scale"], np.float32)
        logits: Any = self.model.module.apply({"params": params}, eye[None], method="logits")
        return np.asarray(logits[0, :, : self.tokens], np.float32)

    def _through_decoder(self, vectors: np.ndarray, tokens: np.ndarray | None) -> np.ndarray:
        rows = np.zeros((_AT_ONCE + 1, vectors.shape[1]), np.float32)  # the last one says nothing
        rows[: len(vectors)] = vectors
        first = Prompting.of(self.model).answer_start()
        read = np.array([self.model.config.begin_id, *first], np.int32)
        logits = np.asarray(self._decoded(unboxed(self.model.params), rows, read), np.float32)
        votes = (logits - logits[-1])[: len(vectors), : self.tokens]
        return votes if tokens is None else votes[:, tokens]

    @functools.cached_property
    def _decoded(self) -> "jax.stages.Wrapped":
        module, scaled = self.model.module, self.reading == "scaled"
        epsilon = self.model.config.norm_epsilon

        def decoded(params: dict, rows: jax.Array, read: jax.Array) -> jax.Array:
            size = jnp.sqrt(jnp.mean(jnp.square(rows), -1, keepdims=True) + epsilon)
            scale = params["encoder"]["encoder_norm"]["scale"] if scaled else 1.0
            encoded = (rows / size * scale)[:, None]
            mask = jnp.ones((len(rows), 1), jnp.int32)
            targets = jnp.broadcast_to(read, (len(rows), len(read)))
            logits, _ = module.apply({"params": params}, encoded, mask, targets, method="decode")
            return logits[:, -1]

        return jax.jit(decoded)


def in_words(stack: str, reading: Reading) -> str:
    """How a stack's values are read, for pages."""
    if stack == "decoder":
        scale = " times the final norm's scale" if reading == "scaled" else ""
        return f"value{scale} times the output matrix ({reading})"
    scale = "with" if reading == "scaled" else "without"
    return (
        f"logits of the answer's first token where the value, normalised {scale} the encoder's "
        f"final scale, is all that the decoder attends to, less those of an empty input ({reading})"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vote:
    """A token and how much a value is for it."""

    token: int
    text: str  # as the vocabulary writes it
    vote: float


def strongest(
    votes: np.ndarray, model: LoadedModel, many: int = 10
) -> tuple[list[Vote], list[Vote]]:
    """The tokens that one value promotes most and suppresses most.

    Args:
        votes: Float32 [tokens], of one cell.
        model: Whose vocabulary writes the tokens.
        many: How many of each.
    """
    order = np.argsort(-votes, kind="stable")

    def listed(ids: np.ndarray) -> list[Vote]:
        return [
            Vote(token=int(i), text=token_text(model, int(i)), vote=float(votes[i])) for i in ids
        ]

    return listed(order[:many]), listed(order[::-1][:many])


def token_text(model: LoadedModel, token: int) -> str:
    """A token as text, or its number where it is none by itself, such as a byte of a letter."""
    text = model.vocabulary.decode([token])
    return text if text.strip().strip("\ufffd") else f"<{token}>"
