"""All that is weighed of one row: what the prediction asserts, its evidence and its bounds."""

from collections.abc import Sequence
from typing import NamedTuple

from closedbook.eval.equivalence import bounds
from closedbook.eval.equivalence.bounds import Bounds
from closedbook.eval.equivalence.evidence import answer, features, text
from closedbook.eval.equivalence.evidence.answer import Answer, Question
from closedbook.eval.equivalence.evidence.features import Row
from closedbook.eval.equivalence.reading import alternatives, read
from closedbook.eval.equivalence.reading.read import Reading
from closedbook.eval.equivalence.reasons import Reason

PHRASE = 12
"""Words of a text up to which only what it affirms is judged; of a longer one where it matters."""


class Collected(NamedTuple):
    """A row taken apart."""

    question: Question
    golds: Sequence[Answer]
    gold: Answer  # the one that fits best
    given: Answer  # what the prediction asserts
    row: Row
    bounds: Bounds
    outside: Reason | None  # why a part of the prediction is not asserted; None if all of it is


def collect(question: str, answers: Sequence[str], prediction: str) -> Collected:
    """Reads the prediction and takes the evidence.

    Args:
        question: The question.
        answers: Every acceptable answer, one at least.
        prediction: The prediction.
    """
    asked = answer.parse_question(question)
    golds = [answer.parse(gold[: text.LIMIT]) for gold in answers]
    reading = read.read(prediction, question)
    given, outside = _asserted(asked, golds, reading)
    if _refused(asked, golds, reading, given):
        held = Bounds(0.0, 0.05, Reason.REFUSAL, True)
        return Collected(asked, golds, golds[0], given, features.NOTHING_ROW, held, None)
    if outside is not None:
        every = answer.parse(prediction[: text.LIMIT])
        if not any(_taken_away(asked, gold, every, given) for gold in golds):
            outside = None
    if (
        outside is Reason.NEGATION
        and any(_broken(gold, reading, given) for gold in golds)
        and not any(gold.keys <= given.keys for gold in golds)
    ):
        found = features.of(asked, golds, given)
        held = Bounds(0.0, 0.1, Reason.NEGATION, True)
        return Collected(asked, golds, golds[found.best], given, found, held, outside)
    if not given.words:
        held = Bounds(0.0, 0.05)
        return Collected(asked, golds, golds[0], given, features.NOTHING_ROW, held, outside)
    found = features.of(asked, golds, given)
    listed = reading.alternatives if _may_list(golds, found, reading) else alternatives.NONE
    held = bounds.find(asked, golds, given, found, listed)
    return Collected(asked, golds, golds[found.best], given, found, held, outside)


def _refused(question: Question, golds: Sequence[Answer], reading: Reading, given: Answer) -> bool:
    """Whether nothing is left that might answer, or only a text's word that it does not know."""
    whole = answer.parse(reading.text)
    if not whole.words:
        return True
    if not whole.refusal or any(gold.refusal for gold in golds):
        return False
    return all(given.stems[place] in question.keys for place in given.content)


def _asserted(
    question: Question, golds: Sequence[Answer], reading: Reading
) -> tuple[Answer, Reason | None]:
    """The part of the text that is judged, and why it is not all of it."""
    whole = answer.parse(reading.text)
    outside = Reason.NOT_ASSERTED if reading.cut else None
    if not reading.doubtful or any(gold.negated for gold in golds):
        return whole, outside
    if len(whole.words) > PHRASE and not any(_stands(question, gold, whole) for gold in golds):
        return whole, outside
    if reading.named is reading.text:
        return whole, outside
    if reading.affirmed is not reading.text:
        affirmed = answer.parse(reading.affirmed)
        touched = any(_taken_away(question, gold, whole, affirmed) for gold in golds)
        if touched or (affirmed.words and len(whole.words) <= PHRASE):
            whole, outside = affirmed, Reason.NEGATION
    if reading.named is not reading.affirmed:
        named = answer.parse(reading.named)
        if any(_gone(question, gold, whole, named) for gold in golds):
            return named, Reason.NOT_ASSERTED
    return whole, outside


def _may_list(golds: Sequence[Answer], row: Row, reading: Reading) -> bool:
    """Whether it matters if the text is a list of guesses: it holds an expected answer, or many."""
    if not all(gold.raw.isascii() for gold in golds):
        return True
    if row.values is None:
        return False
    whole = answer.parse(reading.text)
    for gold in golds:
        if gold.weights.keys() <= whole.weights.keys() or gold.flags & whole.flags & text.NUMBER:
            return True
    return alternatives.many(reading.text)


def _stands(question: Question, gold: Answer, whole: Answer) -> bool:
    """Whether an expected word stands in the text at all."""
    held = whole.weights.keys()
    return not held.isdisjoint(gold.weights) and not held.isdisjoint(_new(question, gold))


def _new(question: Question, gold: Answer) -> list[str]:
    """The expected words that are not asked; all of them where none is left."""
    return [stem for stem in gold.weights if stem not in question.keys] or list(gold.weights)


def _taken_away(question: Question, gold: Answer, whole: Answer, rest: Answer) -> bool:
    """Whether any expected word stands in what is left out alone."""
    kept = rest.weights
    return any(stem in whole.weights and stem not in kept for stem in _new(question, gold))


def _broken(gold: Answer, reading: Reading, rest: Answer) -> bool:
    """Whether the expected words stand in a row, and the denial took a part of them: "Not Peter,
    Paul and Mary"."""
    if len(gold.words) < 2 or gold.plain in rest.plain:
        return False
    return f" {gold.plain} " in f" {answer.parse(reading.text).plain} "


def _gone(question: Question, gold: Answer, whole: Answer, rest: Answer) -> bool:
    """Whether all expected words that are found stand in what is left out alone."""
    found = [stem for stem in _new(question, gold) if stem in whole.weights]
    return bool(found) and all(stem not in rest.weights for stem in found)
