"""closedbook: knowledge in the parameters of a T5."""

__version__ = "0.1.0"
