"""Means and intervals over seeds and questions."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

_DRAWS = 4000


class Estimate(NamedTuple):
    """A mean with its 95% interval, in per cent or points, and the values of the seeds."""

    mean: float
    low: float
    high: float
    seeds: tuple[float, ...]

    def __str__(self) -> str:
        return f"{self.mean:.1f} [{self.low:.1f}, {self.high:.1f}]"


class Results:
    """The results of all cells, to be asked for by corpus, test, size and objective."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._right: dict[tuple[str, str, str, str], list[list[int]]] = {}
        self.parameters: dict[tuple[str, str], int] = {}
        self.rows = rows
        for row in sorted(rows, key=lambda row: row["seed"]):
            self.parameters[row["corpus"], row["size"]] = row["parameters"]
            for test, found in row["tests"].items():
                key = row["corpus"], test, row["size"], row["objective"]
                self._right.setdefault(key, []).append(found["right"])

    def tests(self) -> list[tuple[str, str]]:
        """(corpus, test) pairs."""
        return list(dict.fromkeys((corpus, test) for corpus, test, _, _ in self._right))

    def count(self, corpus: str, test: str) -> int:
        """Questions of a test."""
        return next(len(v[0]) for k, v in self._right.items() if k[:2] == (corpus, test))

    def right(self, corpus: str, test: str, size: str, objective: str) -> np.ndarray:
        """Float [seeds, questions]: 1 where the answer was right."""
        return np.asarray(self._right[corpus, test, size, objective], np.float64)

    def score(self, corpus: str, test: str, size: str, objective: str) -> Estimate:
        """Exact match."""
        return estimate(self.right(corpus, test, size, objective))


def estimate(values: np.ndarray, *, seed: int = 0) -> Estimate:
    """The mean of values [seeds, questions] from 0 to 1 (or of differences), in per cent.

    The interval is the percentile bootstrap's that draws seeds and questions anew at once, so
    that both another run and other questions of the kind are within what it promises. (With three
    seeds it is a little too narrow: they are few to draw from.)
    """
    generator = np.random.default_rng(seed)
    seeds, questions = values.shape
    drawn = generator.multinomial(questions, np.full(questions, 1 / questions), _DRAWS)
    by_seed = drawn @ values.T / questions  # [draws, seeds]
    weights = generator.multinomial(seeds, np.full(seeds, 1 / seeds), _DRAWS) / seeds
    means = (by_seed * weights).sum(axis=1) * 100
    low, high = np.percentile(means, [2.5, 97.5])
    per_seed = tuple(float(each) for each in values.mean(axis=1) * 100)
    return Estimate(float(values.mean() * 100), float(low), float(high), per_seed)
