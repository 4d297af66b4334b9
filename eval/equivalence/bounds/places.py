"""Places of one name: Paris, Texas; Portland, Maine; and several cities in a row."""

from closedbook.eval.equivalence.bounds.case import Bounds, Case, against
from closedbook.eval.equivalence.evidence import places
from closedbook.eval.equivalence.evidence.answer import Answer
from closedbook.eval.equivalence.reasons import Reason


def find(case: Case) -> Bounds | None:
    """Another place of the expected name."""
    gold, given = case.gold, case.given
    if not given.commas or len(given.words) > 6 or len(gold.words) > 6:
        return None
    expected, found = parts(gold), parts(given)
    if len(found) < 2 or not expected or expected[0] != found[0]:
        return None
    if len(expected) > 1:
        apart = any(places.apart(mine, theirs) for mine in expected[1:] for theirs in found[1:])
        shared = set(expected[1:]) & set(found[1:])
        return against(Reason.NAME_CONFLICT) if apart and not shared else None
    known = case.question.raw.lower()
    strange = [part for part in found[1:] if places.elsewhere(found[0], part)]
    if strange and not any(part in known for part in strange):
        return against(Reason.NAME_CONFLICT)
    return None


def parts(answer: Answer) -> list[str]:
    """The words between commas."""
    result: list[list[str]] = [[]]
    for word, gap in zip(answer.words, answer.gaps, strict=True):
        if "," in gap and result[-1]:
            result.append([])
        result[-1].append(word)
    return [" ".join(part) for part in result if part]
