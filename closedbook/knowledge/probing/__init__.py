"""Asking a model for facts without training it (LAMA, Petroni et al. 2019), and measuring it."""
