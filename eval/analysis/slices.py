"""Parts of a predictions file that may score differently: each with n, EM and adjusted score."""

import dataclasses
import functools
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from closedbook.eval import normalize
from closedbook.eval.analysis import confidence, kinds
from closedbook.eval.analysis.answer_type import AnswerType, answer_type
from closedbook.eval.analysis.overlap import Met, TrainingSet
from closedbook.eval.intervals import Estimate
from closedbook.eval.predictions import Prediction

_QUESTION_WORDS = ("who", "what", "when", "where", "which", "how many", "how", "why")
_ALIKE = {"whom": "who", "whose": "who", "whos": "who", "whats": "what", "whens": "when"}
_ASKING = re.compile(r"\b(whom|whose|whos|whats|whens|who|what|when|where|which|how|why)\b")
_MANY = re.compile(r"\bhow (?:many|much)\b")
_LENGTHS = ("1 word", "2 words", "3 words", "4 or 5 words", "6 words or more")
_FIFTHS = ("1 (least)", "2", "3", "4", "5 (most)")
_DECADES = ("under 100", "100 to 999", "1,000 to 9,999", "10,000 to 99,999", "100,000 or more")
_MOST_CHARACTERS = 400  # of a question or an answer that are looked at
_MOST_VALUES = 20  # of a column of the file that is a slice
_MOST_COLUMNS = 20
_LONGEST_VALUE = 60  # characters
_OWN = ("task", "split", "step")  # fields of ours that may sort rows
_FIRST = ("task",)  # slices that stand before the others
OF_SYSTEMS = frozenset({"confidence", "step"})
"""Slices that say something of a system, not of a question."""

SLICES: Mapping[str, Sequence[str]] = {
    "question word": (*_QUESTION_WORDS, "other"),
    "answer type": tuple(str(kind) for kind in AnswerType),
    "answer length": _LENGTHS,
    "met in training": tuple(str(met) for met in Met),
    "subject popularity": _DECADES,
    "object popularity": _DECADES,
    "confidence": _FIFTHS,
}
"""Every slice that we make, with its values, in the order of tables."""


def assign(
    rows: Sequence[Prediction],
    *,
    training: TrainingSet | None = None,
    texts: Sequence[Mapping[str, str]] | None = None,
) -> list[Mapping[str, str]]:
    """Says of each row which part it belongs to in each slice; what is not known is left out.

    "met in training" needs a training set; popularity the keys s_pop and o_pop in a row's meta,
    or beside it, as PopQA has them (monthly page views); confidence, in fifths of the rows
    that state one, what `closedbook.eval.analysis.confidence.read` finds. The file's own columns
    are slices too, where they sort rows into a few groups: see `columns`.

    Args:
        rows: The predictions.
        training: For overlap.
        texts: Per row what `of_text` gives; None computes it.
    """
    own = columns(rows)
    result = []
    for row, text, fifth in zip(
        rows, map(of_text, rows) if texts is None else texts, _fifths(rows), strict=True
    ):
        parts = dict(text)
        if training is not None:
            parts["met in training"] = str(training.overlap(row.question, row.answers).met)
        if fifth is not None:
            parts["confidence"] = fifth
        for name, (place, key) in own.items():
            value = _category(_value(row, place, key))
            if value is not None:
                parts[name] = value
        result.append(_shared(tuple(parts.items())))
    return result


def of_text(row: Prediction) -> Mapping[str, str]:
    """The slices that a row has by itself."""
    parts = {
        "question word": question_word(row.question),
        "answer type": str(answer_type(row.question, row.answers)),
        "answer length": _length(row.answers),
    }
    for name, key in (("subject popularity", "s_pop"), ("object popularity", "o_pop")):
        decade = _decade(row.meta.get(key, row.extra.get(key)))
        if decade is not None:
            parts[name] = decade
    return _shared(tuple(parts.items()))


@functools.lru_cache(maxsize=1 << 16)
def _shared(items: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """Rows with the same parts share one mapping: a file has few."""
    return dict(items)


_Place = Literal["", "extra", "meta"]


def columns(rows: Sequence[Prediction]) -> dict[str, tuple[_Place, str]]:
    """The file's own columns that sort its rows into groups: name -> where it stands, and its key.

    These are task, split, step, and keys beside ours or in meta, whose values are texts, whole
    numbers, true or false: from two to twenty of them, each in two rows in the mean. At most
    twenty columns, the first of the file.
    """
    seen: dict[tuple[_Place, str], set[str] | None] = {
        ("", key): set() for key in ("task", "split", "step")
    }
    counts: Counter[tuple[_Place, str]] = Counter()
    for row in rows:
        for place, keys in (("", _OWN), ("extra", row.extra), ("meta", row.meta)):
            for key in keys:
                column: tuple[_Place, str] = (place, key)  # type: ignore[assignment]
                values = seen.setdefault(column, set())
                given = None if values is None else _value(row, *column)
                if values is None or given is None:
                    continue
                value = _category(given)
                if value is None:
                    seen[column] = None
                    continue
                counts[column] += 1
                values.add(value)
                if len(values) > _MOST_VALUES:
                    seen[column] = None
    found: dict[str, tuple[_Place, str]] = {}
    for (place, key), values in seen.items():
        if values is None or not 2 <= len(values) <= counts[place, key] / 2:
            continue
        name = next(n for n in _names(key, place) if n not in found and n not in SLICES)
        found[name] = (place, key)
        if len(found) == _MOST_COLUMNS:
            break
    return found


def _names(key: str, place: str) -> Iterator[str]:
    yield key
    yield f"{place or 'row'}.{key}"
    for number in itertools.count(2):
        yield f"{key} ({number})"


def _value(row: Prediction, place: _Place, key: str) -> object:
    if place == "extra":
        return row.extra.get(key)
    return row.meta.get(key) if place == "meta" else getattr(row, key)


def _category(value: object) -> str | None:
    """A value as the name of a group; None where it is none."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value) if abs(value) < 10**15 else None
    if isinstance(value, str) and len(value) <= _LONGEST_VALUE:
        return " ".join(value.split()) or None
    return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class SliceScore:
    """Exact match and adjusted score of one part of the rows."""

    slice: str  # a key of `SLICES`, or a column of the file
    value: str
    n: int
    em: Estimate
    adjusted: Estimate


def table(parts: Sequence[Mapping[str, str]], rows: kinds.SortedRows) -> list[SliceScore]:
    """The scores of every part that has rows: tasks first, then `SLICES`, then other columns.

    Args:
        parts: Of each row, from `assign`.
        rows: The same rows, from `closedbook.eval.analysis.kinds.sort`.
    """
    scores = []
    for name, values, codes in grouped(parts):
        for place, value in enumerate(values):
            found = kinds.estimates(rows, codes == place)
            scores.append(
                SliceScore(slice=name, value=value, n=found.n, em=found.em, adjusted=found.adjusted)
            )
    return scores


def grouped(
    parts: Sequence[Mapping[str, str]],
) -> Iterator[tuple[str, Sequence[str], np.ndarray]]:
    """Each slice with its values in the order of tables, and each row's place in them, or -1."""
    names = list(dict.fromkeys(name for row in parts for name in row))
    for name in (*(n for n in _FIRST if n in names), *(n for n in SLICES if n in names),
                 *(n for n in names if n not in _FIRST and n not in SLICES)):  # fmt: skip
        column = [row.get(name) for row in parts]
        there = Counter(value for value in column if value is not None)
        order = [value for value in SLICES.get(name, ()) if value in there]
        order += sorted(there.keys() - set(order), key=_natural)
        places = {value: place for place, value in enumerate(order)}
        yield name, order, np.array([-1 if value is None else places[value] for value in column])


def _natural(value: str) -> tuple[bool, int, str]:
    """Numbers in their order, before texts."""
    number = value.removeprefix("-").isdecimal()
    return (not number, int(value) if number else 0, value)


def question_word(question: str) -> str:
    """The word that asks: the first one, wherever it stands.

    >>> question_word("In what year did it end?"), question_word("how many legs has a spider")
    ('what', 'how many')
    >>> question_word("Whose book is this?"), question_word("capital of France")
    ('who', 'other')
    """
    text = question[:_MOST_CHARACTERS].lower()
    found = _ASKING.search(text)
    if found is None:
        return "other"
    word = found.group()
    if word == "how" and _MANY.match(text, found.start()):
        return "how many"
    return _ALIKE.get(word, word)


def _length(answers: Sequence[str]) -> str:
    """Words of the shortest gold answer, articles not counted."""
    short = (normalize.squad(answer[:_MOST_CHARACTERS]) for answer in answers)
    words = min(max(len(answer.split()), 1) for answer in short)
    return _LENGTHS[words - 1 if words <= 3 else 3 if words <= 5 else 4]


def _decade(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        return None
    return _DECADES[sum(value >= bound for bound in (100, 1000, 10_000, 100_000))]


def _fifths(rows: Sequence[Prediction]) -> list[str | None]:
    """The fifth of the rows in which each row's confidence lies; equal ones share a fifth."""
    result: list[str | None] = [None] * len(rows)
    found = confidence.read(rows)
    if found is None or len(np.unique(found.values)) < 2:
        return result
    order = np.sort(found.values)
    bounds = [order[math.ceil(len(order) * part / 5) - 1] for part in range(1, 5)]
    for row, fifth in zip(found.rows, np.searchsorted(bounds, found.values), strict=True):
        result[row] = _FIFTHS[fifth]
    return result
