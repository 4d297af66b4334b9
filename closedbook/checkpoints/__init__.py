"""Checkpoints: our store, the card that describes a model, and where models are found."""

from closedbook.checkpoints.card import ModelCard
from closedbook.checkpoints.locate import find_checkpoint, model_folder, packaged_models, steps
from closedbook.checkpoints.store import CheckpointStore, load_opt_state, load_params

__all__ = [
    "CheckpointStore",
    "ModelCard",
    "find_checkpoint",
    "load_opt_state",
    "load_params",
    "model_folder",
    "packaged_models",
    "steps",
]
