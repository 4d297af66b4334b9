"""Optimisers: Adafactor as T5X runs it (`adafactor.py`), and optax's by name."""

from closedbook.training.optimizers.named import (
    BY_NAME,
    CLIPPING,
    SCHEDULES,
    adam,
    adamw,
    chain,
    lion,
    sgd,
)

__all__ = ["BY_NAME", "CLIPPING", "SCHEDULES", "adam", "adamw", "chain", "lion", "sgd"]
