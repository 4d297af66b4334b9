"""The packaged model, and random ones with its vocabulary."""

import dataclasses

import jax
import numpy as np
import pytest

from closedbook.checkpoints import ModelCard
from closedbook.knowledge import LoadedModel, load_model
from closedbook.models import abstract_parameters
from closedbook.models.families import Config


@pytest.fixture(scope="session")
def atlas_qa() -> LoadedModel:
    """The packaged model that answers questions."""
    return load_model()


@pytest.fixture(scope="session")
def random_model(atlas_qa):
    """Makes a model of a config with random parameters and the atlas's vocabulary."""

    def made(config: Config) -> LoadedModel:
        random = np.random.default_rng(0)
        params = jax.tree.map(
            lambda x: random.normal(size=x.shape).astype(np.float32), abstract_parameters(config)
        )
        card = ModelCard(config=config, vocabulary_sha256="")
        return dataclasses.replace(atlas_qa, config=config, params=params, card=card)

    return made
