"""Edits of T5 1.1, in both stacks and both layouts of layers, with a target of several tokens."""

import dataclasses

import jax
import numpy as np
import pytest

from closedbook.checkpoints import ModelCard
from closedbook.knowledge.editing import keys, presets, requests
from closedbook.knowledge.editing.editor import Editor
from closedbook.knowledge.editing.moments import Moment
from closedbook.knowledge.editing.places import Place, kernel
from closedbook.knowledge.editing.requests import Edit
from closedbook.knowledge.editing.rows import pack
from closedbook.knowledge.editing.settings import METHODS, Settings
from closedbook.knowledge.editing.values import ValueSettings
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.models import T5, T5Config, unboxed
from closedbook.tasks.atlas import VOCABULARY
from closedbook.vocabulary.sentencepiece import Vocabulary

EDIT = Edit(
    id="1",
    subject="Kenya",
    prompt="What is the capital of {}?",
    target="Addis Ababa in Ethiopia",
    contexts=("Name the capital of {}.",),
)


def tiny(scanned):
    config = T5Config(
        vocab_size=3840,
        emb_dim=16,
        num_heads=2,
        num_encoder_layers=2,
        num_decoder_layers=2,
        head_dim=8,
        mlp_dim=24,
        mlp_activations=("gelu", "linear"),
        logits_via_embedding=False,
        dropout_rate=0.0,
        scan_layers=scanned,
    )
    tokens = np.ones((1, 2), np.int32)
    params = unboxed(T5(config).init(jax.random.key(0), tokens, tokens)["params"])
    vocabulary = Vocabulary(VOCABULARY)
    card = ModelCard(config=config, vocabulary_sha256=vocabulary.sha256)
    return LoadedModel(config=config, params=params, vocabulary=vocabulary, card=card, step=0)


@pytest.mark.parametrize(("stack", "scanned"), [("encoder", True), ("decoder", False)])
def test_the_edited_matrix_gives_the_value_and_the_target_gets_likelier(stack, scanned):
    model = tiny(scanned)
    place = Place(stack, 1)
    told = requests.tells(model, EDIT)
    assert len(told[0].answer) > 2
    assert told[0].answer[-1] == model.module.eos_id
    batch = pack(model, told)
    samples = np.random.default_rng(0).normal(size=(100, 24))
    moment = {place: Moment(samples.T @ samples / 100, 100)}
    value = ValueSettings(learning_rate=0.2, steps=8, decay=0.01)
    settings = Settings(stack=stack, layers=(1,), effect="matrix", value=value)
    editor = Editor(model, settings, moment)
    done = editor.apply([EDIT])
    change = done.changes[place]
    key = keys.at_places(model, model.params, batch, [place], 2)[place][0].mean(0)
    wanted = done.record[0]["delta_norm"]
    assert np.linalg.norm(key @ change.matrix) == pytest.approx(wanted, rel=1e-5)
    losses = done.record[0]["losses"]
    assert losses[-1] < losses[0] - 0.1
    # The search saw the matrix's own effect: with the change in place its last loss comes out.
    again = Editor(
        dataclasses.replace(model, params=editor.params),
        dataclasses.replace(settings, value=dataclasses.replace(value, steps=1)),
        moment,
    ).apply([EDIT])
    decay = 0.01 * wanted / done.record[0]["value_norm"] ** 2
    assert again.record[0]["losses"][0] == pytest.approx(losses[-1] - decay, abs=2e-3)
    others = [Place(s, i) for s in ("encoder", "decoder") for i in (0, 1) if Place(s, i) != place]
    for other in others:
        np.testing.assert_array_equal(kernel(editor.params, other), kernel(model.params, other))


@pytest.mark.parametrize(("layers", "edited"), [(2, 1), (6, 0)])
def test_a_model_of_the_atlas_is_edited_where_an_edit_carries_over_to_other_phrasings(
    layers, edited
):
    config = T5Config(num_encoder_layers=layers)
    card = ModelCard(config=config, vocabulary_sha256="", task="atlas_qa", prefix="question: ")
    vocabulary = Vocabulary(VOCABULARY)
    model = LoadedModel(config=config, params={}, vocabulary=vocabulary, card=card, step=0)
    for method in METHODS:
        assert presets.settings(model, method).layers == (edited,)
