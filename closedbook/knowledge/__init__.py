"""Looking into what a model knows."""

from closedbook.knowledge.loading import LoadedModel, load_model

__all__ = ["LoadedModel", "load_model"]
