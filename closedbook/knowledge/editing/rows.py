"""Prompts and answers as arrays for teacher-forced passes, the same for every family of models."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from closedbook.inference.predictor import bucket
from closedbook.knowledge.editing.places import Place, has_encoder
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.models.decoding import DecodingState
from closedbook.models.families import Network, parameter_count
from closedbook.models.parameters import Params
from closedbook.models.taps import Taps

# Sizes are padded. Compiling is what a small model costs, so its sizes are few: powers of two.
_SHORTEST = {"rows": 8, "prompt": 16, "answer": 4}
# What a large one costs is padding, so that its sizes are multiples of these.
_MULTIPLE = {"rows": 4, "prompt": 16, "answer": 4}
_LARGE = 20_000_000  # parameters
OUTPUT = "decoder.final_norm"  # what logits are made of, in every family


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
        spots: int32 [rows, out], after which tokens predictions are made: of `tokens` where there
            is one stack, else of `answers`.
        labels: int32 [rows, out], the next token at each of them.
        told: float32 [rows, out], 1 where a label is part of the row's answer.
        kept: float32 [rows, out], 1 where a row that is to be kept compares predictions.
        subject: int32 [rows], where the subject's last token stands in `tokens`.
        rest: int32 [rows, rest], `tokens` from there on, where there is one stack; else None.
    """

    tokens: jax.Array
    answers: jax.Array | None
    spots: jax.Array
    labels: jax.Array
    told: jax.Array
    kept: jax.Array
    subject: jax.Array
    rest: jax.Array | None


def pack(model: LoadedModel, rows: Sequence[Row], kept: Sequence[Row] = ()) -> Batch:
    """Rows that are to be told and rows that are to be kept, in one batch in this order."""
    every = [*rows, *kept]
    separate = has_encoder(model.config)
    texts = [row.prompt if separate else (*row.prompt, *row.answer[:-1]) for row in every]
    large = parameter_count(model.config) >= _LARGE
    count = _size(len(every), "rows", large)
    length = _size(max(map(len, texts)), "prompt", large)
    out = _size(max(1, *(len(row.answer) for row in every)), "answer", large)
    pad = max(model.module.pad_id, 0)
    tokens = np.full((count, length), model.module.pad_id, np.int32)
    answers, labels = np.full((2, count, out), pad, np.int32)
    spots = np.zeros((count, out), np.int32)
    told, held = np.zeros((2, count, out), np.float32)
    subject = np.zeros(count, np.int32)
    answers[:, 0] = model.config.begin_id
    for i, (row, text) in enumerate(zip(every, texts, strict=True)):
        tokens[i, : len(text)] = text
        number = len(row.answer)
        labels[i, :number] = row.answer
        answers[i, 1:number] = row.answer[:-1]
        start = 0 if separate else row.subject if row.at_subject else len(row.prompt) - 1
        limit = out if separate else length
        spots[i] = np.minimum(start + np.arange(out), limit - 1)
        subject[i] = row.subject
        if i < len(rows):
            told[i, :number] = 1
        else:
            held[i, : 1 if row.at_subject else max(1, number)] = 1
    most = max(len(text) - row.subject for row, text in zip(every, texts, strict=True))
    rest = np.full((count, _size(most, "answer", large)), pad, np.int32)
    for i, text in enumerate(texts):
        rest[i, : len(text) - subject[i]] = text[subject[i] :]
    return Batch(
        tokens=jnp.asarray(tokens),
        answers=jnp.asarray(answers) if separate else None,
        spots=jnp.asarray(spots),
        labels=jnp.asarray(labels),
        told=jnp.asarray(told),
        kept=jnp.asarray(held),
        subject=jnp.asarray(subject),
        rest=None if separate else jnp.asarray(rest),
    )


def _size(number: int, what: str, large: bool) -> int:
    if large and what == "rows" and number == 1:
        return 1
    if large:
        return -(-number // _MULTIPLE[what]) * _MULTIPLE[what]
    return bucket(number, 1 << 30, _SHORTEST[what])


def forward(
    module: Network, params: Params, batch: Batch, taps: Taps
) -> tuple[jax.Array, Mapping[str, jax.Array]]:
    """Logits float32 [rows, out, vocab] after a batch's spots, and the records.

    In a compiled program no other logits are made: a large vocabulary's cost the most.
    """
    inputs = (batch.tokens,) if batch.answers is None else (batch.tokens, batch.answers)
    result = module.apply(
        {"params": params}, *inputs, taps=taps.replace(record=(*taps.record, OUTPUT))
    )
    assert isinstance(result, tuple)
    records = dict(result[1])
    # Who wants the records of a low layer is not to pay for the output of the last.
    output = records.pop(OUTPUT)
    return _logits(module, params, output, batch.spots), records


def begun(module: Network, params: Params, batch: Batch) -> DecodingState:
    """The prompts of a batch read up to the subject's end, by a model of one stack."""
    assert batch.rest is not None
    here = jnp.arange(batch.tokens.shape[1]) <= batch.subject[:, None]
    prompts = jnp.where(here, batch.tokens, module.pad_id)
    length = batch.rest.shape[1]
    found: Any = module.apply({"params": params}, prompts, 1, length, method="start")
    return found[1]


def resumed(
    module: Network, params: Params, batch: Batch, state: DecodingState, taps: Taps
) -> tuple[jax.Array, Mapping[str, jax.Array]]:
    """What `forward` gives, from the subject's last token on: where patches begin there.

    Positions of taps and of records [rows, rest, width] count from that token.
    """
    found: Any = module.apply({"params": params}, batch.rest, state, taps, method="resume")
    outputs, records = found
    spots = jnp.clip(batch.spots - batch.subject[:, None], 0, outputs.shape[1] - 1)
    return _logits(module, params, outputs, spots), records


def _logits(module: Network, params: Params, outputs: jax.Array, spots: jax.Array) -> jax.Array:
    """Logits [rows, out, vocab] after some of the outputs [rows, length, emb]."""
    chosen = jnp.take_along_axis(outputs, spots[..., None], axis=1)
    logits = module.apply({"params": params}, chosen, method="logits")
    assert isinstance(logits, jax.Array)
    return logits


def acts_at(place: Place, batch: Batch) -> jax.Array:
    """Where an edit acts in each row, int32 [rows]: an encoder-decoder's decoder sees no subject.

    There it is the first position, at which the answer begins.
    """
    if batch.answers is not None and place.stack == "decoder":
        return jnp.zeros_like(batch.subject)
    return batch.subject


def at_subject(place: Place, batch: Batch) -> jax.Array:
    """1 where an edit acts in each row, float32 [rows, length of the stack]; 0 elsewhere."""
    separate = batch.answers is not None and place.stack == "decoder"
    length = (batch.labels if separate else batch.tokens).shape[1]
    used = (batch.told + batch.kept).sum(-1) > 0
    spots = jnp.arange(length) == acts_at(place, batch)[:, None]
    return jnp.asarray(spots & used[:, None], jnp.float32)
