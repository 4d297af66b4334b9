"""Checkpoints: our store, every foreign format, and the card that describes a model."""

from closedbook.checkpoints.architecture import describe, recognise
from closedbook.checkpoints.card import ModelCard
from closedbook.checkpoints.formats import WRITABLE, Format
from closedbook.checkpoints.locate import find_checkpoint, model_folder, packaged_models, steps
from closedbook.checkpoints.opening import open_checkpoint, whole_checkpoints
from closedbook.checkpoints.restoring import load_opt_state, load_params
from closedbook.checkpoints.soundness import newest_good
from closedbook.checkpoints.store import CheckpointStore
from closedbook.checkpoints.tensors import Checkpoint, Tensor

__all__ = [
    "WRITABLE",
    "Checkpoint",
    "CheckpointStore",
    "Format",
    "ModelCard",
    "Tensor",
    "describe",
    "find_checkpoint",
    "load_opt_state",
    "load_params",
    "model_folder",
    "newest_good",
    "open_checkpoint",
    "packaged_models",
    "recognise",
    "steps",
    "whole_checkpoints",
]
