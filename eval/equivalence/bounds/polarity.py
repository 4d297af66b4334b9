"""Answers that say yes or no, in whatever words."""

import functools
import re

from closedbook.eval.equivalence.bounds.case import Bounds, against, agreeing
from closedbook.eval.equivalence.evidence import text
from closedbook.eval.equivalence.evidence.answer import Answer, Question
from closedbook.eval.equivalence.reasons import Reason

_SOFT = (
    r"(?:(?:typically|generally|usually|normally|mostly|often|probably|likely|most likely|perhaps|"
    r"technically|basically|essentially|in general|well|actually|in most cases|currently|sometimes|"
    r"it depends but|i think|i believe|oh|um|so|the answer is|it is|it's|definitely|certainly|"
    r"absolutely|simply|short answer)[\s,:]+)*"
)
_YES = re.compile(
    rf"^\W*{_SOFT}(?:yes|yeah|yep|yup|yea|aye|sure|of course|certainly|definitely|absolutely|"
    r"indeed|correct|true|affirmative|right|always|naturally|without (?:a )?doubt)\b(?! not\b)",
    re.I,
)
_NO = re.compile(
    rf"^\W*{_SOFT}(?:no|nope|nah|nay|never|not (?:really|at all|true|correct|necessarily|usually|"
    r"typically|generally|currently|yet|always)|"
    r"(?:of course|certainly|absolutely|definitely|probably|obviously) not|not|false|"
    r"incorrect|wrong|untrue|negative|by no means|in no way|hardly)\b"
    r"(?! (?:doubt|question|one|less|more|other|only)\b)",
    re.I,
)
_PLAIN = re.compile(
    rf"^\W*{_SOFT}(?:yes|yeah|yep|no|nope|not|never|true|false|correct|incorrect)\b"
    r"(?:[\s,]+(?:it|they|he|she|you|there|we|i|do|does|did|is|are|was|were|can|cannot|will|not|n't|"
    r"always|usually|typically|generally|at all|really|sir|ma'am|way|thanks|in general|don't|"
    r"doesn't|isn't|aren't|can't|but|with|without|if|when|unless|only|for|in|on|since|because|until|"
    r"a|an|the|\w+)\b){0,6}\W*$",
    re.I,
)
_SAID_FIRST = re.compile(rf"^\W*{_SOFT}(?:yes|no|yeah|nope)\b\s*[,.;:!-]", re.I)
_ASKED = re.compile(
    r"^\W*(?:(?:and|but|so|in|on|at|by|under|according to)\b[^,]*,?\s+)?(?:is|are|was|were|do|"
    r"does|did|can|could|will|would|should|has|have|had|may|might|must|am|"
    r"isn't|aren't|don't|doesn't|didn't|can't|won't)\b",
    re.I,
)
_DENYING = re.compile(
    r"\b(?:not|never|no|cannot|none|nobody|nothing|neither|\w+n't|without)\b", re.I
)
_PRONOUN = re.compile(
    r"^\W*(?:they|it|he|she|you|we|i|there|one)\s+(?:do|does|did|is|are|was|were|can|could|will|"
    r"would|has|have|had|should|may|must|ca)\s*(?P<denied>not|n't)?\W*$",
    re.I,
)
_FORBIDDING = re.compile(r"\b(?:illegal|impossible|unlikely|prohibited|forbidden|banned)\b", re.I)


def find(question: Question, gold: Answer, given: Answer) -> Bounds | None:
    """Whether both say yes, both say no, or one this and one that; None where that is not asked."""
    if not gold.flags & text.POLAR or len(gold.words) > 7 or not _PLAIN.match(gold.folded):
        return None
    asked = bool(_ASKED.match(question.raw))
    refused = given.refusal and not gold.refusal and not _SAID_FIRST.match(given.folded)
    if refused and (asked or len(given.words) <= 3):
        return against(Reason.REFUSAL)
    bare = len(gold.words) <= 3
    if not asked and not bare:
        return None
    expected = _said(gold.folded)
    found = _said(given.folded)
    pronoun = _PRONOUN.match(given.folded) if asked else None
    if pronoun:
        found = not pronoun["denied"]
    elif found is None and asked and not given.refusal and _tells(question, given):
        # "It is illegal" denies that it is legal, and "not illegal" does not.
        contrary = not question.keys.isdisjoint(given.undenied)
        if not _FORBIDDING.search(question.raw):
            contrary = contrary or _FORBIDDING.search(given.folded) is not None
        found = bool(_DENYING.search(given.folded)) == contrary
    if expected is None or found is None:
        return None
    if not asked and len(given.words) > 3:
        return None
    if expected != found:
        return against(Reason.OTHER_SIDE)
    return agreeing(Reason.SAME_SIDE)


@functools.lru_cache(maxsize=1 << 12)
def _said(folded: str) -> bool | None:
    """Whether a text begins by saying yes (True) or no (False); None where by neither."""
    if _NO.match(folded):
        return False
    return True if _YES.match(folded) else None


def _tells(question: Question, given: Answer) -> bool:
    """Whether a text repeats what was asked, as a statement."""
    asked = question.keys
    if not asked.isdisjoint(given.undenied):
        return len(given.words) <= 5
    return (bool(asked) and len(asked & given.keys) >= min(2, len(asked))) or (
        len(given.words) <= 5 and bool(asked & given.keys)
    )
