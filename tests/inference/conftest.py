"""One tiny model for all decoding tests; programs are compiled once a session."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import pytest

from closedbook.inference import Decoded, DecodeSettings, decode, score_candidates
from closedbook.models import T5, T5Config

CONFIG = T5Config(
    vocab_size=12,
    emb_dim=16,
    num_heads=2,
    num_encoder_layers=1,
    num_decoder_layers=2,
    head_dim=8,
    mlp_dim=32,
    mlp_activations=("gelu", "linear"),
    logits_via_embedding=False,
)
LENGTH = 6  # tokens of an answer


@dataclasses.dataclass(frozen=True)
class Tiny:
    """A random model whose greedy answers are of many lengths, and eight inputs."""

    config: T5Config
    params: Any
    inputs: np.ndarray

    @property
    def module(self) -> T5:
        return T5(self.config)

    def decode(self, inputs: np.ndarray | None = None, **settings: Any) -> Decoded:
        """Decodes to NumPy arrays; `LENGTH` tokens if nothing else is said."""
        chosen = DecodeSettings(**({"max_decode_length": LENGTH} | settings))
        tokens = self.inputs if inputs is None else inputs
        return jax.tree.map(np.asarray, _decode(self.module, chosen, self.params, tokens))

    def score(self, inputs: np.ndarray, candidates: np.ndarray, *weights: np.ndarray) -> np.ndarray:
        """Teacher-forced sums of log-probabilities [batch, candidates]."""
        return np.asarray(_score(self.module, self.params, inputs, candidates, *weights))

    def log_probs(self, row: np.ndarray, prefixes: np.ndarray) -> np.ndarray:
        """Log-probabilities [prefixes, length, vocab] without a cache, one input, in float64."""
        rows = np.broadcast_to(row, (len(prefixes), len(row)))
        shifted = np.pad(prefixes[:, :-1], ((0, 0), (1, 0)))
        logits = np.asarray(_apply(self.config, self.params, rows, shifted), np.float64)
        return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


# Compiling takes nearly all the time of these tests; without optimisation it takes half of it.
FAST: Any = {"xla_backend_optimization_level": 0}
_decode = jax.jit(decode, static_argnums=(0, 1), compiler_options=FAST)
_score = jax.jit(score_candidates, static_argnums=0, compiler_options=FAST)
_apply = jax.jit(lambda c, p, *a: T5(c).apply({"params": p}, *a), static_argnums=0)


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    random = np.random.default_rng(0)
    inputs = np.zeros((8, 10), np.int32)
    for row, length in zip(inputs, (1, 2, 3, 5, 6, 8, 10, 4), strict=True):
        row[: length - 1] = random.integers(2, 12, length - 1)
        row[length - 1] = 1
    init = jax.jit(T5(CONFIG).init)
    params = nn.meta.unbox(init(jax.random.key(211), inputs, inputs)["params"])
    kernel = params["decoder"]["logits_dense"]["kernel"]
    # Peaked enough to end now and then, and seldom a 0 in the middle of an answer.
    params["decoder"]["logits_dense"]["kernel"] = kernel.at[:, 0].set(0.0) * 1.5
    return Tiny(CONFIG, params, inputs)
