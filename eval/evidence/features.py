"""All evidence of one row: the best expected answer's, and what all of them say together."""

from collections.abc import Sequence
from typing import NamedTuple

from closedbook.eval.evidence import pairs
from closedbook.eval.evidence.answer import KINDS, Answer, Question
from closedbook.eval.evidence.pairs import Pair

NAMES = (
    *Pair._fields,
    "support_max", "support_mean", "support_second",
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

    values: list[float]
    best: int  # the expected answer that fits best
    pair: Pair  # its evidence


def support(pair: Pair) -> float:
    """A rough score by which the expected answers are ranked; higher is better."""
    value = pair.recall + 0.5 * max(pair.recall_new, 0.0) + 0.3 * pair.precision
    value += 0.35 * (pair.contained >= 2) + 0.2 * (pair.within >= 2) + 0.3 * pair.acronym
    value += 0.5 * pair.ratio
    if pair.date >= 0:
        value += (-0.6, -0.4, 0.1, 0.3, 0.6, 0.8)[int(pair.date)]
    if pair.number >= 0:
        value += 1.0 * pair.number - 0.5
    return value


def of(question: Question, golds: Sequence[Answer], given: Answer) -> Row:
    """The evidence of a row; at least one expected answer."""
    compared = [pairs.compare(question, gold, given) for gold in golds]
    scores = [support(pair) for pair in compared]
    best = max(range(len(scores)), key=scores.__getitem__)
    pair = compared[best]
    found = sum(p.recall >= 0.85 for p in compared)
    ranked = sorted(scores, reverse=True)
    union: dict[str, float] = {}
    for gold in golds:
        union.update(gold.weights)
    union_total = sum(union.values()) or 1.0
    shared = sum(weight for stem, weight in union.items() if stem in given.weights)
    dated = [p.date for p in compared if p.date >= 0]
    ratios = [p.number_ratio for p in compared if p.number_ratio >= 0]
    caps_other = len(given.caps - question.keys - union.keys())
    repeated = len(question.keys & given.weights.keys()) / (len(question.keys) or 1)
    gold_numbers = {n.value for gold in golds for n in gold.numbers}
    values = [
        *pair,
        ranked[0], sum(ranked) / len(ranked), ranked[1] if len(ranked) > 1 else -1.0,
        max([p.recall for p in compared]),
        max([p.recall_new for p in compared]),
        max([p.token_set for p in compared]),
        max([p.partial for p in compared]),
        max([p.ratio for p in compared]),
        max(dated, default=-1.0),
        min(dated, default=-1.0),
        max([p.number for p in compared]),
        max([p.surname for p in compared]),
        max([p.contained for p in compared]),
        min(ratios, default=-1.0),
        len(golds), found, found / len(golds), shared / union_total,
        len(given.text.words), len(given.text.content),
        float(len(given.text.words) > 7), given.items, caps_other,
        len(given.dates),
        len(given.dates) - (pair.date >= 3),
        len(given.numbers),
        sum(n.value not in gold_numbers for n in given.numbers),
        float(given.refusal), given.hedges, repeated, question.length,
        *[float(question.kind == kind) for kind in KINDS],
    ]  # fmt: skip
    return Row(values, best, pair)
