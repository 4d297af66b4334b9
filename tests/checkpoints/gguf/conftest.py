"""A small Llama in a GGUF file, written by the package gguf as llama.cpp's converter does."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

TOKENS = ["<|endoftext|>", "<|im_end|>", "a", "b", "Ġ", "1", "2", "ab", "ĠĠ", "Ġa"]
MERGES = ["a b", "Ġ Ġ", "Ġ a"]
LAYERS, HIDDEN, INNER, HEADS, KEYS, HEAD = 2, 32, 48, 4, 2, 8
VALUES: dict[str, Any] = {
    "general.architecture": "llama",
    "llama.block_count": LAYERS,
    "llama.context_length": 64,
    "llama.embedding_length": HIDDEN,
    "llama.feed_forward_length": INNER,
    "llama.attention.head_count": HEADS,
    "llama.attention.head_count_kv": KEYS,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.rope.freq_base": 100000.0,
    "llama.rope.dimension_count": HEAD,
    "llama.vocab_size": len(TOKENS),
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": TOKENS,
    "tokenizer.ggml.token_type": [3, 3, *[1] * (len(TOKENS) - 2)],
    "tokenizer.ggml.merges": MERGES,
    "tokenizer.ggml.bos_token_id": 0,
    "tokenizer.ggml.eos_token_id": 1,
}
Arrays = dict[str, np.ndarray]


def permuted(rows: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp's order of the rows of a head: 0, d/2, 1, d/2 + 1, ... of Hugging Face's."""
    size = len(rows) // heads
    order = [
        head * size + half * (size // 2) + number
        for head in range(heads)
        for number in range(size // 2)
        for half in (0, 1)
    ]
    return rows[order]


def drawn(*, head: bool = False, bias: bool = False) -> tuple[Arrays, Arrays]:
    """The same random weights by Hugging Face's names and as llama.cpp's converter writes them."""
    numbers = np.random.default_rng(0)
    theirs: Arrays = {}
    ours: Arrays = {}

    def add(name: str, gguf_name: str, *shape: int, heads: int = 0) -> None:
        array = numbers.normal(size=shape).astype(np.float32)
        theirs[name] = array
        ours[gguf_name] = permuted(array, heads) if heads else array

    def matrix(name: str, gguf_name: str, rows: int, columns: int, heads: int = 0) -> None:
        add(f"{name}.weight", f"{gguf_name}.weight", rows, columns, heads=heads)
        if bias:
            add(f"{name}.bias", f"{gguf_name}.bias", rows, heads=heads)

    add("model.embed_tokens.weight", "token_embd.weight", len(TOKENS), HIDDEN)
    for n in range(LAYERS):
        layer, block = f"model.layers.{n}", f"blk.{n}"
        attention = f"{layer}.self_attn"
        matrix(f"{attention}.q_proj", f"{block}.attn_q", HEADS * HEAD, HIDDEN, HEADS)
        matrix(f"{attention}.k_proj", f"{block}.attn_k", KEYS * HEAD, HIDDEN, KEYS)
        matrix(f"{attention}.v_proj", f"{block}.attn_v", KEYS * HEAD, HIDDEN)
        matrix(f"{attention}.o_proj", f"{block}.attn_output", HIDDEN, HEADS * HEAD)
        matrix(f"{layer}.mlp.gate_proj", f"{block}.ffn_gate", INNER, HIDDEN)
        matrix(f"{layer}.mlp.up_proj", f"{block}.ffn_up", INNER, HIDDEN)
        matrix(f"{layer}.mlp.down_proj", f"{block}.ffn_down", HIDDEN, INNER)
        add(f"{layer}.input_layernorm.weight", f"{block}.attn_norm.weight", HIDDEN)
        add(f"{layer}.post_attention_layernorm.weight", f"{block}.ffn_norm.weight", HIDDEN)
    add("model.norm.weight", "output_norm.weight", HIDDEN)
    if head:
        add("lm_head.weight", "output.weight", len(TOKENS), HIDDEN)
    return theirs, ours


class MadeLlama:
    """What tests need of the small Llama."""

    tokens = TOKENS
    drawn = staticmethod(drawn)

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    def write(
        self, values: Mapping[str, Any] | None = None, arrays: Arrays | None = None
    ) -> pathlib.Path:
        """Writes a file.

        Args:
            values: Metadata in place of those above; None leaves a key out.
            arrays: Tensors in place of those drawn.
        """
        import gguf

        merged = VALUES | dict(values or {})
        path = self.folder / "model.gguf"
        writer = gguf.GGUFWriter(path, merged.pop("general.architecture"))
        for key, value in merged.items():
            match value:
                case None:
                    continue
                case str():
                    writer.add_string(key, value)
                case bool():
                    writer.add_bool(key, value)
                case int():
                    writer.add_uint32(key, value)
                case float():
                    writer.add_float32(key, value)
                case list():
                    writer.add_array(key, value)
        for name, array in (drawn()[1] if arrays is None else arrays).items():
            writer.add_tensor(name, array)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path


@pytest.fixture
def llama(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> MadeLlama:
    """A small Llama and what is needed to write it; the cache folder is the test's own."""
    pytest.importorskip("gguf", reason="gguf is an extra")
    monkeypatch.setenv("CLOSEDBOOK_CACHE", str(tmp_path / "cache"))
    return MadeLlama(tmp_path)
