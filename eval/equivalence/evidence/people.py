"""Two answers read as names of people: surnames, forenames, initials."""

from collections.abc import Sequence

from rapidfuzz.distance import Indel

from closedbook.eval.equivalence.evidence import names, words
from closedbook.eval.equivalence.evidence.answer import Answer
from closedbook.eval.equivalence.evidence.codes import Forename, Surname


def compare(gold: Answer, given: Answer) -> tuple[Surname, Forename, float, float]:
    """Surname, forename, whether another forename stands before the surname, initials."""
    if len(gold.words) > 8 or not gold.words or not gold.capital[-1]:
        return Surname.NONE, Forename.NONE, 0.0, -1.0
    expected = gold.person
    found = given.words
    last, place = _look(expected[-1], found)
    if len(expected) < 2:
        return last, Forename.NONE, 0.0, -1.0
    forename = expected[0]
    first, other = Forename.MISSING, 0.0
    initials = -1.0
    if forename in found:
        first = Forename.SAME
    elif place > 0:
        first = _forename(forename, expected, found, place)
        if first < Forename.SHORT and len(found) <= 8:
            initials = _initials(expected, given.person)
        if first == Forename.MISSING and given.capital[place - 1]:
            before = found[place - 1]
            unknown = before not in expected and before not in names.TITLES and len(before) > 1
            other = float(unknown)
    elif len(found) <= 8:
        initials = _initials(expected, given.person)
    return last, first, other, initials


def _initials(a: Sequence[str], b: Sequence[str]) -> float:
    """Whether the forenames of one are the first letters of the other's, surnames alike."""
    if len(b) < 2 or a[-1][0] != b[-1][0]:
        return 0.0
    short, long = "".join(a[:-1]), "".join(b[:-1])
    first, second = "".join([n[0] for n in a[:-1]]), "".join([n[0] for n in b[:-1]])
    if short != second and long != first:
        return 0.0
    return 1.0 if Indel.normalized_similarity(a[-1], b[-1]) >= 0.6 else 0.0


def _look(name: str, found: Sequence[str]) -> tuple[Surname, int]:
    if name in found:
        return Surname.SAME, found.index(name)
    for place, word in enumerate(found):
        if word[0] == name[0] and words.likeness(name, word) >= 0.75:
            return Surname.SPELLING, place
    return Surname.MISSING, -1


def _forename(forename: str, expected: Sequence[str], found: Sequence[str], place: int) -> Forename:
    start = max(0, place - 4)
    initials = "".join([name[0] for name in expected[:-1]])
    for word in found[start:place]:
        if names.bridge(forename, word) == "nickname":
            return Forename.SHORT
        if word[0] == forename[0]:
            if len(word) == 1 or len(forename) == 1 or word == initials or forename == word[:1]:
                return Forename.SHORT
            if words.likeness(forename, word) >= 0.7 or word.startswith(forename[:3]):
                return Forename.SPELLING
        if word in expected[1:-1]:
            return Forename.SPELLING
    return Forename.MISSING
