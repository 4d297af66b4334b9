"""SmolLM2-135M-Instruct, Q4_1, against transformers' own reading of the same file."""

import collections
import json

import numpy as np
import pytest

from closedbook.checkpoints.files.gguf import open_gguf_file
from closedbook.checkpoints.gguf import open_gguf

pytestmark = pytest.mark.real_model
SOME = [
    "model.embed_tokens.weight",  # Q8_0
    "model.norm.weight",  # F32
    "model.layers.0.self_attn.q_proj.weight",  # Q4_1, nine heads of 64
    "model.layers.29.self_attn.k_proj.weight",  # three heads
    "model.layers.7.self_attn.v_proj.weight",
    "model.layers.13.mlp.down_proj.weight",
]


def test_counts_and_settings(smollm2) -> None:
    types = open_gguf_file(smollm2).types
    assert collections.Counter(types.values()) == {"Q4_1": 210, "F32": 61, "Q8_0": 1}
    model = open_gguf(smollm2)
    config = model.config
    assert (config["num_hidden_layers"], config["hidden_size"], config["vocab_size"]) == (
        *(30, 576, 49152),
    )
    assert (config["num_attention_heads"], config["num_key_value_heads"]) == (9, 3)
    assert (config["rope_theta"], config["rms_norm_eps"]) == (100000.0, 1e-5)
    assert config["tie_word_embeddings"]
    assert sum(np.prod(tensor.shape) for tensor in model.tensors.values()) == 134_515_008


def test_tensors_equal_those_that_transformers_unpacks(smollm2, monkeypatch) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is an extra")
    torch = pytest.importorskip("torch", reason="torch is an extra")
    import gguf
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    model = open_gguf(smollm2)
    with torch.device("meta"):
        empty = transformers.LlamaForCausalLM(transformers.LlamaConfig(**model.config))
    monkeypatch.setattr(gguf, "GGUFReader", _some(gguf.GGUFReader))
    theirs = load_gguf_checkpoint(smollm2, return_tensors=True, model_to_load=empty)["tensors"]
    assert set(theirs) == set(SOME)
    for name in SOME:
        np.testing.assert_array_equal(model.tensors[name].read(), theirs[name].numpy())


def _some(reader):
    """A reader that finds only the tensors above, to save time."""
    from closedbook.checkpoints.gguf import to_hugging_face

    class Some(reader):
        def __init__(self, path):
            super().__init__(path)
            self.tensors = [each for each in self.tensors if to_hugging_face(each.name) in SOME]

    return Some


def test_ids_equal_transformers_but_for_blanks_before_numbers(smollm2, shared) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is an extra")
    pytest.importorskip("torch", reason="torch, which transformers reads GGUF with, is an extra")
    ours = open_gguf(smollm2).vocabulary
    theirs = transformers.AutoTokenizer.from_pretrained(smollm2.parent, gguf_file=smollm2.name)
    lines = (shared / "data/qa/NQ-open.dev.jsonl").read_text().splitlines()
    questions = [json.loads(line)["question"] for line in lines]
    texts = [
        *questions,
        "The capital of France is Paris.",
        "It's what they've said, isn't it?\n\n\tYes  -- we'll see",
        "In 1945, 12,345.67 people",
        "日本語 العربية \U0001f600 e\u0301",
        "<|im_start|>user\nhello<|im_end|>",
    ]
    ids = ours.encode_batch(texts)
    assert ids == theirs(texts, add_special_tokens=False).input_ids
    assert [ours.decode(row) for row in ids[:1000]] == texts[:1000]
    assert (ours.eos_id, ours.bos_id, ours.pad_id) == (
        *(theirs.eos_token_id, theirs.bos_token_id, theirs.pad_token_id),
    )
    # transformers 5.23 leaves out that SmolLM cuts at each digit first; two blanks are one token.
    assert [ours.decode([token]) for token in ours.encode("in  1945")] == [
        *("in", "  ", "1", "9", "4", "5"),
    ]
