"""How rare a word is: common words say little about whether two answers are the same."""

import functools
import json
import pathlib

_FILE = pathlib.Path(__file__).parent.parent / "weights" / "word_weights.json"
RAREST = 10.0
"""The weight of a word that the table does not hold."""


@functools.cache
def table() -> dict[str, float]:
    """Each stem's weight, from 1 (in every second text) up.

    >>> table()["season"] < RAREST
    True
    """
    rows = json.loads(_FILE.read_text(encoding="utf-8"))["words"]
    return {word: float(weight) for weight, words in rows.items() for word in words.split()}
