"""Indexes of triggers against the largest coefficients that NumPy finds."""

import dataclasses
import pathlib

import jax
import numpy as np
import pytest

from closedbook.checkpoints import ModelCard
from closedbook.errors import UserError
from closedbook.knowledge import LoadedModel
from closedbook.knowledge.memories import build
from closedbook.knowledge.memories.cells import SITE, Cell, cells_of
from closedbook.knowledge.memories.examples import Example
from closedbook.knowledge.memories.index import Index
from closedbook.knowledge.memories.sources import Corpus
from closedbook.models import T5Config, network, unboxed
from closedbook.models.decoder_only import DecoderOnlyConfig
from closedbook.models.families import Config
from closedbook.models.taps import Taps
from closedbook.tasks import atlas
from closedbook.vocabulary import Vocabulary

T = 5
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
        _DECODER_ONLY, mlp_activations=("relu",), scan_layers=True
    ),
}


def made(config: Config) -> LoadedModel:
    """A model of random parameters with the atlas's vocabulary."""
    module, vocabulary = network(config), Vocabulary(atlas.VOCABULARY)
    params = unboxed(jax.jit(module.init)(jax.random.key(1), *module.example())["params"])
    card = ModelCard(config=config, vocabulary_sha256=vocabulary.sha256, task="atlas_ssm")
    return LoadedModel(config=config, params=params, vocabulary=vocabulary, card=card, step=0)


def random_texts(config: Config) -> list[Example]:
    """Texts of random ids and lengths, none twice."""
    rng = np.random.default_rng(3)

    def ids(low: int, high: int) -> tuple[int, ...]:
        return tuple(rng.integers(2, 3000, rng.integers(low, high)).tolist())

    inputs = [() if config.continues_prompt else ids(2, 9) for _ in range(TEXTS)]
    return [Example(inputs=each, targets=ids(1, 13), fact=f"f{len(each)}") for each in inputs]


def corpus(texts: list[Example]) -> Corpus:
    return Corpus(name="made", way="bare", examples=lambda: iter(texts))


@pytest.fixture(scope="module", params=CONFIGS)
def case(request, tmp_path_factory) -> tuple[LoadedModel, list[Example], Index]:
    model = made(CONFIGS[request.param])
    texts = random_texts(model.config)
    out = tmp_path_factory.mktemp("index") / "index"
    settings = build.Settings(t=T, tokens=200)
    return model, texts, build.build(model, corpus(texts), out, settings, named={"name": "tiny"})


def of_each_text(model: LoadedModel, texts: list[Example]) -> list[dict[str, np.ndarray]]:
    """Stack -> [layers, length, cells] of each text, by one forward pass with taps."""
    module = model.module

    def rows(sides: list[tuple[int, ...]]) -> np.ndarray:
        width = max(map(len, sides))
        return np.array([[*side, *[0] * (width - len(side))] for side in sides], np.int32)

    read = [text.targets for text in texts]
    given = [rows(read)]
    lengths = {"decoder": list(map(len, read))}
    if not model.config.continues_prompt:
        inputs = [text.inputs for text in texts]
        lengths["encoder"] = list(map(len, inputs))
        given = [rows(inputs), rows([(module.pad_id, *each[:-1]) for each in read])]
    taps = Taps(record=(f"*.{SITE}",))
    _, records = jax.jit(module.apply)({"params": model.params}, *given, taps=taps)
    return [
        {
            stack: np.stack(
                [
                    records[f"{stack}.{layer}.{SITE}"][n, : lengths[stack][n]]
                    for layer in range(spec.layers)
                ]
            )
            for stack, spec in model.config.stacks.items()
        }
        for n in range(len(texts))
    ]


def test_triggers_are_the_largest_coefficients_of_all_texts(case) -> None:
    model, texts, index = case
    alone = of_each_text(model, texts)
    for stack, cells in cells_of(model.config).items():
        for sign in cells.signs:
            turn = -1 if sign == "negative" else 1
            best = np.stack([(turn * each[stack]).max(1) for each in alone], -1)
            place = np.stack([(turn * each[stack]).argmax(1) for each in alone], -1)
            for cell in index.each_cell(stack):
                of_texts = best[cell.layer, cell.number]
                order = [n for n in np.argsort(-of_texts) if of_texts[n] > 0][:T]
                found = index.triggers(cell, sign)
                assert [trigger.example for trigger in found] == [texts[n] for n in order]
                assert [t.position for t in found] == place[cell.layer, cell.number][order].tolist()
                np.testing.assert_allclose(
                    [t.coefficient for t in found], turn * of_texts[order], rtol=1e-4, atol=1e-6
                )
            active = sum((turn * each[stack] > 0).sum(1) for each in alone)
            np.testing.assert_array_equal(index.active(stack, sign), active)
        assert index.positions(stack) == sum(each[stack].shape[1] for each in alone)


def test_an_index_of_another_model_is_refused(case) -> None:
    model, _, index = case
    index.check_model(model)
    other = dataclasses.replace(model, params=jax.tree.map(lambda x: x + 1, model.params))
    with pytest.raises(UserError, match="index of another model, tiny"):
        index.check_model(other)


def test_a_corpus_shorter_than_t_is_refused_before_anything_is_written(
    case, tmp_path: pathlib.Path
) -> None:
    model, texts, _ = case
    out = tmp_path / "index"
    with pytest.raises(UserError, match="has 3 texts, fewer than t = 5"):
        build.build(model, corpus(texts[:3]), out, build.Settings(t=5))
    assert not list(tmp_path.iterdir())


def test_cells_that_are_not_there_are_named(case) -> None:
    _, _, index = case
    for name, message in {
        "decoder.9.1": "there is no layer 9",
        "decoder.1.12": "there is no cell 12",
        "decodr.1.1": "unknown stack",
        "decoder.1": "names no cell",
    }.items():
        with pytest.raises(UserError, match=message):
            index.triggers(Cell.parse(name))
