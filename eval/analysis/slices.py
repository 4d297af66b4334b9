"""Parts of a predictions file that may score differently: each with n, EM and adjusted score."""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence

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

SLICES: Mapping[str, Sequence[str]] = {
    "question word": (*_QUESTION_WORDS, "other"),
    "answer type": tuple(str(kind) for kind in AnswerType),
    "answer length": _LENGTHS,
    "met in training": tuple(str(met) for met in Met),
    "subject popularity": _DECADES,
    "object popularity": _DECADES,
    "confidence": _FIFTHS,
}
"""Every slice with its values, in the order of tables."""


def assign(
    rows: Sequence[Prediction], *, training: TrainingSet | None = None
) -> list[dict[str, str]]:
    """Says of each row which part it belongs to in each slice; what is not known is left out.

    "met in training" needs a training set; popularity the keys s_pop and o_pop in a row's meta,
    or beside it, as PopQA has them (monthly page views); confidence, in fifths of the rows
    that state one, what `closedbook.eval.analysis.confidence.read` finds.
    """
    fifths = _fifths(rows)
    result = []
    for row, fifth in zip(rows, fifths, strict=True):
        parts = {
            "question word": question_word(row.question),
            "answer type": str(answer_type(row.question, row.answers)),
            "answer length": _length(row.answers),
        }
        if training is not None:
            parts["met in training"] = str(training.overlap(row.question, row.answers).met)
        for name, key in (("subject popularity", "s_pop"), ("object popularity", "o_pop")):
            decade = _decade(row.meta.get(key, row.extra.get(key)))
            if decade is not None:
                parts[name] = decade
        if fifth is not None:
            parts["confidence"] = fifth
        result.append(parts)
    return result


@dataclasses.dataclass(frozen=True, kw_only=True)
class SliceScore:
    """Exact match and adjusted score of one part of the rows."""

    slice: str  # a key of `SLICES`
    value: str  # one of its values
    n: int
    em: Estimate
    adjusted: Estimate


def table(parts: Sequence[Mapping[str, str]], rows: kinds.SortedRows) -> list[SliceScore]:
    """The scores of every part that has rows, in the order of `SLICES`.

    Args:
        parts: Of each row, from `assign`.
        rows: The same rows, from `closedbook.eval.analysis.kinds.sort`.
    """
    scores = []
    for name, values in SLICES.items():
        column = np.array([row.get(name, "") for row in parts])
        for value in values:
            group = column == value
            if not group.any():
                continue
            found = kinds.estimates(rows, group)
            scores.append(
                SliceScore(slice=name, value=value, n=found.n, em=found.em, adjusted=found.adjusted)
            )
    return scores


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
