"""Random models."""

from collections.abc import Callable

import numpy as np
import pytest

from closedbook.checkpoints.architecture import parameter_shapes
from closedbook.checkpoints.tensors import Checkpoint, Tensor
from closedbook.models import T5Config


@pytest.fixture(scope="session")
def random_model() -> Callable[[T5Config], Checkpoint]:
    """Random parameters of the T5 that a configuration describes, by our names."""

    def made(config: T5Config) -> Checkpoint:
        random = np.random.default_rng(0)
        params = {
            name: Tensor.of(random.normal(size=shape).astype(np.float32), name)
            for name, shape in parameter_shapes(config).items()
        }
        return Checkpoint(format="t5x", path="random", params=params)

    return made
