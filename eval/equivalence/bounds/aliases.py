"""Short answers that are two names of one thing."""

from closedbook.eval.equivalence.bounds.case import Bounds, against, agreeing
from closedbook.eval.equivalence.evidence import aliases, text
from closedbook.eval.equivalence.evidence.answer import Answer
from closedbook.eval.equivalence.reasons import Reason


def find(gold: Answer, given: Answer) -> Bounds | None:
    """Whether two short answers are names of one thing: the USA, the United States of America.

    Two names of different things are not the same, whatever words they share: the two Congos.
    """
    longest = aliases.LONGEST + 1
    if not gold.flags & given.flags & text.ALIAS or len(given.words) > longest:
        return None
    expected, found = aliases.groups(gold.words), aliases.groups(given.words)
    if expected & found:
        return agreeing(Reason.ALIAS)
    return against(Reason.NAME_CONFLICT) if expected and found else None
