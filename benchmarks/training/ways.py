"""The ways to take a train step: ours in number types and layouts, and transformers' in torch."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from benchmarks.training.batches import Batch
from closedbook.models import T5, T5Config, size
from closedbook.training.model import EncoderDecoderModel
from closedbook.training.optimizers.adafactor import adafactor
from closedbook.training.programs import compiled_step
from closedbook.training.schedules import constant
from closedbook.training.state import TrainState
from closedbook.training.step import make_train_step

Step = Callable[[], float]  # takes a step, returns the loss
# Of a way's name: number type of ours, and how transformers' is run. "packed" and "scanned" of ours
# may follow, divided by commas.
OURS = ("float32", "bf16_bf16_f32", "bfloat16")
THEIRS = {
    "hf eager": {},
    "hf compiled": {"compiled": True},
    "hf autocast": {"autocast": True},
    "hf autocast compiled": {"autocast": True, "compiled": True},
}


def shape(name: str, layers: int | None) -> T5Config:
    """A configuration by the name of its size, "tiny" being gin/models/tiny.gin's."""
    config = (
        dataclasses.replace(
            size("t5_1_1_small"),
            emb_dim=128,
            num_heads=4,
            head_dim=32,
            mlp_dim=256,
            num_encoder_layers=2,
            num_decoder_layers=2,
        )
        if name == "tiny"
        else size(name)
    )
    if layers:
        config = dataclasses.replace(config, num_encoder_layers=layers, num_decoder_layers=layers)
    return dataclasses.replace(config, dropout_rate=0.1)


def ours(config: T5Config, batch: Batch) -> Step:
    """A step of ours, compiled; each call goes on from the state of the last."""
    model = EncoderDecoderModel(
        module=T5(config),
        vocabulary=_NoVocabulary(),  # type: ignore[arg-type]
        optimizer=adafactor(),
        loss_normalizing_factor="NUM_REAL_TARGET_TOKENS",
    )
    platform = jax.devices()[0].platform

    @jax.jit
    def begin(key: jax.Array) -> TrainState:
        params = model.init_unboxed(key)
        return TrainState(jax.numpy.zeros((), np.int32), params, model.optimizer.init(params))

    step = compiled_step(make_train_step(model.lean(platform), constant(0.001)), platform)
    state, key = begin(jax.random.key(0)), jax.random.key(1)

    def take() -> float:
        nonlocal state
        state, sums = step(state, batch, key)
        return float(jax.block_until_ready(sums)["loss"])

    return take


@dataclasses.dataclass(frozen=True)
class _NoVocabulary:
    """What a model needs of a vocabulary where batches are given."""

    vocab_size: int = 32_100
    path: str = "none"


def theirs(
    config: T5Config, batch: Batch, *, autocast: bool = False, compiled: bool = False
) -> Step:
    """A step of transformers' T5 of the same shape, on questions padded to the longest."""
    import torch
    from transformers import T5Config as TheirConfig
    from transformers import T5ForConditionalGeneration
    from transformers.optimization import Adafactor

    settings: dict[str, Any] = {
        "vocab_size": config.vocab_size,
        "d_model": config.emb_dim,
        "d_kv": config.head_dim,
        "d_ff": config.mlp_dim,
        "num_layers": config.num_encoder_layers,
        "num_decoder_layers": config.num_decoder_layers,
        "num_heads": config.num_heads,
    }
    model = T5ForConditionalGeneration(
        TheirConfig(
            **settings,
            feed_forward_proj="gated-gelu",
            tie_word_embeddings=False,
            dropout_rate=config.dropout_rate,
            decoder_start_token_id=0,
        )
    ).train()
    optimizer = Adafactor(
        model.parameters(), lr=0.001, scale_parameter=True, relative_step=False, warmup_init=False
    )
    inputs, labels = (
        torch.tensor(batch[name], dtype=torch.long)
        for name in ("encoder_input_tokens", "decoder_target_tokens")
    )
    mask = (inputs > 0).long()
    labels = labels.masked_fill(labels == 0, -100)
    network = torch.compile(model) if compiled else model

    def take() -> float:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            loss = network(input_ids=inputs, attention_mask=mask, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    return take
