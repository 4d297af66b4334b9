"""Families of models that are probed: which there are, and how masked ones are asked."""
