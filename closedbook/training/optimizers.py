"""Optimisers by name. All return a direction for learning rate 1; the schedule is the trainer's."""

import optax

from closedbook.training.adafactor import adafactor

__all__ = ["adafactor", "adamw", "lion"]


def adamw(
    *, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.0
) -> optax.GradientTransformation:
    """AdamW (Loshchilov and Hutter 2019); decay is multiplied by the learning rate."""
    return optax.adamw(1.0, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay)


def lion(
    *, b1: float = 0.9, b2: float = 0.99, weight_decay: float = 0.0
) -> optax.GradientTransformation:
    """Lion (Chen et al. 2023); wants a learning rate 3 to 10 times smaller than AdamW's."""
    return optax.lion(1.0, b1=b1, b2=b2, weight_decay=weight_decay)
