"""A trained model by its path alone: parameters, vocabulary, habits."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from closedbook.checkpoints import ModelCard, load_params, model_folder
from closedbook.checkpoints.card import VOCABULARY_FILE
from closedbook.data.vocabulary import Vocabulary
from closedbook.errors import UserError
from closedbook.inference.predictor import Prediction, Predictor
from closedbook.inference.settings import DecodeSettings
from closedbook.models import T5, T5Config, unboxed

DEFAULT_MODEL = "closedbook://atlas_qa"  # the packaged model that answers questions


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model that is ready to be asked.

    Attributes:
        config: The network's, without dropout.
        params: On the default device.
        vocabulary: Of the training.
        card: What the checkpoint folder says of itself.
        step: The checkpoint's.
    """

    config: T5Config
    params: Any
    vocabulary: Vocabulary
    card: ModelCard
    step: int

    def predictor(self, settings: DecodeSettings | None = None) -> Predictor:
        """A predictor for texts with their prefix."""
        longest = self.card.lengths.get("inputs", 512)
        return Predictor(
            self.config,
            self.params,
            self.vocabulary,
            settings=settings or DecodeSettings(method="beam", num_beams=4),
            max_input_length=longest,
            quick_compile=True,
        )

    def ask(
        self, questions: Sequence[str], settings: DecodeSettings | None = None
    ) -> list[Prediction]:
        """Answers to questions, the task's prefix added.

        Args:
            questions: Without prefix.
            settings: How to decode; 4 beams if None.
        """
        predictor = self.predictor(settings)
        return predictor.predict([self.card.prefix + " ".join(q.split()) for q in questions])


def load_model(path: str | pathlib.Path = DEFAULT_MODEL) -> LoadedModel:
    """Loads a model that `t5x train` wrote, or a packaged one.

    Args:
        path: A run's folder, one of its checkpoints, or "closedbook://NAME".

    Raises:
        UserError: There is no such model, its vocabulary is missing or another than the card's,
            or its parameters are not those that the card describes.
    """
    folder = model_folder(path)
    card = ModelCard.read(folder)
    vocabulary = Vocabulary(folder / VOCABULARY_FILE, card.extra_ids)
    if vocabulary.sha256 != card.vocabulary_sha256:
        raise UserError(
            f"{folder / VOCABULARY_FILE} is not the vocabulary that model.json names (sha256 "
            f"{card.vocabulary_sha256[:12]}...); restore the file of the training"
        )
    config = dataclasses.replace(card.config, dropout_rate=0.0, remat_policy="none")
    if jax.default_backend() == "cpu":  # which has to emulate bfloat16 and is slower with it
        config = dataclasses.replace(config, dtype="float32")
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    tokens = jax.ShapeDtypeStruct((1, 2), jnp.int32)
    variables = jax.eval_shape(T5(config).init, jax.random.key(0), tokens, tokens)
    wanted = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device),
        unboxed(variables["params"]),
    )
    params, step = load_params(path, wanted)
    return LoadedModel(config=config, params=params, vocabulary=vocabulary, card=card, step=step)
