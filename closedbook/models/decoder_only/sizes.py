"""Published decoder-only models, and counts of parameters and operations."""

import math

from closedbook.errors import unknown_name
from closedbook.models.decoder_only.config import DecoderOnlyConfig
from closedbook.models.stack import Shape, layers_of


def _gpt2(emb: int, heads: int, layers: int) -> DecoderOnlyConfig:
    return DecoderOnlyConfig(
        emb_dim=emb, num_heads=heads, num_layers=layers, mlp_dim=4 * emb, bos_id=50256
    )


SIZES: dict[str, DecoderOnlyConfig] = {
    "gpt2": _gpt2(768, 12, 12),
    "gpt2_medium": _gpt2(1024, 16, 24),
    "gpt2_large": _gpt2(1280, 20, 36),
    "gpt2_xl": _gpt2(1600, 25, 48),
    "smollm2_135m": DecoderOnlyConfig(
        vocab_size=49152,
        emb_dim=576,
        num_heads=9,
        num_kv_heads=3,
        num_layers=30,
        head_dim=64,
        mlp_dim=1536,
        mlp_activations=("silu", "linear"),
        attention_bias=False,
        mlp_bias=False,
        norm="rms",
        positions="rotary",
        max_positions=8192,
        rope_theta=100000.0,
        dropout_rate=0.0,
        bos_id=1,
        eos_id=2,
    ),
    # The shape of Geva et al. 2021 (Baevski and Auli 2019) without adaptive inputs and softmax:
    # their 267,735 words of WikiText-103 make room for a vocabulary of pieces. As in fairseq, with
    # which it was trained, what ends a text also stands before it.
    "relu_lm": DecoderOnlyConfig(
        vocab_size=32128,
        emb_dim=1024,
        num_heads=8,
        num_layers=16,
        head_dim=128,
        mlp_dim=4096,
        mlp_activations=("relu",),
        positions="sinusoidal",
        max_positions=512,
        embedding_scale=32.0,  # the root of emb_dim
        pad_id=0,
        bos_id=1,
        eos_id=1,
        add_bos=True,
    ),
}


def size(name: str) -> DecoderOnlyConfig:
    """The configuration of one of `SIZES`, for example "gpt2_xl".

    Raises:
        UserError: There is none of this name.
    """
    if name not in SIZES:
        raise unknown_name("size of a decoder-only model", name, SIZES)
    return SIZES[name]


def parameter_shapes(config: DecoderOnlyConfig) -> dict[str, Shape]:
    """Names and shapes of all parameters, by arithmetic."""
    emb, mlp, joined = config.emb_dim, config.mlp_dim, config.joined_kv
    shared = config.kv_heads * config.head_dim
    gated = len(config.mlp_activations) > 1
    inner = [f"wi_{i}" for i in range(len(config.mlp_activations))] if gated else ["wi"]

    def kernel(name: str, rows: int, columns: int, bias: bool) -> dict[str, Shape]:
        of_bias: dict[str, Shape] = {f"{name}/bias": (columns,)} if bias else {}
        return {f"{name}/kernel": (rows, columns)} | of_bias

    def norm(name: str) -> dict[str, Shape]:
        parts = ("scale", "bias") if config.norm == "layer" else ("scale",)
        return {f"{name}/{part}": (emb,) for part in parts}

    layer = norm("pre_attention_layer_norm") | norm("pre_mlp_layer_norm")
    for name, columns in (("query", joined), ("key", shared), ("value", shared)):
        layer |= kernel(f"attention/{name}", emb, columns, config.attention_bias)
    layer |= kernel("attention/out", joined, emb, config.attention_bias)
    for name in inner:
        layer |= kernel(f"mlp/{name}", emb, mlp, config.mlp_bias)
    layer |= kernel("mlp/wo", mlp, emb, config.mlp_bias)
    shapes: dict[str, Shape] = {"token_embedder/embedding": (config.vocab_size, emb)}
    if config.positions == "learned":
        shapes["position_embedder/embedding"] = (config.max_positions, emb)
    stacked = layers_of(config, "decoder").parameter_shapes(layer)
    outside = norm("decoder_norm")
    if not config.logits_via_embedding:
        outside |= kernel("logits_dense", emb, config.vocab_size, False)
    return shapes | {f"decoder/{name}": shape for name, shape in (stacked | outside).items()}


def parameter_count(config: DecoderOnlyConfig) -> int:
    """Parameters by arithmetic, without building the model."""
    return sum(math.prod(shape) for shape in parameter_shapes(config).values())


def flops_per_step(config: DecoderOnlyConfig, batch: int, length: int) -> int:
    """Floating-point operations of one training step (3 x forward, no rematerialisation).

    Each product is counted on the tokens that it sees, attention scores (without the saving of
    causality) and the output included.

    Args:
        config: The model.
        batch: Rows (packs) of the global batch.
        length: Tokens per row.
    """
    heads = 2 * config.joined_kv + 2 * config.kv_heads * config.head_dim
    projections = 2 * config.emb_dim * heads
    mlp = 2 * (len(config.mlp_activations) + 1) * config.emb_dim * config.mlp_dim
    scores = 4 * config.joined_kv * length
    output = 2 * config.emb_dim * config.vocab_size
    layers = config.num_layers * (projections + mlp + scores)
    return 3 * batch * length * (layers + output)
