"""GGUF files open as checkpoints like all others, and compute what transformers computes."""

import pathlib

import jax
import numpy as np
import pytest

from closedbook.checkpoints import Format, open_checkpoint, recognise
from closedbook.checkpoints.convert import Options, convert
from closedbook.checkpoints.gguf import open_gguf
from closedbook.errors import UserError
from closedbook.inference import DecodeSettings
from closedbook.knowledge import load_model


def their_logits(config: dict, weights: dict, tokens: np.ndarray) -> np.ndarray:
    transformers = pytest.importorskip("transformers", reason="transformers is an extra")
    torch = pytest.importorskip("torch", reason="torch is an extra")
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**config)).eval()
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert (missing, unexpected) == (["lm_head.weight"], [])  # it is the embedding
    with torch.no_grad():
        return model(torch.tensor(tokens, dtype=torch.long)).logits.numpy()


def our_logits(path: pathlib.Path, tokens: np.ndarray) -> np.ndarray:
    model = load_model(path)
    return np.asarray(jax.jit(model.module.apply)({"params": model.params}, tokens))


def test_logits_equal_transformers(llama) -> None:
    torch = pytest.importorskip("torch", reason="torch is an extra")
    # Where attention is nearly a choice of one token, rounding would decide between two.
    weights, arrays = ({n: x * 0.3 for n, x in each.items()} for each in llama.drawn())
    path = llama.write(arrays=arrays)
    weights = {name: torch.tensor(array) for name, array in weights.items()}
    tokens = np.random.default_rng(1).integers(0, len(llama.tokens), (2, 12)).astype(np.int32)
    theirs = their_logits(open_gguf(path).config, weights, tokens)
    assert np.abs(theirs).max() > 1
    np.testing.assert_allclose(our_logits(path, tokens), theirs, atol=1e-4)


def test_file_or_its_folder_is_found_and_converted(llama, tmp_path_factory) -> None:
    path = llama.write()
    opened = open_checkpoint(path)
    assert opened.format == Format.GGUF
    assert recognise(open_checkpoint(path.parent)) == recognise(opened)
    before = load_model(path)
    settings = DecodeSettings(max_decode_length=5)
    answers = before.ask(["ab 12", "a a"], settings)
    for form in ("closedbook", "huggingface"):
        written = convert(path, tmp_path_factory.mktemp("made") / form, Options(to=form))
        again = load_model(written)
        assert again.config == before.config
        jax.tree.map(np.testing.assert_array_equal, again.params, before.params)
        assert again.ask(["ab 12", "a a"], settings) == answers
    path.with_name("other.gguf").write_bytes(path.read_bytes())
    with pytest.raises(UserError, match="holds 2 checkpoints; name one of them"):
        open_checkpoint(path.parent)


@pytest.mark.real_model
@pytest.mark.slow
def test_smollm2_equals_transformers_own_reading(smollm2) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is an extra")
    torch = pytest.importorskip("torch", reason="torch is an extra")
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    model = open_gguf(smollm2)
    with torch.device("meta"):
        empty = transformers.LlamaForCausalLM(transformers.LlamaConfig(**model.config))
    weights = load_gguf_checkpoint(smollm2, return_tensors=True, model_to_load=empty)["tensors"]
    text = "The capital of France is Paris, and the capital of Italy is"
    tokens = np.array([model.vocabulary.encode(text)], np.int32)
    theirs = their_logits(model.config, weights, tokens)
    # Logits of up to 29, after 30 layers; 1.3e-4 was measured.
    np.testing.assert_allclose(our_logits(smollm2, tokens), theirs, atol=1e-3)
