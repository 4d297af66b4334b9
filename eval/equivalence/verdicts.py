"""Whether a prediction says the same as an expected answer, in other words or the same.

A verdict is a probability with a reason. Its evidence is taken from the texts alone (dates,
numbers, names, words: `closedbook.eval.equivalence.evidence`); the weights of that evidence are
learned from human judgements, or, in the mode "rules", written by hand.
"""

import contextlib
import dataclasses
import functools
import gc
import pathlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from closedbook.errors import UserError, unknown_name
from closedbook.eval import normalize
from closedbook.eval.equivalence import collected, explain, rules, trees
from closedbook.eval.equivalence.bounds import signs
from closedbook.eval.equivalence.collected import Collected
from closedbook.eval.equivalence.evidence import answer, features, text
from closedbook.eval.equivalence.reasons import Grade, Reason
from closedbook.eval.summary import Answered

MODES = ("learned", "rules")
RULES_THRESHOLD = 0.5
WEIGHTS = pathlib.Path(__file__).parent / "weights" / "equivalence.json"
EXACT = 0.99
"""The probability of an exact match: of those, humans accept 99.8% (EVOUNA, 1,822 rows)."""
LIMIT = text.LIMIT
_LONG = 60  # characters of a prediction that may be told from all answers by its beginning


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether two answers say the same."""

    equivalent: bool
    probability: float  # that a human judge would say so
    reason: str  # a code of `closedbook.eval.equivalence.reasons.Reason`
    evidence: str  # the words that show the reason

    @property
    def grade(self) -> Grade:
        """SimpleQA's three ways: correct, incorrect, not attempted."""
        if self.equivalent:
            return Grade.CORRECT
        attempted = self.reason not in (Reason.REFUSAL, Reason.EMPTY)
        return Grade.INCORRECT if attempted else Grade.NOT_ATTEMPTED


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Row:
    question: str
    answers: Sequence[str]
    prediction: str


def judge(
    question: str, answers: str | Sequence[str], prediction: str, *, mode: str = "learned"
) -> Verdict:
    """Judges one prediction against the acceptable answer that fits best.

    Args:
        question: The question; may be empty.
        answers: Every acceptable answer; a string is one answer.
        prediction: The model's answer, short or a long text.
        mode: "learned", or "rules", which needs no weights.

    Raises:
        UserError: There are no answers, or the mode is unknown.

    >>> verdict = judge("when was it founded", ["April 15"], "April 15th", mode="rules")
    >>> verdict.equivalent, verdict.reason, verdict.evidence
    (True, 'date', "date: 'april 15' and 'april 15th' name the same time")
    """
    answers = (answers,) if isinstance(answers, str) else answers
    return judge_all([_Row(question=question, answers=answers, prediction=prediction)], mode=mode)[
        0
    ]


def judge_all(rows: Iterable[Answered], *, mode: str = "learned") -> list[Verdict]:
    """Judges many predictions at once, which is faster than one by one; see `judge`."""
    if mode not in MODES:
        raise unknown_name("mode", mode, MODES)
    with _collector_at_rest():
        return _judged(rows, mode)


@contextlib.contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Keeps Python's garbage collector off while many answers are made.

    It looks for objects that refer to one another in a circle. Answers never do, and the search
    takes a third of the judge's time.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            if not gc.get_freeze_count():
                # Both together mark what was made as old, so that the next search passes it over.
                gc.freeze()
                gc.unfreeze()
            gc.enable()


def _judged(rows: Iterable[Answered], mode: str) -> list[Verdict]:
    verdicts: list[Verdict | None] = []
    places: list[int] = []
    open_rows: list[Collected] = []
    for place, row in enumerate(rows):
        if not len(row.answers):
            raise UserError(
                f"row {place + 1} ({row.question[:80]!r}) has no acceptable answers; give at "
                "least one, or leave it out"
            )
        verdict = plain(row)
        verdicts.append(verdict)
        if verdict is None:
            places.append(place)
            open_rows.append(collected.collect(row.question, row.answers, row.prediction))
    least = threshold(mode)
    weighed = _probabilities(open_rows, mode)
    for place, found, probability in zip(places, open_rows, weighed, strict=True):
        verdicts[place] = _verdict(found, probability, least)
    return [verdict for verdict in verdicts if verdict is not None]


def threshold(mode: str = "learned") -> float:
    """The least probability of an equivalent answer."""
    return RULES_THRESHOLD if mode == "rules" else weights().decision


@functools.cache
def weights() -> trees.Trees:
    """The learned weights, as they are shipped."""
    return trees.load(WEIGHTS, features.NAMES)


def plain(row: Answered) -> Verdict | None:
    """The verdict where exact match or a lack of words decides; None for all other rows."""
    prediction = row.prediction[:LIMIT]
    if len(prediction) > _LONG and _longer(prediction, row.answers):
        return None
    squad = normalize.squad(prediction)
    if not squad:
        return _wordless(row)
    for gold in row.answers:
        if gold == prediction or (
            normalize.squad(gold[:LIMIT]) == squad and not _lost(gold[:LIMIT], prediction)
        ):
            evidence = f"{explain.quote(gold)} is the answer after SQuAD's normaliser"
            return Verdict(
                equivalent=True, probability=EXACT, reason=Reason.EXACT.value, evidence=evidence
            )
    return None


def _longer(prediction: str, answers: Sequence[str]) -> bool:
    """Whether the first words of a prediction alone are longer than any answer.

    Normalising makes a text longer only where a small letter is longer than its capital.
    """
    longest = max([len(gold) if gold.isascii() else 3 * len(gold) for gold in answers])
    end = prediction.find(" ", 2 * longest + _LONG // 2)
    return end > 0 and len(normalize.squad(prediction[:end])) > longest


def _lost(gold: str, prediction: str) -> bool:
    """Whether SQuAD's normaliser deleted what tells two answers apart: 1.5 and 15, C++ and C#."""
    if signs.letters_lost(gold, prediction):
        return True
    if not signs.MARKS.search(gold) and not signs.MARKS.search(prediction):
        return False
    a, b = answer.parse(gold), answer.parse(prediction)
    if signs.conflict(a.folded, b.folded):
        return True
    values = [{number.value for number in each.numbers} for each in (a, b)]
    points = "." in gold or "." in prediction or "^" in gold or "^" in prediction
    negative = any(value < 0 for found in values for value in found)
    return (points or negative) and values[0] != values[1]


def _wordless(row: Answered) -> Verdict:
    """SQuAD's normaliser leaves nothing: articles and signs must equal an answer's."""
    shown = row.prediction.strip()
    letters = _letters(shown)
    same = bool(shown) and any(
        shown == gold.strip()
        or (letters and letters == _letters(gold) and not signs.conflict(gold, shown))
        for gold in row.answers
    )
    if any(signs.conflict(gold, shown) for gold in row.answers):
        reason, evidence = Reason.SIGN_CONFLICT, f"{explain.quote(shown)} has another sign"
    elif letters:
        reason, evidence = Reason.DIFFERENT, f"{explain.quote(shown)} is none of the answers"
    else:
        reason, evidence = Reason.EMPTY, "the prediction has no words"
    return Verdict(
        equivalent=same,
        probability=EXACT if same else 1 - EXACT,
        reason=(Reason.EXACT if same else reason).value,
        evidence="the same signs" if same else evidence,
    )


def _letters(text: str) -> str:
    return "".join(letter for letter in text if letter.isalnum()).lower()


def _probabilities(rows: Sequence[Collected], mode: str) -> Sequence[float]:
    if mode == "rules":
        return [rules.probability(row.question, row.gold, row.given, row.row) for row in rows]
    learned = weights()
    values = [row.row.values for row in rows if row.row.values is not None]
    if not values:
        return [learned.nothing] * len(rows)
    weighed = iter(learned.probability(np.array(values, np.float32)).tolist())
    return [learned.nothing if row.row.values is None else next(weighed) for row in rows]


def _verdict(found: Collected, probability: float, decision: float) -> Verdict:
    low, high, reason, sure = found.bounds
    held = min(max(probability, low), high)
    equivalent = held >= decision
    if reason is not None and (low > 0) != equivalent:
        reason = None
    elif held == probability and not sure:
        reason = None  # the weights said so themselves, and may know a better reason
    if found.outside is not None and not equivalent and reason in (None, Reason.NOT_ASSERTED):
        reason = found.outside
    code, evidence = explain.explain(found.gold, found.given, found.row, equivalent, reason)
    if len(found.given.raw) >= LIMIT:
        evidence += f" (only the first {LIMIT:,} characters are read)"
    return Verdict(equivalent=equivalent, probability=held, reason=code._value_, evidence=evidence)
