"""All evidence of one row: the best expected answer's, and what all of them say together."""

import operator
from collections.abc import Sequence
from typing import NamedTuple

from closedbook.eval.equivalence.evidence import pairs
from closedbook.eval.equivalence.evidence.answer import KINDS, Answer, Question
from closedbook.eval.equivalence.evidence.codes import Dates, Stands
from closedbook.eval.equivalence.evidence.pairs import Pair

NAMES = (
    *Pair._fields,
    "support_max", "support_mean", "support_second",
    "max_items_found", "max_like", "max_item", "max_initials", "max_support_date",
    "max_recall", "max_recall_new", "max_token_set", "max_partial", "max_ratio", "max_date",
    "min_date", "max_number", "max_surname", "max_contained", "best_number_ratio",
    "golds", "golds_found", "golds_found_share", "union_recall",
    "length", "content", "sentence", "items", "caps_other", "dates", "dates_other", "numbers",
    "numbers_other", "refusal", "hedges", "question_repeated", "question_length",
    *(f"asks_{kind.replace(' ', '_')}" for kind in KINDS),
)  # fmt: skip
"""The names of a row's values, in order."""


class Row(NamedTuple):
    """The evidence of one row."""

    values: list[float] | None  # None for a short prediction with which nothing agrees
    best: int  # the expected answer that fits best
    pair: Pair  # its evidence


_top = operator.attrgetter(
    *("items_found", "like", "item", "initials", "recall", "recall_new", "token_set", "partial"),
    *("ratio", "date", "number", "surname", "contained"),
)
"""What is also weighed by its greatest value of all expected answers."""
_ASKS = {kind: [float(kind == other) for other in KINDS] for kind in KINDS}
SHORT = 8
"""Words of an answer up to which it is read as one phrase, not as a sentence."""
NOTHING_ROW = Row(None, 0, Pair())
NOTHING = 0.3
"""The support of an expected answer with which nothing agrees."""
_DATES = {
    Dates.NONE: 0.0,
    Dates.CONFLICT: -0.6,
    Dates.NEAR: -0.4,
    Dates.OVERLAP: 0.1,
    Dates.COARSER: 0.3,
    Dates.FINER: 0.6,
    Dates.SAME: 0.8,
}
FOUND = 0.85
"""The recall from which an expected answer counts as found."""


def support(pair: Pair) -> float:
    """A rough score by which the expected answers are ranked; higher is better."""
    value = pair.recall + 0.5 * max(pair.recall_new, 0.0) + 0.3 * pair.precision
    value += (
        0.35 * (pair.contained >= Stands.STEMS)
        + 0.2 * (pair.within >= Stands.STEMS)
        + 0.3 * pair.acronym
    )
    value += 0.5 * pair.ratio
    value += _DATES[pair.date]
    if pair.number >= 0:
        value += pair.number - 0.5 + 0.2 * (pair.number == 1 and pair.rest == 0)
    return value


def of(question: Question, golds: Sequence[Answer], given: Answer) -> Row:
    """The evidence of a row; at least one expected answer."""
    pairs_found = [pairs.compare(question, gold, given) for gold in golds]
    compared = [pair for pair in pairs_found if pair is not None]
    scores = [NOTHING if pair is None else support(pair) for pair in pairs_found]
    if not compared and len(given.words) <= SHORT:
        return NOTHING_ROW
    most = max(scores)
    best = scores.index(most)
    pair = pairs_found[best] or pairs.nothing(question, golds[best], given)
    weights = given.weights
    top = _top(pair)
    if len(compared) > 1:
        top = tuple(map(max, zip(*map(_top, compared), strict=True)))
    union = golds[0].weights
    mean, second, union_recall = most, -1.0, pair.recall_exact
    if len(golds) > 1:
        mean, second = sum(scores) / len(scores), sorted(scores)[-2]
        union = {}
        for gold in golds:
            union.update(gold.weights)
        if compared:
            shared = sum([weight for stem, weight in union.items() if stem in weights])
            union_recall = shared / (sum(union.values()) or 1.0)
    if len(compared) == 1:
        only = compared[0]
        found = int(only.recall >= FOUND)
        least_date, least_ratio = only.date, only.number_ratio
        sure = only.date if only.contained >= Stands.STEMS else Dates.NONE
    else:
        found = sum([other.recall >= FOUND for other in compared])
        dated = [other.date for other in compared if other.date != Dates.NONE]
        least_date = min(dated, default=Dates.NONE)
        ratios = [other.number_ratio for other in compared if other.number_ratio >= 0]
        least_ratio = min(ratios, default=-1.0)
        held = [other.date for other in compared if other.contained >= Stands.STEMS]
        sure = max(held, default=Dates.NONE)
    asked = question.keys
    caps_other = 0
    for cap in given.caps:
        if cap not in union and cap not in asked:
            caps_other += 1
    repeated = len(asked & weights.keys()) / len(asked) if asked else 0.0
    numbers_other = 0
    if given.numbers:
        expected = {number.value for gold in golds for number in gold.numbers}
        numbers_other = sum([number.value not in expected for number in given.numbers])
    length = len(given.words)
    dates_other = len(given.dates) - (pair.date >= Dates.COARSER)
    values = [
        *pair,
        most, mean, second,
        *top[:4], sure,
        *top[4:10],
        least_date, *top[10:], least_ratio,
        len(golds), found, found / len(golds), union_recall,
        length, len(given.content), length > 7, len(given.items), caps_other,
        len(given.dates), dates_other, len(given.numbers), numbers_other,
        given.refusal, given.hedges, repeated, question.length,
        *_ASKS[question.kind],
    ]  # fmt: skip
    return Row(values, best, pair)
