"""Changing what a model knows: ROME and its successors, on any family of models."""
