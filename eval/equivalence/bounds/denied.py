"""Expected answers that deny the question themselves: never made, nobody won it."""

from closedbook.eval.equivalence.bounds.case import Bounds, Case, against, agreeing
from closedbook.eval.equivalence.evidence import words
from closedbook.eval.equivalence.evidence.answer import Answer
from closedbook.eval.equivalence.reasons import Reason


def find(case: Case) -> Bounds | None:
    """Whether a short prediction denies the same, or says what the expected answer denies."""
    gold, given = case.gold, case.given
    if not gold.negated or not case.short or _is_title(gold):
        return None
    denied = _rest(gold)
    if not denied:
        return None
    if given.negated:
        return agreeing(Reason.SAME_SIDE) if denied == _rest(given) else None
    if any(not other.negated for other in case.golds):
        return None
    return against(Reason.NEGATION) if "never" in gold.words and denied <= _rest(given) else None


def _rest(answer: Answer) -> frozenset[str]:
    """The stems of what is denied."""
    return frozenset(
        [
            answer.stems[place]
            for place in answer.content
            if answer.words[place] not in words.NEGATION
        ]
    )


def _is_title(gold: Answer) -> bool:
    """Whether a denying word may belong to a name: "Never Let Me Go"."""
    return sum(gold.capital[1:]) > 0
