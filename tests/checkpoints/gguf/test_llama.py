"""A Llama in a GGUF file reads as its Hugging Face folder would."""

import pathlib

import numpy as np
import pytest

from closedbook.checkpoints.gguf import open_gguf, to_hugging_face
from closedbook.checkpoints.gguf.llama import unpermuted
from closedbook.errors import UserError

NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
    "blk.0.attn_norm.weight": "model.layers.0.input_layernorm.weight",
    "blk.0.attn_q.weight": "model.layers.0.self_attn.q_proj.weight",
    "blk.29.attn_k.bias": "model.layers.29.self_attn.k_proj.bias",
    "blk.3.attn_v.weight": "model.layers.3.self_attn.v_proj.weight",
    "blk.3.attn_output.weight": "model.layers.3.self_attn.o_proj.weight",
    "blk.3.ffn_norm.weight": "model.layers.3.post_attention_layernorm.weight",
    "blk.3.ffn_gate.weight": "model.layers.3.mlp.gate_proj.weight",
    "blk.3.ffn_up.weight": "model.layers.3.mlp.up_proj.weight",
    "blk.3.ffn_down.weight": "model.layers.3.mlp.down_proj.weight",
}


def test_names_are_those_of_hugging_face() -> None:
    assert {name: to_hugging_face(name) for name in NAMES} == NAMES
    for name in [
        "rope_freqs.weight",
        "blk.0.ffn_gate_exps.weight",
        "attn_q.weight",
        "blk.00.ffn_up",
    ]:
        assert to_hugging_face(name) is None


def test_rows_of_each_head_come_back_in_order() -> None:
    # Two heads of six numbers; llama.cpp puts number i beside number i + 3.
    stored = np.array([0, 3, 1, 4, 2, 5, 10, 13, 11, 14, 12, 15])
    expected = [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15]
    np.testing.assert_array_equal(unpermuted(stored, heads=2), expected)
    columns = np.stack([stored, stored + 100], axis=1)
    np.testing.assert_array_equal(unpermuted(columns, heads=2)[:, 1], np.array(expected) + 100)


@pytest.mark.parametrize("options", [{}, {"head": True}, {"bias": True}], ids=str)
def test_every_tensor_is_the_one_that_was_converted(llama, options) -> None:
    expected, arrays = llama.drawn(**options)
    model = open_gguf(llama.write(arrays=arrays))
    assert set(model.tensors) == set(expected)
    for name, array in expected.items():
        tensor = model.tensors[name]
        assert (tensor.shape, tensor.dtype) == (array.shape, np.float32)
        np.testing.assert_array_equal(tensor.read(), array)
        np.testing.assert_array_equal(tensor.read((slice(1, 7, 2),)), array[1:7:2])
    assert model.config["tie_word_embeddings"] == ("head" not in options)
    assert model.config["attention_bias"] == model.config["mlp_bias"] == ("bias" in options)


def test_settings_are_those_of_llama_config(llama) -> None:
    config = open_gguf(llama.write()).config
    assert config == {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": 10,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 64,
        "rms_norm_eps": 1e-5,
        "rope_theta": 100000.0,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": None,
    }


def test_transformers_reads_the_same_model_out_of_the_file(llama) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is an extra")
    torch = pytest.importorskip("torch", reason="torch is an extra")
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    path = llama.write()
    model = open_gguf(path)
    config = transformers.LlamaConfig(**model.config)
    assert config.rope_parameters["rope_theta"] == 100000.0
    with torch.device("meta"):
        empty = transformers.LlamaForCausalLM(config)
    theirs = load_gguf_checkpoint(path, return_tensors=True, model_to_load=empty)
    for key in (
        "hidden_size",
        "num_key_value_heads",
        "intermediate_size",
        "max_position_embeddings",
    ):
        assert theirs["config"][key] == model.config[key]
    assert set(theirs["tensors"]) == set(model.tensors)
    for name, tensor in model.tensors.items():
        np.testing.assert_array_equal(tensor.read(), theirs["tensors"][name].numpy())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"general.architecture": "gpt2"}, "of the architecture 'gpt2'; of GGUF files only llama"),
        ({"split.count": 3}, "one of 3 parts of a model; join them"),
        ({"llama.block_count": None}, "does not say llama.block_count"),
        ({"llama.block_count": "two"}, "llama.block_count is 'two', not of the type int"),
        ({"llama.attention.head_count": 0}, "llama.attention.head_count is 0"),
        ({"llama.attention.layer_norm_rms_epsilon": float("nan")}, "rms_epsilon is nan"),
        ({"llama.rope.dimension_count": 4}, "is '4'; only 8 can be read, not positions on a part"),
        ({"llama.rope.scaling.type": "yarn"}, "only 'none' can be read, not scaled positions"),
        ({"llama.expert_count": 8}, "not a mixture of experts"),
        ({"llama.vocab_size": 11}, "llama.vocab_size is '11'"),
        ({"llama.attention.key_length": 7, "llama.rope.dimension_count": 7}, "has 7 numbers"),
        ({"llama.block_count": 3}, "model.layers.2.self_attn.q_proj.weight is missing"),
        ({"llama.block_count": 1}, "blk.1.attn_q.weight is not a tensor of this Llama"),
        (
            {"llama.feed_forward_length": 40},
            r"up.weight has the shape \[48, 32\], not \[40, 32\]",
        ),
        ({"llama.attention.head_count_kv": 4}, r"attn_k.weight has the shape \[16, 32\]"),
    ],
    ids=str,
)
def test_what_is_no_llama_is_the_users_error(llama, values, message) -> None:
    with pytest.raises(UserError, match=message) as caught:
        open_gguf(llama.write(values))
    assert "model.gguf" in str(caught.value)


def test_tensors_that_are_not_the_models_are_named_together(llama) -> None:
    arrays = llama.drawn()[1]
    arrays["rope_freqs.weight"] = np.ones(4, np.float32)
    del arrays["output_norm.weight"]
    with pytest.raises(UserError) as caught:
        open_gguf(llama.write(arrays=arrays))
    assert "rope_freqs.weight is not a tensor of this Llama" in str(caught.value)
    assert "model.norm.weight is missing" in str(caught.value)


def test_a_claim_of_many_layers_is_refused_at_once(llama) -> None:
    with pytest.raises(UserError, match="claims 2000000000 layers"):
        open_gguf(llama.write({"llama.block_count": 2_000_000_000}))


def test_a_file_without_an_embedding_is_the_users_error(llama) -> None:
    arrays = llama.drawn()[1]
    del arrays["token_embd.weight"]
    with pytest.raises(UserError, match=r"has no token_embd.weight"):
        open_gguf(llama.write(arrays=arrays))


def test_opening_reads_no_tensor(llama, monkeypatch) -> None:
    path: pathlib.Path = llama.write()
    monkeypatch.setattr(np, "fromfile", None)
    assert open_gguf(path).tensors
