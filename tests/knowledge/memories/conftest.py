"""Tiny models with the atlas's vocabulary, of each kind of feed-forward unit and layout."""

import dataclasses
from collections.abc import Iterable

import jax
import numpy as np
import pytest

from closedbook.checkpoints import ModelCard
from closedbook.knowledge import LoadedModel
from closedbook.knowledge.memories.examples import Example
from closedbook.knowledge.memories.sources import Corpus
from closedbook.models import T5Config, network, unboxed
from closedbook.models.decoder_only import DecoderOnlyConfig
from closedbook.models.families import Config
from closedbook.tasks import atlas
from closedbook.vocabulary import Vocabulary

TEXTS = 40
_T5 = T5Config(
    vocab_size=3840,
    emb_dim=16,
    num_heads=2,
    num_encoder_layers=2,
    num_decoder_layers=3,
    head_dim=8,
    mlp_dim=12,
    dropout_rate=0.0,
)
_GATED = {"mlp_activations": ("gelu", "linear"), "logits_via_embedding": False}
_DECODER_ONLY = DecoderOnlyConfig(
    vocab_size=3840,
    emb_dim=16,
    num_heads=2,
    num_layers=2,
    head_dim=8,
    mlp_dim=12,
    mlp_activations=("silu", "linear"),
    norm="rms",
    positions="rotary",
    eos_id=1,
    dropout_rate=0.0,
)
CONFIGS: dict[str, Config] = {
    "t5_1_0": _T5,
    "t5_1_1_scanned": dataclasses.replace(_T5, **_GATED, scan_layers=True),
    "decoder_only": _DECODER_ONLY,
    "decoder_only_scanned_relu": dataclasses.replace(
        _DECODER_ONLY, mlp_activations=("relu",), norm="layer", scan_layers=True
    ),
}


def uneven(x: jax.Array) -> jax.Array:
    """The array plus 0 to 0.1, rising."""
    return x + 0.1 * np.linspace(0, 1, x.size, dtype=np.float32).reshape(x.shape)


@pytest.fixture(scope="session")
def configs() -> dict[str, Config]:
    """Tiny configs by name."""
    return CONFIGS


@pytest.fixture(scope="session")
def tiny():
    """Makes a model of random parameters by the name of its config; each once."""
    made: dict[str, LoadedModel] = {}

    def model(name: str) -> LoadedModel:
        if name not in made:
            config, vocabulary = CONFIGS[name], Vocabulary(atlas.VOCABULARY)
            module = network(config)
            params = unboxed(jax.jit(module.init)(jax.random.key(1), *module.example())["params"])
            # Scales of norms are 1 at first, which would hide where they are left out.
            params = jax.tree.map(
                lambda x: x + 0.1 * np.arange(x.size).reshape(x.shape) / x.size, params
            )
            card = ModelCard(config=config, vocabulary_sha256=vocabulary.sha256, task="atlas_ssm")
            made[name] = LoadedModel(
                config=config, params=params, vocabulary=vocabulary, card=card, step=0
            )
        return made[name]

    return model


@pytest.fixture(scope="session")
def random_texts():
    """Makes texts of random ids and lengths for a model."""

    def made(model: LoadedModel) -> list[Example]:
        rng = np.random.default_rng(3)

        def ids(low: int, high: int) -> tuple[int, ...]:
            return tuple(rng.integers(2, 3000, rng.integers(low, high)).tolist())

        inputs = [() if model.config.continues_prompt else ids(2, 9) for _ in range(TEXTS)]
        return [Example(inputs=each, targets=ids(1, 13), fact=f"f{len(each)}") for each in inputs]

    return made


@pytest.fixture(scope="session")
def corpus():
    """Makes a corpus of examples."""

    def made(texts: Iterable[Example]) -> Corpus:
        return Corpus(name="made", way="bare", examples=lambda: iter(texts))

    return made
