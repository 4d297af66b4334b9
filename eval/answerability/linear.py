"""A logistic regression on named features, kept as a table that a reader can check.

The file has a head of `# name: value` lines and then one feature a line: the feature, a tab, its
weight. A positive weight speaks for the label. The probability of a text with features F and
n words is

    1 / (1 + exp(-(bias + sum of the weights of F / sqrt(n + 2))))

so that long texts do not decide more surely than short ones for having more features.
"""

import dataclasses
import functools
import itertools
import math
import os
import pathlib
from collections.abc import Iterable, Mapping

from closedbook import whole_files
from closedbook.errors import UserError

FOLDER = pathlib.Path(__file__).parent / "weights"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Linear:
    """Weights by feature, with the bias and the probability from which on the label is given."""

    label: str
    version: str
    source: str  # what it was learned from
    bias: float
    threshold: float  # a probability
    weights: Mapping[str, float]

    def probability(self, features: Iterable[str], n_words: int, shift: float = 0.0) -> float:
        """The probability of the label, 0 to 1; `shift` is further evidence, in log-odds.

        >>> model = Linear(
        ...     label="l", version="1", source="", bias=0.0, threshold=0.5, weights={"now": 2.0}
        ... )
        >>> model.probability(["now"], 2), model.probability([], 7)
        (0.7310585786300049, 0.5)
        """
        total = sum(map(self.weights.get, features, itertools.repeat(0.0)))
        return _logistic(self.bias + shift + total / math.sqrt(n_words + 2))

    def contributions(self, features: Iterable[str]) -> list[tuple[str, float]]:
        """The features that have a weight, the strongest support first; ties by name."""
        known = [(name, self.weights[name]) for name in features if name in self.weights]
        return sorted(known, key=lambda pair: (-pair[1], pair[0]))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes the table; an existing file is replaced at once or not at all."""
        head = {
            "label": self.label,
            "version": self.version,
            "source": self.source,
            "bias": f"{self.bias:.4f}",
            "threshold": f"{self.threshold:.4f}",
        }
        lines = [f"# {name}: {value}" for name, value in head.items()]
        # By name, so that two versions can be compared line by line.
        lines.extend(f"{name}\t{weight:.3f}" for name, weight in sorted(self.weights.items()))
        whole_files.write_text(path, "\n".join(lines) + "\n")


def _logistic(score: float) -> float:
    if score < -700:  # exp would overflow
        return 0.0
    return 1 / (1 + math.exp(-score))


def read(path: str | os.PathLike[str]) -> Linear:
    """Reads a table written by `Linear.write`.

    Raises:
        UserError: The file is missing, or a line is not as it should be.
    """
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the weights {os.fspath(path)}: {error}") from error
    head: dict[str, str] = {}
    weights: dict[str, float] = {}
    for number, line in enumerate(text.splitlines(), 1):
        try:
            if line.startswith("# "):
                name, value = line[2:].split(": ", 1)
                head[name] = value
            else:
                name, value = line.split("\t")
                weights[name] = float(value)
        except ValueError as error:
            raise UserError(
                f"{os.fspath(path)}:{number}: {line[:80]!r} is neither '# name: value' nor a"
                " feature, a tab and a number; learn the weights again"
            ) from error
    try:
        return Linear(
            label=head["label"],
            version=head["version"],
            source=head["source"],
            bias=float(head["bias"]),
            threshold=float(head["threshold"]),
            weights=weights,
        )
    except (KeyError, ValueError) as error:
        raise UserError(
            f"{os.fspath(path)}: the head lacks a good value of {error}; learn the weights again"
        ) from error


@functools.cache
def shipped(label: str) -> Linear:
    """The weights that come with the package, read once."""
    return read(FOLDER / f"{label}.tsv")
