"""Which errors of a predictions file are errors, and how two files differ."""

from closedbook.eval.analysis.analysis import Analysis, analyze

__all__ = ["Analysis", "analyze"]
