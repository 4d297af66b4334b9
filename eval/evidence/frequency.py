"""How rare a word is: common words say little about whether two answers are the same."""

import functools
import json
import pathlib

_FILE = pathlib.Path(__file__).parent.parent / "weights" / "word_weights.json"
RAREST = 10.0
"""The weight of a word that the table does not hold."""


@functools.cache
def _table() -> dict[str, float]:
    rows = json.loads(_FILE.read_text(encoding="utf-8"))["words"]
    return {word: float(weight) for weight, words in rows.items() for word in words.split()}


def weight(stem: str) -> float:
    """The weight of a stem, from 1 (in most texts) to `RAREST`.

    >>> weight("season") < weight("narmada")
    True
    """
    return _table().get(stem, RAREST)
