"""Pretraining tasks of masked spans: sentences, what is masked in them, and how."""
