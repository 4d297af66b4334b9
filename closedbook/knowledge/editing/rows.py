"""Prompts and answers as arrays for teacher-forced passes, the same for every family of models."""

import dataclasses
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from closedbook.inference.predictor import bucket
from closedbook.knowledge.editing.places import Place, has_encoder
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.models.families import Network
from closedbook.models.parameters import Params
from closedbook.models.taps import Taps

_ANY = 1 << 30  # no longest
_SHORTEST = {"rows": 8, "prompt": 16, "answer": 8}  # padded sizes, so that few programs compile


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One prompt with an answer.

    Attributes:
        prompt: Ids that the model reads, framed as it wants them.
        subject: Where the subject's last token stands in the prompt.
        answer: Ids of the answer; for an encoder-decoder with its end. May be empty.
        at_subject: For a row that is to be kept: compare predictions after the subject's last
            token and not after the prompt. Models with one stack only.
    """

    prompt: tuple[int, ...]
    subject: int
    answer: tuple[int, ...] = ()
    at_subject: bool = False


class Batch(struct.PyTreeNode):
    """Rows, padded; zeros in all weights mark padding.

    Attributes:
        tokens: int32 [rows, length], what the first stack reads.
        answers: int32 [rows, out], what the decoder of an encoder-decoder reads; else None.
        labels: int32 [rows, out], the next token at each position (out is length where there is
            one stack).
        told: float32 [rows, out], 1 where a label is part of the row's answer.
        kept: float32 [rows, out], 1 where a row that is to be kept compares predictions.
        subject: int32 [rows], where the subject's last token stands in `tokens`.
    """

    tokens: jax.Array
    answers: jax.Array | None
    labels: jax.Array
    told: jax.Array
    kept: jax.Array
    subject: jax.Array


def pack(model: LoadedModel, rows: Sequence[Row], kept: Sequence[Row] = ()) -> Batch:
    """Rows that are to be told and rows that are to be kept, in one batch in this order."""
    every = [*rows, *kept]
    separate = has_encoder(model.config)
    texts = [row.prompt if separate else (*row.prompt, *row.answer[:-1]) for row in every]
    count = bucket(len(every), _ANY, _SHORTEST["rows"])
    length = bucket(max(map(len, texts)), _ANY, _SHORTEST["prompt"])
    most = max(1, *(len(row.answer) for row in every))
    out = bucket(most, _ANY, _SHORTEST["answer"]) if separate else length
    pad = max(model.module.pad_id, 0)
    tokens = np.full((count, length), model.module.pad_id, np.int32)
    answers = np.full((count, out), pad, np.int32)
    labels = np.full((count, out), pad, np.int32)
    told, held = np.zeros((count, out), np.float32), np.zeros((count, out), np.float32)
    subject = np.zeros(count, np.int32)
    for i, (row, text) in enumerate(zip(every, texts, strict=True)):
        tokens[i, : len(text)] = text
        start = 0 if separate else len(row.prompt) - 1
        span = slice(start, start + len(row.answer))
        labels[i, span] = row.answer
        answers[i, 1 : len(row.answer)] = row.answer[:-1]
        subject[i] = row.subject
        if i < len(rows):
            told[i, span] = 1
        elif row.at_subject:
            held[i, row.subject] = 1
        else:
            held[i, slice(start, start + max(1, len(row.answer)))] = 1
    arrays = (tokens, answers if separate else None, labels, told, held, subject)
    return Batch(*(None if each is None else jnp.asarray(each) for each in arrays))  # type: ignore[arg-type]  # answers alone may be None


def forward(
    module: Network, params: Params, batch: Batch, taps: Taps
) -> tuple[jax.Array, Mapping[str, jax.Array]]:
    """Logits float32 [rows, out, vocab] and the records of a batch."""
    inputs = (batch.tokens,) if batch.answers is None else (batch.tokens, batch.answers)
    result = module.apply({"params": params}, *inputs, taps=taps)
    assert isinstance(result, tuple)
    return result


def acts_at(place: Place, batch: Batch) -> jax.Array:
    """Where an edit acts in each row, int32 [rows]: an encoder-decoder's decoder sees no subject.

    There it is the first position, at which the answer begins.
    """
    if batch.answers is not None and place.stack == "decoder":
        return jnp.zeros_like(batch.subject)
    return batch.subject
