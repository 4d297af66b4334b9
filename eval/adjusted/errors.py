"""How far a judge errs about a system that it has not seen: `errors.json`, measured by `learn`."""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

FILE = pathlib.Path(__file__).parent / "weights" / "errors.json"
WORDS = (5, 25)
"""Lengths of answers, in words, at which a judge's false alarms change their rate."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfLength:
    """A judge's errors among answers of like length that exact match calls wrong."""

    false_alarms: float  # share of the wrong ones that it accepts
    give: float  # by how much another system's share may differ, 95%
    least: float  # the least share that it accepts of any system's, flagged questions aside


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgeErrors:
    """A judge's errors over systems, each measured by a judge that had not seen the system."""

    weights: str | None  # of the judge measured
    systems: int
    # 95% half-widths, per sqrt(p (1 - p)): of the share accepted of answers that exact match calls
    # wrong, and of the score, for flagged questions are not quite those that have no answer.
    judge: float
    check: float
    lengths: Sequence[OfLength]  # up to WORDS[0], up to WORDS[1], more
    longest: int  # words that one answer in a hundred of the longest-winded system exceeds
    current: bool = True  # whether the judge still has these weights


def places(words: Sequence[int] | np.ndarray) -> np.ndarray:
    """The place in `JudgeErrors.lengths` of answers of so many words, [n]."""
    return np.searchsorted(WORDS, words, side="left")


@functools.cache
def _all() -> Mapping[str, JudgeErrors]:
    found = json.loads(FILE.read_text(encoding="utf-8"))["judges"]
    return {name: _errors(each) for name, each in found.items()}


def _errors(value: Mapping[str, Any]) -> JudgeErrors:
    return JudgeErrors(**{**value, "lengths": tuple(OfLength(**one) for one in value["lengths"])})


def load(judge: str, weights: str | None = None) -> JudgeErrors | None:
    """The errors of a judge; None of a judge whose errors nobody has measured.

    Args:
        judge: Its name.
        weights: The version of those that it has now.
    """
    found = _all().get(judge)
    return found and dataclasses.replace(found, current=weights == found.weights)
