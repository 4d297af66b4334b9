"""Optimisers by name, those of optax under optax's names and with its defaults.

Without a learning rate they return a direction for learning rate 1, and the trainer's schedule
counts. With one of their own, which T5X asks for, theirs counts.
"""

from collections.abc import Callable, Sequence
from typing import Any

import optax

from closedbook.training.optimizers.adafactor import OwnRate

Rate = float | Callable[[Any], Any] | None  # None: the trainer's schedule

SCHEDULES = (
    "constant_schedule",
    "cosine_decay_schedule",
    "exponential_decay",
    "linear_schedule",
    "polynomial_schedule",
    "warmup_constant_schedule",
    "warmup_cosine_decay_schedule",
    "warmup_exponential_decay_schedule",
)
"""Schedules of optax, step to learning rate."""


def _rated(
    made: Callable[..., optax.GradientTransformation], learning_rate: Rate, **settings: Any
) -> optax.GradientTransformation:
    """An optimiser, marked where its learning rate is its own."""
    if learning_rate is None:
        return made(1.0, **settings)
    return OwnRate(*made(learning_rate, **settings))


def adamw(
    learning_rate: Rate = None,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    weight_decay: float = 1e-4,
    nesterov: bool = False,
) -> optax.GradientTransformation:
    """AdamW (Loshchilov and Hutter 2019); decay is multiplied by the learning rate."""
    return _rated(
        optax.adamw,
        learning_rate,
        b1=b1,
        b2=b2,
        eps=eps,
        eps_root=eps_root,
        weight_decay=weight_decay,
        nesterov=nesterov,
    )


def adam(
    learning_rate: Rate = None,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    nesterov: bool = False,
) -> optax.GradientTransformation:
    """Adam (Kingma and Ba 2015)."""
    return _rated(
        optax.adam, learning_rate, b1=b1, b2=b2, eps=eps, eps_root=eps_root, nesterov=nesterov
    )


def lion(
    learning_rate: Rate = None,
    *,
    b1: float = 0.9,
    b2: float = 0.99,
    weight_decay: float = 1e-3,
) -> optax.GradientTransformation:
    """Lion (Chen et al. 2023); wants a learning rate 3 to 10 times smaller than AdamW's."""
    return _rated(optax.lion, learning_rate, b1=b1, b2=b2, weight_decay=weight_decay)


def sgd(
    learning_rate: Rate = None, *, momentum: float | None = None, nesterov: bool = False
) -> optax.GradientTransformation:
    """Stochastic gradient descent."""
    return _rated(optax.sgd, learning_rate, momentum=momentum, nesterov=nesterov)


def chain(
    transformations: Sequence[optax.GradientTransformation],
) -> optax.GradientTransformation:
    """Transformations of the gradients, one after the other, for example clipping and AdamW."""
    joined = optax.chain(*transformations)
    return OwnRate(*joined) if any(isinstance(t, OwnRate) for t in transformations) else joined


BY_NAME: dict[str, Callable[..., optax.GradientTransformation]] = {
    "adam": adam,
    "adamw": adamw,
    "lion": lion,
    "sgd": sgd,
}
"""Optimisers under the names that they have in optax and in `t5x.optimizers`."""

CLIPPING: dict[str, Callable[..., optax.GradientTransformation]] = {
    "clip": optax.clip,
    "clip_by_global_norm": optax.clip_by_global_norm,
}
"""What a `chain` may put before them, under optax's names."""
