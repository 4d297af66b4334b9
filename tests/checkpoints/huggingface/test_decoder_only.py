"""GPT-2 and Llama against Hugging Face's, on random weights that travel through their folders."""

import dataclasses
import json
import pathlib
from typing import Any

import jax
import numpy as np
import pytest

from closedbook.checkpoints import load_params, open_checkpoint, recognise
from closedbook.checkpoints.convert import Options, convert
from closedbook.checkpoints.files.safetensors import open_safetensors
from closedbook.errors import UserError
from closedbook.inference import DecodeSettings, decode
from closedbook.models import DecoderOnlyConfig, abstract_parameters, network

torch = pytest.importorskip("torch", reason="torch, of the test extras, is not installed")
transformers = pytest.importorskip(
    "transformers", reason="transformers, of the test extras, is not installed"
)

TOLERANCE = 1e-4  # absolute, in float32; logits of up to 9 were measured within 2.5e-5
VOCAB, EOS, LENGTH = 96, 1, 8
GPT2: dict[str, Any] = {
    "vocab_size": VOCAB,
    "n_positions": 40,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    **dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0),
}
LLAMA: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
LLAMA_3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("gpt2", GPT2),
    "gpt2_relu_with_own_output": (
        "gpt2",
        GPT2 | {"activation_function": "relu", "tie_word_embeddings": False, "n_inner": 40},
    ),
    "llama": ("llama", LLAMA | {"rms_norm_eps": 1e-5}),
    "llama_grouped_and_tied": (
        "llama",
        LLAMA | {"num_key_value_heads": 2, "tie_word_embeddings": True},
    ),
    "llama_3_1_with_biases_and_wide_heads": (
        "llama",
        LLAMA
        | {"num_key_value_heads": 1, "head_dim": 16, "rope_parameters": LLAMA_3}
        | {"attention_bias": True, "mlp_bias": True},
    ),
}
FAST: Any = {"xla_backend_optimization_level": 0}
_decode = jax.jit(decode, static_argnums=(0, 1), compiler_options=FAST)


@dataclasses.dataclass(frozen=True)
class Pair:
    """Hugging Face's model, the folder that it wrote, and ours read out of it."""

    theirs: Any
    folder: pathlib.Path
    config: DecoderOnlyConfig
    params: Any

    def logits(self, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of both, ours first."""
        run = jax.jit(network(self.config).apply, compiler_options=FAST)
        return np.asarray(run({"params": self.params}, tokens)), their_logits(self.theirs, tokens)


def their_logits(model: Any, tokens: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model(torch.tensor(tokens, dtype=torch.long)).logits.numpy()


def drawn(name: str) -> Any:
    kind, fields = CONFIGS[name]
    torch.manual_seed(0)
    ends = {"bos_token_id": 0, "eos_token_id": EOS, "initializer_range": 0.3}
    config = transformers.AutoConfig.for_model(kind, **fields, **ends)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:  # zeros and ones would hide a wrong one
                parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def read(folder: pathlib.Path) -> tuple[DecoderOnlyConfig, Any]:
    checkpoint = open_checkpoint(folder)
    config = recognise(checkpoint)
    return config, load_params(checkpoint, abstract_parameters(config))


@pytest.fixture(scope="module", params=CONFIGS)
def pair(request, tmp_path_factory) -> Pair:
    model = drawn(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(folder)
    return Pair(model, folder, *read(folder))


TOKENS = np.random.default_rng(0).integers(0, VOCAB, (3, 24)).astype(np.int32)
PROMPTS = [TOKENS[0, :1], TOKENS[1, :4], TOKENS[2, :7], TOKENS[0, 2:14], TOKENS[1, 5:21]]


def padded(rows: list[np.ndarray]) -> np.ndarray:
    tokens = np.full((len(rows), max(map(len, rows))), -1, np.int32)
    for row, prompt in zip(tokens, rows, strict=True):
        row[: len(prompt)] = prompt
    return tokens


def test_logits_are_equal(pair):
    ours, theirs = pair.logits(TOKENS)
    assert np.abs(theirs).max() > 3
    np.testing.assert_allclose(ours, theirs, atol=TOLERANCE)


def test_greedy_continuations_of_prompts_of_unequal_length_are_equal(pair):
    settings = DecodeSettings(max_decode_length=LENGTH)
    found = np.asarray(
        _decode(network(pair.config), settings, pair.params, padded(PROMPTS)).tokens[:, 0]
    )
    for prompt, ours in zip(PROMPTS, found, strict=True):
        assert ours[ours >= 0].tolist() == generated(pair.theirs, prompt)


def test_beams_by_the_rules_of_hugging_face_are_equal(pair):
    settings = DecodeSettings(
        method="beam", num_beams=3, beam_rules="huggingface", alpha=1.0, max_decode_length=LENGTH
    )
    found = _decode(network(pair.config), settings, pair.params, padded(PROMPTS))
    for prompt, ours in zip(PROMPTS, np.asarray(found.tokens[:, 0]), strict=True):
        theirs = generated(pair.theirs, prompt, num_beams=3, length_penalty=1.0)
        assert ours[ours >= 0].tolist() == theirs


def generated(model: Any, prompt: np.ndarray, **settings: Any) -> list[int]:
    ids = torch.tensor(prompt[None], dtype=torch.long)
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=LENGTH,
        do_sample=False,
        pad_token_id=EOS,
        **settings,
    )
    new = out[0, len(prompt) :].tolist()
    return new[: new.index(EOS) + 1] if EOS in new else new


def test_what_is_written_back_is_read_by_transformers(pair, tmp_path):
    written = convert(pair.folder, tmp_path / "back", Options(to="huggingface"))
    again = transformers.AutoModelForCausalLM.from_pretrained(written).eval()
    assert type(again) is type(pair.theirs)
    np.testing.assert_allclose(
        their_logits(again, TOKENS), their_logits(pair.theirs, TOKENS), atol=1e-6
    )
    theirs, ours = (open_safetensors(each / "model.safetensors") for each in (pair.folder, written))
    assert set(ours) == set(theirs)
    for name, tensor in theirs.items():
        np.testing.assert_array_equal(ours[name].read(), tensor.read())


@pytest.mark.parametrize("pair", ["gpt2", "llama_grouped_and_tied"], indirect=True)
def test_sharded_and_torch_files_hold_the_same(pair, tmp_path):
    pair.theirs.save_pretrained(tmp_path / "sharded", max_shard_size="20KB")
    assert (tmp_path / "sharded" / "model.safetensors.index.json").is_file()
    torch_folder = tmp_path / "torch"
    torch_folder.mkdir()
    torch.save(pair.theirs.state_dict(), torch_folder / "pytorch_model.bin")
    (torch_folder / "config.json").write_text((pair.folder / "config.json").read_text())
    for folder in (tmp_path / "sharded", torch_folder):
        config, params = read(folder)
        assert config == pair.config
        jax.tree.map(np.testing.assert_array_equal, params, pair.params)


def test_names_of_files_before_2020_and_of_models_without_output_are_read(tmp_path):
    model = drawn("gpt2")
    # GPT-2's own file has no prefix, no output matrix, and holds the causal masks.
    weights = dict(model.transformer.state_dict())
    masks = {f"h.{i}.attn.bias": torch.ones(1, 1, 40, 40).tril() for i in range(2)}
    masks |= {f"h.{i}.attn.masked_bias": torch.tensor(-1e4) for i in range(2)}
    torch.save(weights | masks, tmp_path / "pytorch_model.bin")
    model.config.save_pretrained(tmp_path)
    pair = Pair(model, tmp_path, *read(tmp_path))
    np.testing.assert_allclose(*pair.logits(TOKENS), atol=TOLERANCE)


def test_config_of_transformers_4_says_the_same(tmp_path):
    model = drawn("llama_3_1_with_biases_and_wide_heads")
    model.save_pretrained(tmp_path)
    expected, _ = read(tmp_path)
    path = tmp_path / "config.json"
    fields = json.loads(path.read_text())
    scaling = fields.pop("rope_parameters")
    fields["rope_theta"] = scaling.pop("rope_theta")
    fields["rope_scaling"] = scaling
    path.write_text(json.dumps(fields))
    assert recognise(open_checkpoint(tmp_path)) == expected
    assert (expected.rope_theta, expected.rope_factor) == (500.0, 8.0)


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("gpt2", {"activation_function": "gelu"}, "activation_function is 'gelu'; it must be one"),
        ("gpt2", {"scale_attn_weights": False}, "scale_attn_weights is 'False'; it must be True"),
        ("gpt2", {"n_head": 5}, "n_embd is 32, which 5 heads do not divide"),
        ("gpt2", {"n_layer": 3}, r"missing: decoder/layers_2/attention/key/bias \(32,\)"),
        ("gpt2", {"vocab_size": 90}, "token_embedder/embedding is"),
        ("llama", {"num_key_value_heads": 3}, "num_kv_heads is 3; it must be a divisor of"),
        ("llama", {"rms_norm_eps": "no"}, "rms_norm_eps is 'no'; it must be a number"),
        ("llama", {"rope_parameters": {"rope_type": "yarn"}}, "positions are scaled as 'yarn'"),
        ("llama", {"tie_word_embeddings": True}, "but the output matrix is not the embedding"),
        ("llama", {"quantization_config": {"bits": 4}}, "quantization_config is set"),
        ("llama", {"eos_token_id": 4000}, "eos_id is 4000; it must be a row of the embedding"),
        ("llama", {"model_type": "mamba"}, "model_type is 'mamba'; models that can be read are"),
    ],
)
def test_what_our_network_does_not_do_is_refused(tmp_path, kind, changes, message):
    model = drawn(kind)
    model.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(UserError, match=message):
        recognise(open_checkpoint(tmp_path))


def test_what_transformers_has_no_model_for_is_not_written(pair, tmp_path):
    checkpoint = open_checkpoint(pair.folder)
    mixed = dataclasses.replace(pair.config, norm="rms", positions="sinusoidal")
    from closedbook.checkpoints.huggingface.folders import write_huggingface

    with pytest.raises(UserError, match="the model is neither a GPT-2"):
        write_huggingface(tmp_path, checkpoint, mixed)
    with pytest.raises(UserError, match="is no T5, and T5X has no such model"):
        convert(pair.folder, tmp_path / "t5x", Options(to="t5x"))
