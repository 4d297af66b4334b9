"""config.json of a Hugging Face GPT-2 or Llama and our DecoderOnlyConfig, both ways."""

import math
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from closedbook.checkpoints.huggingface.config import (
    ACTIVATIONS,
    CONFIG_FILE,
    GENERATION_FILE,
    write_json,
)
from closedbook.errors import UserError
from closedbook.models import DecoderOnlyConfig
from closedbook.vocabulary.pipelines import PipelineVocabulary

GPT2, LLAMA = "gpt2", "llama"
MODEL_TYPES = (GPT2, LLAMA)
_FUNCTIONS = {"gelu": "gelu_new", "relu": "relu", "silu": "silu"}  # ours to theirs
_SCALING = {  # of Llama 3.1's positions, theirs to ours
    "factor": "rope_factor",
    "low_freq_factor": "rope_low",
    "high_freq_factor": "rope_high",
    "original_max_position_embeddings": "rope_original_positions",
}


def architecture(
    data: Mapping[str, Any], place: str, vocabulary: PipelineVocabulary | None
) -> DecoderOnlyConfig:
    """Our configuration.

    Args:
        data: The fields of a GPT2Config or LlamaConfig.
        place: Where they stand, for messages.
        vocabulary: Says which tokens begin and end a text, where it is there; otherwise the
            fields say it.

    Raises:
        UserError: A field is absent or malformed, or says what our network cannot do.
    """
    fields = _Fields(data, place)
    if fields.data.get("quantization_config"):
        raise UserError(f"{place}: quantization_config is set; give the model before it was so")
    common = _gpt2(fields) if data.get("model_type") == GPT2 else _llama(fields)
    try:
        return DecoderOnlyConfig(**common, **_ends(fields, vocabulary))
    except UserError as error:
        raise UserError(f"{place}: {error}") from error


def _gpt2(fields: "_Fields") -> dict[str, Any]:
    fields.only("scale_attn_weights", True)
    fields.only("scale_attn_by_inverse_layer_idx", False)
    fields.only("add_cross_attention", False)
    emb, heads = fields.natural("n_embd", 768), fields.natural("n_head", 12)
    if emb % heads:
        raise UserError(f"{fields.place}: n_embd is {emb}, which {heads} heads do not divide")
    return {
        "vocab_size": fields.natural("vocab_size", 50257),
        "emb_dim": emb,
        "num_heads": heads,
        "num_layers": fields.natural("n_layer", 12),
        "head_dim": emb // heads,
        "mlp_dim": fields.natural("n_inner", 4 * emb),
        "mlp_activations": (fields.activation("activation_function", "gelu_new"),),
        "norm_epsilon": fields.decimal("layer_norm_epsilon", 1e-5),
        "max_positions": fields.natural("n_positions", 1024),
        "logits_via_embedding": fields.boolean("tie_word_embeddings", True),
        "dropout_rate": fields.decimal("resid_pdrop", 0.1),
    }


def _llama(fields: "_Fields") -> dict[str, Any]:
    emb, heads = fields.natural("hidden_size", 4096), fields.natural("num_attention_heads", 32)
    return {
        "vocab_size": fields.natural("vocab_size", 32000),
        "emb_dim": emb,
        "num_heads": heads,
        "num_kv_heads": fields.natural("num_key_value_heads", heads),
        "num_layers": fields.natural("num_hidden_layers", 32),
        "head_dim": fields.natural("head_dim", emb // heads),
        "mlp_dim": fields.natural("intermediate_size", 11008),
        "mlp_activations": (fields.activation("hidden_act", "silu"), "linear"),
        "attention_bias": fields.boolean("attention_bias", False),
        "mlp_bias": fields.boolean("mlp_bias", False),
        "norm": "rms",
        "norm_epsilon": fields.decimal("rms_norm_eps", 1e-6),
        "positions": "rotary",
        "max_positions": fields.natural("max_position_embeddings", 2048),
        "logits_via_embedding": fields.boolean("tie_word_embeddings", False),
        "dropout_rate": 0.0,
        **_rotary(fields),
    }


def _rotary(fields: "_Fields") -> dict[str, Any]:
    """Rotary positions, as transformers 4 (rope_theta, rope_scaling) or 5 says them."""
    parts = fields.data.get("rope_parameters") or fields.data.get("rope_scaling") or {}
    if not isinstance(parts, dict):
        raise UserError(f"{fields.place}: rope_scaling is {str(parts)[:80]!r}, not an object")
    inner = _Fields(parts, f"{fields.place}: rope_scaling")
    inner.only("partial_rotary_factor", 1.0)
    theta = inner.decimal("rope_theta", fields.decimal("rope_theta", 10000.0))
    kind = parts.get("rope_type", parts.get("type", "default"))
    if kind == "default":
        return {"rope_theta": theta}
    if kind != "llama3":
        raise UserError(
            f"{fields.place}: positions are scaled as {str(kind)[:40]!r}; only 'llama3' and "
            "'default' can be read"
        )
    scaling = {ours: inner.decimal(theirs) for theirs, ours in _SCALING.items()}
    original = inner.natural("original_max_position_embeddings")
    return {"rope_theta": theta, **scaling, "rope_original_positions": original}


def _ends(fields: "_Fields", vocabulary: PipelineVocabulary | None) -> dict[str, Any]:
    """Ids that begin and end a text. Padding has none: GPT-2's every id is a piece."""
    if vocabulary is None:
        return {name: fields.token(f"{name.removesuffix('_id')}_token_id") for name in _IDS}
    bos = vocabulary.bos_id
    return {
        "bos_id": -1 if bos is None else bos,
        "eos_id": vocabulary.eos_ids[0] if vocabulary.eos_ids else -1,
        "add_bos": vocabulary.adds_bos,
    }


_IDS = ("bos_id", "eos_id")


class _Fields:
    """Fields of a config, each checked when it is asked for."""

    def __init__(self, data: Mapping[str, Any], place: str) -> None:
        self.data = data
        self.place = place

    def _refused(self, name: str, value: Any, wanted: str) -> UserError:
        return UserError(f"{self.place}: {name} is {str(value)[:80]!r}; it must be {wanted}")

    def _get(self, name: str, default: Any) -> Any:
        value = self.data.get(name)
        return default if value is None else value

    def natural(self, name: str, default: int | None = None) -> int:
        value = self._get(name, default)
        if type(value) is not int or not 0 < value < 2**31:
            raise self._refused(name, value, "a positive integer")
        return value

    def decimal(self, name: str, default: float | None = None) -> float:
        value = self._get(name, default)
        if type(value) not in (int, float) or not math.isfinite(value):
            raise self._refused(name, value, "a number")
        return float(value)

    def boolean(self, name: str, default: bool) -> bool:
        value = self._get(name, default)
        if type(value) is not bool:
            raise self._refused(name, value, "true or false")
        return value

    def only(self, name: str, expected: float | bool) -> None:
        """Refuses what our network does not do."""
        value = self._get(name, expected)
        if value != expected:
            raise self._refused(name, value, f"{expected}, which is all that can be read")

    def activation(self, name: str, default: str) -> str:
        value = self._get(name, default)
        if not isinstance(value, str) or value not in ACTIVATIONS:
            raise self._refused(name, value, f"one of {', '.join(ACTIVATIONS)}")
        return ACTIVATIONS[value]

    def token(self, name: str) -> int:
        """An id, the first one of several, or -1."""
        value = self.data.get(name)
        value = value[0] if isinstance(value, list) and value else value
        if value is None:
            return -1
        if type(value) is not int or not -1 <= value < 2**31:
            raise self._refused(name, value, "a token's id")
        return value


def model_type(config: DecoderOnlyConfig) -> str:
    """The model type of transformers that computes what a configuration says.

    Raises:
        UserError: There is none.
    """
    gated = len(config.mlp_activations) == 2 and config.mlp_activations[1] == "linear"
    known = config.mlp_activations[0] in _FUNCTIONS and config.embedding_scale == 1.0
    plain = (
        len(config.mlp_activations) == 1
        and (config.norm, config.positions) == ("layer", "learned")
        and config.attention_bias
        and config.mlp_bias
        and config.kv_heads == config.num_heads
        and config.joined_kv == config.emb_dim
    )
    if known and plain:
        return GPT2
    llama = gated and (config.norm, config.positions) == ("rms", "rotary")
    # transformers refuses heads that do not divide the width.
    if known and llama and config.emb_dim % config.num_heads == 0:
        return LLAMA
    raise UserError(
        "the model is neither a GPT-2 (learned positions, LayerNorm, biases, heads as wide as the "
        "model) nor a Llama (rotary positions, RMSNorm, a gated unit), so Hugging Face's format "
        f"cannot express it: {config}"
    )


def write_decoder_only_config(
    folder: pathlib.Path, config: DecoderOnlyConfig, dtype: np.dtype
) -> None:
    """Writes config.json and generation_config.json for transformers 4 and 5.

    Raises:
        UserError: The architecture cannot be expressed.
    """
    kind = model_type(config)
    fields = _gpt2_fields(config) if kind == GPT2 else _llama_fields(config)
    ends = {
        f"{name}_token_id": None if number < 0 else number
        for name, number in (
            ("bos", config.bos_id),
            ("eos", config.eos_id),
            ("pad", config.pad_id),
        )
    }
    fields |= ends | {
        "model_type": kind,
        "tie_word_embeddings": config.logits_via_embedding,
        "torch_dtype": str(dtype),  # version 4's name, which version 5 reads too
        "use_cache": True,
        "vocab_size": config.vocab_size,
    }
    write_json(folder / CONFIG_FILE, dict(sorted(fields.items())))
    write_json(folder / GENERATION_FILE, ends)


def _gpt2_fields(config: DecoderOnlyConfig) -> dict[str, Any]:
    rates = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), config.dropout_rate)
    return rates | {
        "architectures": ["GPT2LMHeadModel"],
        "activation_function": _FUNCTIONS[config.mlp_activations[0]],
        "layer_norm_epsilon": config.norm_epsilon,
        "n_embd": config.emb_dim,
        "n_head": config.num_heads,
        "n_inner": config.mlp_dim,
        "n_layer": config.num_layers,
        "n_positions": config.max_positions,
    }


def _llama_fields(config: DecoderOnlyConfig) -> dict[str, Any]:
    scaling = None
    if config.rope_factor != 1.0:
        scaling = {theirs: getattr(config, ours) for theirs, ours in _SCALING.items()}
        scaling["rope_type"] = "llama3"
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": config.attention_bias,
        "head_dim": config.head_dim,
        "hidden_act": _FUNCTIONS[config.mlp_activations[0]],
        "hidden_size": config.emb_dim,
        "intermediate_size": config.mlp_dim,
        "max_position_embeddings": config.max_positions,
        "mlp_bias": config.mlp_bias,
        "num_attention_heads": config.num_heads,
        "num_hidden_layers": config.num_layers,
        "num_key_value_heads": config.kv_heads,
        "rms_norm_eps": config.norm_epsilon,
        "rope_scaling": scaling,
        "rope_theta": config.rope_theta,
    }
