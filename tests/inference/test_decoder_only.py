"""Continuations of prompts of unequal length: cached as uncached, whatever the padding."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.inference import Decoded, DecodeSettings, Predictor, decode, score_candidates
from closedbook.inference.steps import lengths
from closedbook.models import DecoderOnly, DecoderOnlyConfig
from closedbook.parallel import Partitioner

EOS, LENGTH, VOCAB = 1, 6, 12
COMMON: dict[str, Any] = {
    "vocab_size": VOCAB,
    "emb_dim": 16,
    "num_heads": 4,
    "num_layers": 2,
    "head_dim": 4,
    "mlp_dim": 32,
    "max_positions": 24,
    "eos_id": EOS,
    "logits_via_embedding": False,  # a tied model tends to repeat its last token
}
CONFIGS = {
    "gpt2": DecoderOnlyConfig(**COMMON),
    "llama": DecoderOnlyConfig(
        **COMMON,
        num_kv_heads=2,
        mlp_activations=("silu", "linear"),
        attention_bias=False,
        mlp_bias=False,
        norm="rms",
        positions="rotary",
        scan_layers=True,
    ),
}
WAYS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "beam": {"method": "beam", "num_beams": 4},
    "sample": {"method": "sample", "num_samples": 5, "temperature": 2.0},
}
FAST: Any = {"xla_backend_optimization_level": 0}
_decode = jax.jit(decode, static_argnums=(0, 1), compiler_options=FAST)
_score = jax.jit(score_candidates, static_argnums=0, compiler_options=FAST)
_apply = jax.jit(
    lambda module, params, tokens: module.apply({"params": params}, tokens),
    static_argnums=0,
    compiler_options=FAST,
)


@dataclasses.dataclass(frozen=True)
class Tiny:
    """A random model and eight prompts of 1 to 9 tokens, id 0 among them."""

    module: DecoderOnly
    params: Any
    prompts: np.ndarray

    def decode(self, prompts: np.ndarray | None = None, **settings: Any) -> Decoded:
        chosen = DecodeSettings(**({"max_decode_length": LENGTH} | settings))
        tokens = self.prompts if prompts is None else prompts
        return jax.tree.map(np.asarray, _decode(self.module, chosen, self.params, tokens))

    def log_probs(self, prompt: np.ndarray, answer: np.ndarray) -> np.ndarray:
        """Log-probabilities [length, vocab] of each token of an answer, without a cache."""
        given = prompt[prompt >= 0]
        row = np.zeros((1, 16), np.int32)  # one program; what comes after is not seen
        row[0, : len(given)] = given
        row[0, len(given) : len(given) + len(answer)] = answer
        logits = np.asarray(_apply(self.module, self.params, row), np.float64)[0]
        logits = logits[len(given) - 1 : len(given) - 1 + len(answer)]
        return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


@pytest.fixture(scope="module", params=CONFIGS)
def tiny(request) -> Tiny:
    module = DecoderOnly(CONFIGS[request.param])
    random = np.random.default_rng(5)
    prompts = np.full((8, 10), -1, np.int32)
    for row, length in zip(prompts, (1, 2, 3, 5, 6, 8, 9, 4), strict=True):
        row[:length] = random.integers(0, VOCAB, length)
    variables = jax.jit(module.init)(jax.random.key(0), *module.example())
    keys = iter(jax.random.split(jax.random.key(27), 100))
    params = jax.tree.map(
        lambda x: x + 0.5 * jax.random.normal(next(keys), x.shape),
        nn.meta.unbox(variables["params"]),
    )
    return Tiny(module, params, prompts)


def test_greedy_continuations_equal_those_without_a_cache(tiny):
    found = tiny.decode()
    ends = lengths(found.tokens[:, 0], EOS)
    assert len(set(np.asarray(ends).tolist())) > 2
    for prompt, tokens, total, end in zip(
        tiny.prompts, found.tokens[:, 0], found.log_probs[:, 0], ends, strict=True
    ):
        log_probs = tiny.log_probs(prompt, tokens[:end])
        np.testing.assert_array_equal(log_probs.argmax(-1), tokens[:end])
        np.testing.assert_allclose(log_probs.max(-1).sum(), total, atol=1e-4)
        assert (tokens[end:] == -1).all()


@pytest.mark.parametrize("way", WAYS)
def test_padding_other_rows_and_fillers_change_nothing(tiny, way):
    expected = tiny.decode(**WAYS[way])
    wide = np.pad(tiny.prompts[:4], ((0, 4), (0, 7)), constant_values=-1)
    found = tiny.decode(wide, **WAYS[way])
    np.testing.assert_array_equal(found.tokens[:4], expected.tokens[:4])
    np.testing.assert_allclose(found.log_probs[:4], expected.log_probs[:4], atol=1e-4)
    assert (found.tokens[4:] == -1).all()
    assert not found.log_probs[4:].any()


@pytest.mark.parametrize("way", WAYS)
def test_log_probs_equal_those_without_a_cache(tiny, way):
    found = tiny.decode(**WAYS[way])
    for row, prompt in enumerate(tiny.prompts):
        for tokens, total in zip(found.tokens[row], found.log_probs[row], strict=True):
            if np.isfinite(total):
                told = tokens[: int(lengths(tokens, EOS))]
                each = tiny.log_probs(prompt, told)[np.arange(len(told)), told]
                np.testing.assert_allclose(each.sum(), total, atol=1e-4)


def test_candidates_of_one_prompt_score_as_each_alone(tiny):
    random = np.random.default_rng(0)
    candidates = np.full((8, 3, 5), -1, np.int32)
    for row in candidates:
        for candidate, length in zip(row, (5, 2, 4), strict=True):
            candidate[:length] = random.integers(0, VOCAB, length)
    found = np.asarray(_score(tiny.module, tiny.params, tiny.prompts, candidates))
    for prompt, row, scores in zip(tiny.prompts, candidates, found, strict=True):
        for candidate, score in zip(row, scores, strict=True):
            told = candidate[candidate >= 0]
            each = tiny.log_probs(prompt, told)[np.arange(len(told)), told]
            np.testing.assert_allclose(each.sum(), score, atol=1e-4)


def test_model_split_over_a_mesh_writes_the_same(tiny):
    partitioner = Partitioner(num_partitions=2, devices=tuple(jax.devices()[:4]))
    boxed = jax.eval_shape(tiny.module.init, jax.random.key(0), *tiny.module.example())["params"]
    shardings = partitioner.parameter_shardings(boxed, tiny.params)
    split = [leaf.spec for leaf in jax.tree.leaves(shardings) if "model" in leaf.spec]
    assert len(split) > 8
    settings = DecodeSettings(method="beam", num_beams=4, max_decode_length=LENGTH)
    with partitioner.activate():
        # A program of its own: logical axis rules are no part of jit's cache key.
        run = jax.jit(lambda *args: decode(tiny.module, settings, *args), compiler_options=FAST)
        found = run(jax.device_put(tiny.params, shardings), partitioner.put_rows(tiny.prompts))
    expected = tiny.decode(**WAYS["beam"])
    np.testing.assert_array_equal(found.tokens, expected.tokens)
    np.testing.assert_allclose(found.log_probs, expected.log_probs, atol=1e-4)


class Letters:
    """A vocabulary of the letters a to j, ids 2 to 11."""

    def encode_batch(self, texts):
        return [[ord(letter) - ord("a") + 2 for letter in text] for text in texts]

    def decode(self, ids):
        return "".join(chr(int(i) - 2 + ord("a")) for i in ids if i >= 2)


def test_predictor_goes_on_with_texts(tiny):
    settings = DecodeSettings(max_decode_length=LENGTH)
    predictor = Predictor(tiny.module, Letters(), settings=settings, max_input_length=16)
    texts = ["abc", "j", "hgfedcbahgfedcba", "ca"]
    answers = predictor.predict(tiny.params, texts)
    for text, answer in zip(texts, answers, strict=True):
        prompt = np.array([Letters().encode_batch([text])[0]], np.int32)
        alone = tiny.decode(prompt)
        assert answer.text == Letters().decode([i for i in alone.tokens[0, 0] if i != EOS])
        np.testing.assert_allclose(answer.log_prob, alone.log_probs[0, 0], atol=1e-4)
    scored = predictor.score_tokens(tiny.params, [[4, 2]], [[[5, 6], [7]]])[0]
    for candidate, score in zip(([5, 6], [7]), scored, strict=True):
        each = tiny.log_probs(np.array([4, 2]), np.array(candidate))
        np.testing.assert_allclose(
            each[np.arange(len(candidate)), candidate].sum(), score, atol=1e-4
        )


def test_long_prompt_keeps_its_end_and_its_beginning_token():
    plain = DecoderOnly(CONFIGS["gpt2"])
    assert plain.cut([5, 6, 7, 8], 3) == [6, 7, 8]
    begun = DecoderOnly(dataclasses.replace(CONFIGS["gpt2"], bos_id=0, add_bos=True))
    assert begun.framed([5, 6]) == [0, 5, 6]
    assert begun.cut([0, 5, 6, 7], 3) == [0, 6, 7]
    assert begun.cut([0, 5, 6], 3) == [0, 5, 6]


def test_empty_prompt_begins_a_text_where_the_model_has_a_token_for_that():
    with pytest.raises(UserError, match="the prompt is empty"):
        DecoderOnly(CONFIGS["gpt2"]).framed([])
    begun = DecoderOnly(dataclasses.replace(CONFIGS["gpt2"], bos_id=0))
    assert begun.framed([]) == [0]
    assert begun.framed([5]) == [5]


@pytest.mark.parametrize("tiny", ["gpt2"], indirect=True)  # rotary positions go on for ever
def test_answer_for_which_there_are_no_positions_is_refused(tiny):
    # 10 tokens of prompts and 15 of answers; the last of an answer is not read.
    assert tiny.decode(max_decode_length=15).tokens.shape == (8, 1, 15)
    with pytest.raises(UserError, match="24 positions"):
        tiny.decode(max_decode_length=16)
