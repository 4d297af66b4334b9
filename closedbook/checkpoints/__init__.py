"""Checkpoints: our store, every foreign format, and the card that describes a model."""

from typing import TYPE_CHECKING, Any

from closedbook.checkpoints.architecture import describe, recognise
from closedbook.checkpoints.card import ModelCard
from closedbook.checkpoints.formats import WRITABLE, Format
from closedbook.checkpoints.locate import find_checkpoint, model_folder, packaged_models, steps
from closedbook.checkpoints.opening import open_checkpoint, whole_checkpoints
from closedbook.checkpoints.restoring import load_opt_state, load_params
from closedbook.checkpoints.soundness import newest_good
from closedbook.checkpoints.tensors import Checkpoint, Tensor
from closedbook.on_import import on_demand

if TYPE_CHECKING:
    from closedbook.checkpoints.store import CheckpointStore


def __getattr__(name: str) -> Any:
    # Orbax takes a quarter of a second to import, and only who trains writes by it.
    return on_demand(__name__, name, {"CheckpointStore": "store"})


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
