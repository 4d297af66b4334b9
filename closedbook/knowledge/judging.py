"""How sure a T5 is that a statement is true: "true" against "false" as its answer."""

import math
from collections.abc import Sequence

from closedbook.errors import UserError
from closedbook.knowledge.loaded_model import LoadedModel

ANSWERS = ("true", "false")


class TrueOrFalse:
    """Asks a model that was fine-tuned to say "true" or "false".

    Args:
        model: The model.

    Raises:
        UserError: Its vocabulary cannot tell the two words apart.
    """

    def __init__(self, model: LoadedModel) -> None:
        true, false = (tuple(ids) for ids in model.vocabulary.encode_batch(ANSWERS))
        if true == false:
            raise UserError(
                f'the vocabulary {model.vocabulary.path} spells "true" and "false" alike; train '
                "the model with one that knows both words"
            )
        self._model = model

    def probabilities(self, texts: Sequence[str]) -> list[float]:
        """The probability of "true" for each text, "false" being the only other answer.

        Args:
            texts: As in training, prefix included; what is longer than the model's inputs is cut.
        """
        scores = self._model.predictor().score_candidates(
            self._model.params, texts, [ANSWERS] * len(texts)
        )
        return [1 / (1 + math.exp(min(false - true, 700.0))) for true, false in scores]
