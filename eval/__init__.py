"""Metrics and error analysis of predictions; needs neither JAX nor TensorFlow.

    from closedbook.eval import analyze, compare, judge, score

Each takes a path, a list of dicts, a DataFrame, a data set or an iterator of rows.
"""

from typing import TYPE_CHECKING

if __name__ == "eval":
    raise ImportError("import closedbook.eval, not eval: the folder is linked into the package")

if TYPE_CHECKING:
    from closedbook.eval.from_python import analyze, compare, judge, score

__all__ = ["analyze", "compare", "judge", "score"]


def __getattr__(name: str) -> object:
    """The four functions, imported at their first use: a metric alone starts at once."""
    if name in __all__:
        from closedbook.eval import from_python

        return getattr(from_python, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
