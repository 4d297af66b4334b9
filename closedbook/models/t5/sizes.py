"""The ten published T5s (Raffel et al. 2020, section 3.7; 1.1 from T5's released checkpoints)."""

import dataclasses
import math

from closedbook.errors import unknown_name
from closedbook.models.t5.config import T5Config


def _v1_0(emb: int, heads: int, layers: int, head_dim: int, mlp: int) -> T5Config:
    return T5Config(
        emb_dim=emb,
        num_heads=heads,
        num_encoder_layers=layers,
        num_decoder_layers=layers,
        head_dim=head_dim,
        mlp_dim=mlp,
        mlp_activations=("relu",),
        logits_via_embedding=True,
        dropout_rate=0.1,
    )


def _v1_1(emb: int, heads: int, layers: int, head_dim: int, mlp: int) -> T5Config:
    return dataclasses.replace(
        _v1_0(emb, heads, layers, head_dim, mlp),
        mlp_activations=("gelu", "linear"),
        logits_via_embedding=False,
        dropout_rate=0.05,
    )


SIZES: dict[str, T5Config] = {
    "t5_small": _v1_0(512, 8, 6, 64, 2048),
    "t5_base": _v1_0(768, 12, 12, 64, 3072),
    "t5_large": _v1_0(1024, 16, 24, 64, 4096),
    "t5_3b": _v1_0(1024, 32, 24, 128, 16384),
    "t5_11b": _v1_0(1024, 128, 24, 128, 65536),
    "t5_1_1_small": _v1_1(512, 6, 8, 64, 1024),
    "t5_1_1_base": _v1_1(768, 12, 12, 64, 2048),
    "t5_1_1_large": _v1_1(1024, 16, 24, 64, 2816),
    "t5_1_1_xl": _v1_1(2048, 32, 24, 64, 5120),
    "t5_1_1_xxl": _v1_1(4096, 64, 24, 64, 10240),
}


def size(name: str) -> T5Config:
    """The configuration of a published size, for example "t5_1_1_base".

    Raises:
        UserError: The name is not one of `SIZES`.
    """
    if name not in SIZES:
        raise unknown_name("T5 size", name, SIZES)
    return SIZES[name]


def parameter_count(config: T5Config) -> int:
    """Parameters by arithmetic, without building the model."""
    attention = 4 * config.emb_dim * config.joined_kv
    mlp = (len(config.mlp_activations) + 1) * config.emb_dim * config.mlp_dim
    encoder = config.num_encoder_layers * (attention + mlp + 2 * config.emb_dim)
    decoder = config.num_decoder_layers * (2 * attention + mlp + 3 * config.emb_dim)
    embedding = config.vocab_size * config.emb_dim
    output = 0 if config.logits_via_embedding else embedding
    layers = config.num_encoder_layers + config.num_decoder_layers
    tables = layers if config.relpos_per_layer else 2
    relpos = tables * config.num_heads * config.relpos_buckets
    return embedding + output + encoder + decoder + relpos + 2 * config.emb_dim


def flops_per_step(config: T5Config, batch: int, inputs: int, targets: int) -> int:
    """Floating-point operations of one training step (3 x forward, no rematerialisation).

    The two stacks see different tokens, so "6 N D" is wrong for an encoder-decoder: here each
    product is counted on the tokens that it sees, attention scores and the output included.

    Args:
        config: The model.
        batch: Rows (packs) of the global batch.
        inputs: Encoder tokens per row.
        targets: Decoder tokens per row.
    """
    projection = 2 * config.emb_dim * config.joined_kv
    mlp = 2 * (len(config.mlp_activations) + 1) * config.emb_dim * config.mlp_dim
    scores = 4 * config.joined_kv
    encoder = inputs * (4 * projection + mlp + scores * inputs)
    own = targets * (4 * projection + mlp + scores * targets)
    cross = targets * (2 * projection + scores * inputs) + inputs * 2 * projection
    output = targets * 2 * config.emb_dim * config.vocab_size
    layers = config.num_encoder_layers * encoder + config.num_decoder_layers * (own + cross)
    return 3 * batch * math.floor(layers + output)
