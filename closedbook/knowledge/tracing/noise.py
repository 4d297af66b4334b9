"""What makes the model forget the subject: noise on the embeddings of its tokens."""

import dataclasses
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from closedbook.errors import UserError, unknown_name
from closedbook.knowledge.loaded_model import LoadedModel

Distribution = Literal["gaussian", "uniform"]
DISTRIBUTIONS: tuple[Distribution, ...] = get_args(Distribution)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Noise:
    """Noise of one level and kind.

    Attributes:
        level: Standard deviation of "gaussian" noise; "uniform" noise lies within plus and minus
            it.
        distribution: One of `DISTRIBUTIONS`.
        samples: Corrupted runs, each with noise of its own.
        seed: Of NumPy's RandomState, which begins anew for every fact, as in kmeng01/rome.

    Raises:
        UserError: A value is out of its range.
    """

    level: float
    distribution: Distribution = "gaussian"
    samples: int = 10
    seed: int = 1

    def __post_init__(self) -> None:
        if self.distribution not in DISTRIBUTIONS:
            raise unknown_name("distribution of noise", self.distribution, DISTRIBUTIONS)
        if not (np.isfinite(self.level) and self.level >= 0):
            raise UserError(f"the noise is {self.level}; it must be 0 or more")
        if self.samples < 1:
            raise UserError(f"there are {self.samples} samples of noise; give 1 or more")
        if not 0 <= self.seed < 2**32:
            raise UserError(f"the seed of the noise is {self.seed}; give 0 to {2**32 - 1}")

    def draws(self, number: int, tokens: int, width: int) -> np.ndarray:
        """Noise float32 [number, samples, tokens, width]; each number is a further draw."""
        state = np.random.RandomState(self.seed)
        shape = (number, self.samples, tokens, width)
        uniform = self.distribution == "uniform"
        drawn = state.uniform(-1, 1, shape) if uniform else state.randn(*shape)
        return (self.level * drawn).astype(np.float32)


def sigma(model: LoadedModel, subjects: Sequence[str]) -> float:
    """The standard deviation of all numbers of the embeddings of subjects' tokens.

    Each subject is tokenised alone, and each of its tokens counts as often as it occurs, as in
    kmeng01/rome.

    Args:
        model: Whose embeddings they are.
        subjects: One at least.
    """
    table = np.asarray(model.params["token_embedder"]["embedding"], np.float32)
    ids = [token for row in model.vocabulary.encode_batch(list(subjects)) for token in row]
    scale = getattr(model.config, "embedding_scale", 1.0)  # what a family multiplies inputs with
    return float(np.std(table[ids].astype(np.float64) * scale, ddof=1))
