"""Short answers that are two names of one thing."""

from closedbook.eval.equivalence.bounds.case import Bounds, agreeing
from closedbook.eval.equivalence.evidence import aliases, text
from closedbook.eval.equivalence.evidence.answer import Answer
from closedbook.eval.equivalence.reasons import Reason


def find(gold: Answer, given: Answer) -> Bounds | None:
    """Whether two short answers are names of one thing: the USA, the United States of America."""
    longest = aliases.LONGEST + 1
    if not gold.flags & given.flags & text.ALIAS or len(given.words) > longest:
        return None
    same = aliases.groups(gold.words) & aliases.groups(given.words)
    return agreeing(Reason.ALIAS) if same else None
