"""A small ensemble of decision trees that is read from JSON and needs only numpy."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from closedbook.errors import UserError

ROWS = 256
"""Rows walked at once: more would leave the processor's cache."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trees:
    """Boosted trees over named values, with the line that turns their sum into a probability.

    The nodes of all trees stand in one list. A node sends a row with `value <= threshold` to
    `child`, any other to `child + 1`; a leaf sends it to itself.
    """

    names: tuple[str, ...]  # of the values, in the order of a row
    roots: np.ndarray  # first node of each tree
    feature: np.ndarray
    threshold: np.ndarray  # inf at leaves
    child: np.ndarray
    value: np.ndarray  # added to the sum by a leaf, in log odds; 0 elsewhere
    base: float  # log odds before the first tree
    depth: int
    slope: float  # of the calibration: log odds = slope * sum + shift
    shift: float
    nothing: float  # the probability of a row with which nothing agrees
    decision: float  # the least probability of a positive

    def log_odds(self, rows: np.ndarray) -> np.ndarray:
        """The sum of all trees, before calibration; one row of values per row."""
        rows = np.ascontiguousarray(rows, np.float32)
        total = np.empty(len(rows))
        for start in range(0, len(rows), ROWS):
            part = rows[start : start + ROWS]
            offsets = np.arange(len(part))[:, None] * part.shape[1]
            flat = part.ravel()
            node = np.broadcast_to(self.roots, (len(part), len(self.roots)))
            for _ in range(self.depth):
                right = flat.take(offsets + self.feature.take(node)) > self.threshold.take(node)
                node = self.child.take(node) + right
            total[start : start + ROWS] = self.value.take(node).sum(axis=1)
        return total + self.base

    def probability(self, rows: np.ndarray) -> np.ndarray:
        """The calibrated probability of each row."""
        return 1 / (1 + np.exp(-(self.slope * self.log_odds(rows) + self.shift)))


def build(document: Mapping[str, Any]) -> Trees:
    """Builds the ensemble of a weights file.

    >>> tree = [["length", 3.5, 1], -1.0, 2.0]  # a split, and its two leaves from place 1 on
    >>> trees = build({"values": ["length"], "base": 0.5, "trees": [tree], "decision": 0.5,
    ...                "nothing": 0.1, "calibration": {"slope": 1.0, "shift": 0.0}})
    >>> trees.log_odds(np.array([[3.0], [4.0]])).tolist()
    [-0.5, 2.5]
    """
    names = tuple(document["values"])
    places = {name: place for place, name in enumerate(names)}
    roots: list[int] = []
    feature: list[int] = []
    threshold: list[float] = []
    child: list[int] = []
    value: list[float] = []
    for tree in document["trees"]:
        first = len(feature)
        roots.append(first)
        for place, node in enumerate(tree):
            leaf = not isinstance(node, Sequence)
            feature.append(0 if leaf else places[node[0]])
            threshold.append(np.inf if leaf else node[1])
            child.append(first + (place if leaf else node[2]))
            value.append(node if leaf else 0.0)
    return Trees(
        names=names,
        roots=np.array(roots, np.intp),  # what numpy takes without converting
        feature=np.array(feature, np.intp),
        threshold=np.array(threshold, np.float32),
        child=np.array(child, np.intp),
        value=np.array(value),
        base=float(document["base"]),
        depth=max(map(_depth, document["trees"]), default=0),
        slope=float(document["calibration"]["slope"]),
        shift=float(document["calibration"]["shift"]),
        nothing=float(document["nothing"]),
        decision=float(document["decision"]),
    )


def load(path: pathlib.Path, names: Sequence[str]) -> Trees:
    """Reads a weights file, as `closedbook.eval.equivalence.learn` writes it.

    Args:
        path: The file.
        names: The values that a row will have, in order.

    Raises:
        UserError: The file cannot be read, is no such file, or is of other values.
    """
    remedy = "learn the weights again (python -m closedbook.eval.equivalence.learn), or reinstall"
    try:
        found = build(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(f"cannot read the weights {path}: {error.strerror}; {remedy}") from error
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        fault = f"{type(error).__name__}: {error}"[:200]
        raise UserError(f"{path} does not hold the judge's weights ({fault}); {remedy}") from error
    if found.names != tuple(names):
        strange = sorted(set(found.names) ^ set(names))
        raise UserError(
            f"{path} weighs {len(found.names)} values where this version has {len(names)}; "
            f"{'only one has ' + ', '.join(strange[:5]) if strange else 'their order differs'}; "
            f"{remedy}"
        )
    return found


def _depth(tree: Sequence[Any], place: int = 0) -> int:
    node = tree[place]
    if not isinstance(node, Sequence):
        return 0
    return 1 + max(_depth(tree, node[2]), _depth(tree, node[2] + 1))
