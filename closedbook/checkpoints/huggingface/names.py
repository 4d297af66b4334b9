"""Hugging Face's names of a T5's parameters and ours.

Theirs number the parts of a block: encoder layer.0 is self-attention and layer.1 the
feed-forward; decoder layer.0, 1, 2 are self-attention, attention to the encoder, feed-forward.
Linear weights are [out, in] where our kernels are [in, out], and the position bias is
[buckets, heads] where ours is [heads, buckets]: all matrices but the embedding are transposed.
"""

import re

EMBEDDING = "shared.weight"
HEAD = "lm_head.weight"
ALIASES = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")  # of EMBEDDING
# Of versions before 2020; the model never used it.
UNUSED = ("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",)

OUR_EMBEDDING = "token_embedder/embedding"
OUR_HEAD = "decoder/logits_dense/kernel"

_BIASES = "layer.0.SelfAttention.relative_attention_bias.weight"
_OUR_BIASES = "relpos_bias/rel_embedding"
_FIXED = {
    EMBEDDING: OUR_EMBEDDING,
    HEAD: OUR_HEAD,
    "encoder.final_layer_norm.weight": "encoder/encoder_norm/scale",
    "decoder.final_layer_norm.weight": "decoder/decoder_norm/scale",
    **{f"{stack}.block.0.{_BIASES}": f"{stack}/{_OUR_BIASES}" for stack in ("encoder", "decoder")},
}
_FIXED_BACK = {ours: theirs for theirs, ours in _FIXED.items()}


def _part(number: int, theirs: str, norm: str, ours: str, matrices: dict[str, str]) -> dict:
    """One part of a block: its norm and its matrices, theirs to ours."""
    part = {f"layer.{number}.layer_norm.weight": f"{norm}/scale"}
    for name, our_name in matrices.items():
        part[f"layer.{number}.{theirs}.{name}.weight"] = f"{ours}/{our_name}/kernel"
    return part


_ATTENTION = {"q": "query", "k": "key", "v": "value", "o": "out"}
_FEED_FORWARD = {name: name for name in ("wi", "wi_0", "wi_1", "wo")}
_BLOCK: dict[str, dict[str, str]] = {
    "encoder": {
        **_part(0, "SelfAttention", "pre_attention_layer_norm", "attention", _ATTENTION),
        **_part(1, "DenseReluDense", "pre_mlp_layer_norm", "mlp", _FEED_FORWARD),
    },
    "decoder": {
        **_part(0, "SelfAttention", "pre_self_attention_layer_norm", "self_attention", _ATTENTION),
        **_part(
            1,
            "EncDecAttention",
            "pre_cross_attention_layer_norm",
            "encoder_decoder_attention",
            _ATTENTION,
        ),
        **_part(2, "DenseReluDense", "pre_mlp_layer_norm", "mlp", _FEED_FORWARD),
    },
}
_BLOCK_BACK = {
    stack: {ours: theirs for theirs, ours in names.items()} for stack, names in _BLOCK.items()
}
_THEIRS = re.compile(r"(encoder|decoder)\.block\.(0|[1-9][0-9]{0,3})\.(.+)")
_OURS = re.compile(r"(encoder|decoder)/layers_(0|[1-9][0-9]{0,3})/(.+)")


def to_ours(name: str, *, biases_per_layer: bool = False) -> str | None:
    """Our name of one of their parameters; None if the model has no such parameter.

    Args:
        name: Theirs.
        biases_per_layer: Whether each layer has position biases of its own, as in umT5; in
            other T5s those of the first layer are all layers'.
    """
    match = _THEIRS.fullmatch(name)
    if match and match[3] == _BIASES and biases_per_layer:
        return f"{match[1]}/layers_{match[2]}/{_OUR_BIASES}"
    if name in _FIXED:
        return _FIXED[name]
    if not match:
        return None
    stack, layer, rest = match.groups()
    inner = _BLOCK[stack].get(rest)
    return f"{stack}/layers_{layer}/{inner}" if inner else None


def to_theirs(name: str) -> str | None:
    """The inverse of `to_ours`, for unrolled layers."""
    if name in _FIXED_BACK:
        return _FIXED_BACK[name]
    if not (match := _OURS.fullmatch(name)):
        return None
    stack, layer, rest = match.groups()
    inner = _BIASES if rest == _OUR_BIASES else _BLOCK_BACK[stack].get(rest)
    return f"{stack}.block.{layer}.{inner}" if inner else None
