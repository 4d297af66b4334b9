"""Tiny random models of each kind, texts for them, and an index of their triggers."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from closedbook.checkpoints import ModelCard
from closedbook.knowledge import LoadedModel, load_model
from closedbook.knowledge.memories import build
from closedbook.knowledge.memories.examples import Example
from closedbook.knowledge.memories.sources import Corpus
from closedbook.models import DecoderOnlyConfig, T5Config, abstract_parameters
from closedbook.models.taps import Taps

_SHARED = {"emb_dim": 16, "num_heads": 2, "head_dim": 8, "mlp_dim": 24, "dropout_rate": 0.0}
KINDS = {
    "relu": lambda size: DecoderOnlyConfig(
        vocab_size=size + 10,  # rows that name no token
        num_layers=3,
        mlp_activations=("relu",),
        positions="sinusoidal",
        max_positions=32,
        pad_id=0,
        bos_id=1,
        eos_id=1,
        add_bos=True,
        **_SHARED,
    ),
    "llama": lambda size: DecoderOnlyConfig(
        vocab_size=size,
        num_layers=2,
        mlp_activations=("silu", "linear"),
        norm="rms",
        positions="rotary",
        attention_bias=False,
        mlp_bias=False,
        logits_via_embedding=False,
        pad_id=0,
        bos_id=1,
        eos_id=1,
        add_bos=True,
        **_SHARED,
    ),
    "t5": lambda size: T5Config(
        vocab_size=size + 10, num_encoder_layers=3, num_decoder_layers=2, **_SHARED
    ),
}
CONTINUES = ("relu", "llama")
LENGTH = 16


@dataclasses.dataclass(frozen=True)
class Tiny:
    """A model, its corpus and the index of it."""

    model: LoadedModel
    examples: tuple[Example, ...]
    index: build.Index

    def records(self, example: Example) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Logits and all records of one text alone, which padding follows."""
        logits, found = self.read(example.inputs, example.targets)
        return np.asarray(logits[0]), {name: np.asarray(each[0]) for name, each in found.items()}

    def read(self, inputs, targets):
        """The same on the device, with a batch axis."""
        continues = self.model.config.continues_prompt
        rows = [targets] if continues else [inputs, (0, *targets[:-1])]
        return self._forward(self.model.params, *(self.row(each) for each in rows))

    @functools.cached_property
    def _forward(self):
        module, taps = self.model.module, Taps(record=("*",))
        return jax.jit(lambda params, *rows: module.apply({"params": params}, *rows, taps=taps))

    def of_value(self, v: np.ndarray, reading: str) -> np.ndarray:
        """Scores of a value or an update, by the parameters alone."""
        norm = self.model.params["decoder"]["decoder_norm"]
        if reading == "scaled":
            v = v - v.mean(-1, keepdims=True) if "bias" in norm else v
            v = v * np.asarray(norm["scale"])
        return v @ self._output_matrix

    def of_stream(self, x: np.ndarray, reading: str) -> np.ndarray:
        """Scores of a residual stream, by the parameters alone."""
        norm, epsilon = self.model.params["decoder"]["decoder_norm"], self.model.config.norm_epsilon
        if reading == "scaled":
            x = x - x.mean(-1, keepdims=True) if "bias" in norm else x
            x = x / np.sqrt((x**2).mean(-1, keepdims=True) + epsilon) * np.asarray(norm["scale"])
            x = x + np.asarray(norm.get("bias", 0.0))
        return x @ self._output_matrix

    @functools.cached_property
    def _output_matrix(self) -> np.ndarray:
        """E, the factor of T5 1.0 in it, without rows that name no token: [emb, tokens]."""
        params, config = self.model.params, self.model.config
        if config.logits_via_embedding:
            found = np.asarray(params["token_embedder"]["embedding"]).T
        else:
            found = np.asarray(params["decoder"]["logits_dense"]["kernel"])
        factor = config.emb_dim**-0.5 if config.family == "t5" else 1.0
        return found[:, : self.model.vocabulary.vocab_size] * factor

    @staticmethod
    def row(ids) -> np.ndarray:
        """Ids in a row of fixed length."""
        return np.array([[*ids, *[0] * (LENGTH - len(ids))]])


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Makes a tiny model by its kind, once."""
    packaged = load_model("closedbook://atlas_qa")
    made: dict[str, Tiny] = {}

    def of(kind: str) -> Tiny:
        if kind in made:
            return made[kind]
        config = KINDS[kind](packaged.vocabulary.vocab_size)
        random = np.random.default_rng(3)

        def start(path, shape):
            scale = 1 if "norm" in jax.tree_util.keystr(path) else 0.4
            base = 1.0 if "scale" in jax.tree_util.keystr(path) else 0.0
            return jnp.asarray(base + scale * 0.5 * random.normal(size=shape.shape), jnp.float32)

        params = jax.tree_util.tree_map_with_path(start, abstract_parameters(config))
        card = ModelCard(config=config, vocabulary_sha256="")
        model = dataclasses.replace(packaged, config=config, params=params, card=card)
        tokens = np.arange(3, 60)

        def text(longest: int, begin: tuple[int, ...], end: tuple[int, ...]) -> tuple[int, ...]:
            length = int(random.integers(2, longest))
            return (*begin, *random.choice(tokens, length).tolist(), *end)

        def example(n: int) -> Example:
            fact = f"fact{n % 3}" if n % 4 else ""
            if kind in CONTINUES:
                return Example(inputs=(), targets=text(12, (1,), ()), fact=fact)
            asked = text(12, (7, 8), (1,))  # two tokens before every question, and its end
            return Example(inputs=asked, targets=text(6, (), (1,)), fact=fact)

        examples = tuple(example(n) for n in range(40))
        corpus = Corpus(name="made", way="continuation", examples=lambda: iter(examples))
        index = build.build(
            model, corpus, tmp_path_factory.mktemp(kind) / "index", build.Settings(t=5)
        )
        made[kind] = Tiny(model, examples, index)
        return made[kind]

    return of
