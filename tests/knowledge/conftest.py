"""Models to be probed, and a model whose weights are a table of facts."""

import dataclasses

import jax
import numpy as np
import pytest

from closedbook.checkpoints import ModelCard
from closedbook.knowledge import LoadedModel, load_model
from closedbook.models import T5Config, abstract_parameters
from closedbook.tasks.facts import Facts, read_facts

_LOUD = 10.0  # logit of the object that the table says; all others have 0


@pytest.fixture(scope="session")
def atlas_ssm() -> LoadedModel:
    """The packaged model that fills gaps in sentences."""
    return load_model("closedbook://atlas_ssm")


@pytest.fixture(scope="session")
def atlas_qa() -> LoadedModel:
    """The packaged model that answers questions."""
    return load_model("closedbook://atlas_qa")


@pytest.fixture(scope="session")
def table_facts(atlas_ssm) -> Facts:
    """Facts whose subjects and objects are single pieces that occur nowhere else in a prompt."""
    facts = read_facts("atlas", relations=["symbol_element"])
    encode = atlas_ssm.vocabulary.encode

    def simple(fact) -> bool:
        pieces = encode(fact.asked())
        subject, object_ = encode(fact.subject), encode(fact.object)
        return len(subject) == len(object_) == 1 and pieces.count(subject[0]) == 1

    kept = [fact for fact in facts.facts if simple(fact)][:24]
    assert len(kept) == 24
    return facts.keep(kept)


@pytest.fixture
def lookup_table(atlas_ssm, table_facts):
    """Makes a T5 whose cross-attention is a table: subject -> object, and all else is nothing.

    Each of the pieces has an axis of its own. The encoder passes the inputs through, the decoder
    attends to all of them alike, and its values send a subject's axis to its object's.
    """
    encode = atlas_ssm.vocabulary.encode

    def made(objects: list[str]) -> LoadedModel:
        subjects = [encode(fact.subject)[0] for fact in table_facts.facts]
        pieces = [*subjects, *(encode(name)[0] for name in objects)]
        axes = {piece: axis for axis, piece in enumerate(dict.fromkeys(pieces))}
        size = len(axes)
        config = T5Config(
            vocab_size=atlas_ssm.config.vocab_size,
            emb_dim=size,
            num_heads=1,
            num_encoder_layers=1,
            num_decoder_layers=1,
            head_dim=size,
            mlp_dim=4,
            dropout_rate=0.0,
            dtype="float32",
        )
        shapes = abstract_parameters(config)

        def start(path, shape):
            return np.full(shape.shape, float("norm" in jax.tree_util.keystr(path)), np.float32)

        params = jax.tree_util.tree_map_with_path(start, shapes)
        for piece, axis in axes.items():
            params["token_embedder"]["embedding"][piece, axis] = _LOUD
        cross = params["decoder"]["layers_0"]["encoder_decoder_attention"]
        for subject, name in zip(subjects, objects, strict=True):
            cross["value"]["kernel"][axes[subject], axes[encode(name)[0]]] = 1.0
        cross["out"]["kernel"][:] = 1000 * np.eye(size)
        card = ModelCard(config=config, vocabulary_sha256="", task="atlas_ssm")
        return dataclasses.replace(atlas_ssm, config=config, params=params, card=card)

    return made
