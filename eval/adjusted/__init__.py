"""The adjusted score: what an accepted answer counts, and how far judge and check may err."""

from closedbook.eval.adjusted.errors import load
from closedbook.eval.adjusted.of_file import of_file

__all__ = ["load", "of_file"]
