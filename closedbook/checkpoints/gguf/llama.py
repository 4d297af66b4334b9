"""The Llama block in a GGUF file, with Hugging Face's settings, names and order of rows.

llama.cpp turns neighbouring numbers of a head in its rotary positions, Hugging Face turns number i
together with number i + d/2. Its converter therefore reorders the rows of each head's query and
key (`permute` in llama.cpp's convert_hf_to_gguf.py); that is undone here.
"""

import dataclasses
import pathlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from closedbook.checkpoints.files.gguf import GGUFFile, open_gguf_file
from closedbook.checkpoints.gguf.tokenizer import vocabulary
from closedbook.checkpoints.tensors import Index, Tensor
from closedbook.errors import UserError, listed
from closedbook.vocabulary.pipelines import PipelineVocabulary

ARCHITECTURE = "llama"
_OUTSIDE = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
_IN_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_NAME = re.compile(r"(?:blk\.(0|[1-9][0-9]{0,5})\.)?([a-z_]+)\.(weight|bias)")


class LlamaModel(NamedTuple):
    """A model of a GGUF file.

    Attributes:
        config: The fields of Hugging Face's LlamaConfig.
        tensors: By the names of LlamaForCausalLM, float32 on reading. No `lm_head.weight` where
            the output matrix is the embedding.
        vocabulary: Its tokenizer.
    """

    config: dict[str, Any]
    tensors: dict[str, Tensor]
    vocabulary: PipelineVocabulary


def open_gguf(path: pathlib.Path) -> LlamaModel:
    """Opens a GGUF file of the Llama block; no tensor is read yet.

    Raises:
        UserError: The file is damaged, of another architecture, or stored in a way that cannot
            be read; or the package gguf is absent.
    """
    file = open_gguf_file(path)
    config = _config(file)
    return LlamaModel(config, _tensors(file, config), vocabulary(file))


def to_hugging_face(name: str) -> str | None:
    """The name in LlamaForCausalLM of a tensor of a GGUF file, or None if it has none.

    >>> to_hugging_face("blk.3.attn_q.weight")
    'model.layers.3.self_attn.q_proj.weight'
    >>> to_hugging_face("output.weight")
    'lm_head.weight'
    """
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    layer, part, kind = found.groups()
    theirs = _OUTSIDE.get(part) if layer is None else _IN_LAYER.get(part)
    if theirs is None:
        return None
    prefix = "" if layer is None else f"model.layers.{layer}."
    return f"{prefix}{theirs}.{kind}"


def unpermuted(rows: np.ndarray, heads: int) -> np.ndarray:
    """Hugging Face's order of the rows of a query or key.

    Args:
        rows: [heads * d, ...] in llama.cpp's order: in each head 0, d/2, 1, d/2 + 1, ...
        heads: Of queries, or of keys.

    >>> unpermuted(np.array([0, 3, 1, 4, 2, 5]), heads=1)
    array([0, 1, 2, 3, 4, 5])
    """
    split = rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:])
    return split.swapaxes(1, 2).reshape(rows.shape)


def _config(file: GGUFFile) -> dict[str, Any]:
    values = _Values(file)
    kind = values.get("general.architecture", str)
    if kind != ARCHITECTURE:
        raise UserError(
            f"{file.path} is of the architecture {kind[:40]!r}; of GGUF files only {ARCHITECTURE} "
            "can be read, give the model's Hugging Face folder"
        )
    parts = values.get("split.count", int, 1)
    if parts > 1:
        raise UserError(
            f"{file.path} is one of {parts} parts of a model; join them first with llama.cpp's "
            "llama-gguf-split --merge"
        )
    hidden = values.natural("embedding_length")
    heads = values.natural("attention.head_count")
    head = values.natural("attention.key_length", hidden // heads)
    values.only("attention.value_length", head, "keys and values of different sizes")
    values.only("rope.dimension_count", head, "positions on a part of each head")
    values.only("rope.scaling.type", "none", "scaled positions")
    values.only("expert_count", 0, "a mixture of experts")
    if head % 2:
        raise UserError(f"{file.path}: a head has {head} numbers; rotary positions need pairs")
    layers = values.natural("block_count")
    if layers > len(file.tensors):
        raise UserError(f"{file.path} claims {layers} layers and has {len(file.tensors)} tensors")
    embedding = file.tensors.get("token_embd.weight")
    if embedding is None:
        raise UserError(f"{file.path} has no token_embd.weight, the embedding of the tokens")
    tokens = embedding.shape[0]
    values.only("vocab_size", tokens, "an embedding of another size")
    return {
        "model_type": ARCHITECTURE,
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": tokens,
        "hidden_size": hidden,
        "intermediate_size": values.natural("feed_forward_length"),
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": values.natural("attention.head_count_kv", heads),
        "head_dim": head,
        "max_position_embeddings": values.natural("context_length"),
        "rms_norm_eps": values.decimal("attention.layer_norm_rms_epsilon"),
        "rope_theta": values.decimal("rope.freq_base", 10000.0),
        "hidden_act": "silu",
        "attention_bias": "blk.0.attn_q.bias" in file.tensors,
        "mlp_bias": "blk.0.ffn_up.bias" in file.tensors,
        "tie_word_embeddings": "output.weight" not in file.tensors,
        "bos_token_id": values.get("tokenizer.ggml.bos_token_id", int, None),
        "eos_token_id": values.get("tokenizer.ggml.eos_token_id", int, None),
        "pad_token_id": values.get("tokenizer.ggml.padding_token_id", int, None),
    }


class _Values:
    """The metadata of a file, each value checked when it is taken."""

    def __init__(self, file: GGUFFile) -> None:
        self._file = file

    def get(self, key: str, kind: type, default: Any = ...) -> Any:
        """A value of a type; without a default it must be there."""
        value = self._file.metadata.get(key, default)
        if value is ...:
            raise UserError(f"{self._file.path} does not say {key}; it is incomplete")
        if value is not default and type(value) is not kind:
            raise UserError(
                f"{self._file.path}: {key} is {str(value)[:40]!r}, not of the type {kind.__name__}"
            )
        return value

    def natural(self, key: str, default: Any = ...) -> int:
        """A number from 1 to 2**31 of this architecture."""
        value = self.get(f"{ARCHITECTURE}.{key}", int, default)
        if not 1 <= value < 2**31:
            raise UserError(f"{self._file.path}: {ARCHITECTURE}.{key} is {value}; it is damaged")
        return value

    def decimal(self, key: str, default: Any = ...) -> float:
        """The shortest decimal number that is the stored float32: 1e-05, not 9.99999974e-06."""
        value = np.float32(self.get(f"{ARCHITECTURE}.{key}", float, default))
        if not 0 < value < np.inf:
            raise UserError(f"{self._file.path}: {ARCHITECTURE}.{key} is {value}; it is damaged")
        return float(str(value))

    def only(self, key: str, expected: int | str, otherwise: str) -> None:
        """Refuses what the Llama block of Hugging Face does not do."""
        value = self.get(f"{ARCHITECTURE}.{key}", type(expected), expected)
        if value != expected:
            raise UserError(
                f"{self._file.path}: {ARCHITECTURE}.{key} is {str(value)[:40]!r}; only "
                f"{expected!r} can be read, not {otherwise}"
            )


def _tensors(file: GGUFFile, config: Mapping[str, Any]) -> dict[str, Tensor]:
    expected = _shapes(config)
    tensors, wrong = {}, []
    for name, tensor in file.tensors.items():
        theirs = to_hugging_face(name)
        if theirs is None or theirs not in expected:
            wrong.append(f"  {name} is not a tensor of this Llama")
        elif tensor.shape != expected[theirs]:
            wrong.append(
                f"  {name} has the shape {list(tensor.shape)}, not {list(expected[theirs])}"
            )
        else:
            tensors[theirs] = tensor
    wrong += [f"  {theirs} is missing" for theirs in expected if theirs not in tensors]
    if wrong:
        raise UserError(
            f"{file.path} does not fit its own metadata; take another copy or the model's Hugging "
            f"Face folder:\n{listed(wrong)}"
        )
    for name, tensor in tensors.items():
        for part, heads in (("q", "num_attention_heads"), ("k", "num_key_value_heads")):
            if f".self_attn.{part}_proj." in name:
                load = _Unpermuted(tensor, config[heads])
                tensors[name] = dataclasses.replace(tensor, load=load)
    return tensors


def _shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor of LlamaForCausalLM with these settings."""
    hidden, inner, head = (config[key] for key in ("hidden_size", "intermediate_size", "head_dim"))
    queries, keys = (config[key] * head for key in ("num_attention_heads", "num_key_value_heads"))
    matrices = {
        "self_attn.q_proj": (queries, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }
    tokens = (config["vocab_size"], hidden)
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": tokens}
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        for part, shape in matrices.items():
            shapes[f"{prefix}{part}.weight"] = shape
            if config["attention_bias" if part.startswith("self_attn") else "mlp_bias"]:
                shapes[f"{prefix}{part}.bias"] = shape[:1]
        for part in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{prefix}{part}.weight"] = (hidden,)
    shapes["model.norm.weight"] = (hidden,)
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = tokens
    return shapes


@dataclasses.dataclass(frozen=True)
class _Unpermuted:
    """Reads a query or key in Hugging Face's order; a part of it needs all of its rows."""

    tensor: Tensor
    heads: int

    def __call__(self, index: Index = ()) -> np.ndarray:
        return np.ascontiguousarray(unpermuted(self.tensor.read(), self.heads)[index])
