"""Looking into what a model knows."""

from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.loading import load_model

__all__ = ["LoadedModel", "load_model"]
