"""Notes and keys of music: B flat and Bb, C sharp minor and C#m."""

import functools
import re
from typing import NamedTuple

from closedbook.eval.equivalence.bounds.case import PHRASE, Bounds, against, agreeing
from closedbook.eval.equivalence.evidence import text
from closedbook.eval.equivalence.evidence.answer import Answer, Question
from closedbook.eval.equivalence.reasons import Reason

# "a flat" is a home; the note has a capital, or stands before "major" or "minor".
_NOTE = re.compile(
    r"(?<![\w'#-])(?:(?P<letter>[A-G])(?P<sign>b|[#♯♭]|(?:[ -]?(?:[Ff]lat|[Ss]harp|FLAT|SHARP)))"
    r"|(?P<small>[a-g])(?P<word>[ -]?(?:flat|sharp)))"
    r"(?:[ -]?(?P<mode>[Mm]ajor|[Mm]inor|maj|min|m))?(?![\w#♯♭])"
)
_MODES = {"major": "major", "maj": "major", "minor": "minor", "min": "minor", "m": "minor"}
_FILLING = frozenset("key note scale tune tuned pitch major minor flat sharp music written".split())


class Note(NamedTuple):
    """A note with a sign, and the mode of a key."""

    letter: str
    sharp: bool  # otherwise flat
    mode: str  # "major", "minor", or "" where none is told


@functools.lru_cache(maxsize=1 << 10)
def of(folded: str) -> tuple[Note, ...]:
    """The notes of a text that have a sign.

    >>> of("B flat"), of("in Eb major")
    ((Note(letter='b', sharp=False, mode=''),), (Note(letter='e', sharp=False, mode='major'),))
    >>> of("a flat"), of("Abby"), of("the key of C#m")
    ((), (), (Note(letter='c', sharp=True, mode='minor'),))
    """
    found = []
    for match in _NOTE.finditer(folded):
        letter = (match["letter"] or match["small"]).lower()
        sign = (match["sign"] or match["word"]).lower().strip(" -")
        mode = _MODES.get((match["mode"] or "").lower(), "")
        if match["small"] == "a" and not mode:
            continue
        found.append(Note(letter, sign in ("#", "♯", "sharp"), mode))
    return tuple(found)


def find(question: Question, gold: Answer, given: Answer) -> Bounds | None:
    """Whether two answers name one note or key in two spellings, or two of one letter."""
    if not (gold.flags | given.flags) & text.NOTE or len(given.words) > PHRASE:
        return None
    expected, found = of(gold.folded), of(given.folded)
    if len(expected) != 1 or len(found) != 1 or _besides(question, gold, given):
        return None
    a, b = expected[0], found[0]
    if a[:2] != b[:2] or (a.mode and b.mode and a.mode != b.mode):
        return against(Reason.SIGN_CONFLICT)
    return agreeing(Reason.SPELLING) if a.mode in ("", b.mode) else None


def _besides(question: Question, gold: Answer, given: Answer) -> bool:
    """Whether an answer says more than a note: "a B flat clarinet"."""
    known = question.keys | _FILLING
    for answer in (gold, given):
        for place in answer.content:
            word = answer.words[place]
            told = len(word) > 2 or word[0].isdigit()
            if told and answer.stems[place] not in known and word not in _FILLING:
                return True
    return False
