"""Names of people that plainly differ: other middle names, numerals, first names or surnames."""

from collections.abc import Sequence

from rapidfuzz.distance import Indel

from closedbook.eval.equivalence.bounds.case import Bounds, Case, against, agreeing
from closedbook.eval.equivalence.evidence import names, words
from closedbook.eval.equivalence.evidence.answer import Answer
from closedbook.eval.equivalence.evidence.forenames import COMMON
from closedbook.eval.equivalence.reasons import Reason

_PARTICLES = frozenset("de van von der den la le di del da of the al el bin ibn y e st du".split())
_ROMAN = {
    numeral: str(value)
    for value, numeral in enumerate(
        "i ii iii iv v vi vii viii ix x xi xii xiii xiv xv xvi xvii xviii xix xx xxi xxii".split(),
        start=1,
    )
}
_ORDINALS = {
    word: str(value)
    for value, word in enumerate(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth "
        "thirteenth fourteenth fifteenth sixteenth".split(),
        start=1,
    )
}
_NUMERALS = _ROMAN.keys() | _ORDINALS.keys()
_SUFFIXES = {"jr": "jr", "junior": "jr", "sr": "sr", "senior": "sr"}
_PLACE_WORDS = frozenset(
    "dc state city university college airport bridge street county river monument avenue post "
    "heights island square park dam".split()
)
# Two of one name, whom the middle name alone tells apart.
_NAMESAKES = {
    ("john", "adams"): "quincy",
    ("oliver", "holmes"): "wendell",
    ("michael", "jordan"): "b",
}


def find(case: Case) -> Bounds | None:
    """A name that plainly is another's."""
    gold, given = case.gold, case.given
    if not gold.words or len(gold.words) > 7:
        return None
    if not _NUMERALS.isdisjoint(gold.words):
        if _numeral_differs(gold, given, case.short):
            return against(Reason.NAME_CONFLICT)
        if case.short and _numeral_agrees(gold, given):
            return agreeing(Reason.NAME, 0.9)
    forenamed = case.short and bool(given.person) and given.person[0] in COMMON
    if case.short and case.pair.acronym and _initials_of(gold, given):
        return agreeing(Reason.ACRONYM, 0.9)
    if "dc" in gold.words and forenamed and gold.words[0] in given.words[1:]:
        return against(Reason.NAME_CONFLICT)  # George Washington is no city
    if _is_person(gold, case.question.kind == "who"):
        if _middle_differs(gold, given) or _suffix_differs(gold, given):
            return against(Reason.NAME_CONFLICT)
        if case.short and _part_differs(case):
            return against(Reason.NAME_CONFLICT)
    if case.short and (_other_partner(case) or _other_end(case)):
        return against(Reason.HEAD_CONFLICT)
    return None


def _initials_of(gold: Answer, given: Answer) -> bool:
    """Whether the prediction is the first letters of the whole name: MLK."""
    letters = "".join([name[0] for name in gold.person])
    return len(letters) > 2 and len(given.words) == 1 and given.words[0] == letters


def _is_person(answer: Answer, who: bool) -> bool:
    """Whether an answer may be a person's first name and surname, each with a capital."""
    if not 2 <= len(answer.words) <= 6 or answer.commas:
        return False
    name = answer.person
    if not all(
        capital or word in _PARTICLES
        for word, capital in zip(answer.words, answer.capital, strict=True)
    ):
        return False
    return len(name) > 1 and (who or name[0] in COMMON)


def _fits(a: str, b: str) -> bool:
    """Whether two first or middle names may be one."""
    if a == b or names.bridge(a, b) == "nickname":
        return True
    short, long = (a, b) if len(a) <= len(b) else (b, a)
    return (len(short) == 1 and long.startswith(short)) or words.likeness(a, b) >= 0.75


def _middle_differs(gold: Answer, given: Answer) -> bool:
    """Whether every mention of the name has other middle names: George W. and George H. W. Bush."""
    expected = gold.person
    if len(expected) < 2:
        return False
    forename, surname = expected[0], expected[-1]
    middle = [word for word in expected[1:-1] if word not in _PARTICLES]
    special = _NAMESAKES.get((forename, surname))
    found = given.words
    mentions = []
    for place, word in enumerate(found):
        if word != surname or not place:
            continue
        for start in range(place - 1, max(-1, place - 5), -1):
            if _fits(forename, found[start]):
                between = [each for each in found[start + 1 : place] if each not in _PARTICLES]
                if "and" not in between:
                    mentions.append(between)
                break
    if not mentions:
        return False
    return all(
        _conflict(middle, other) or (special and (special in middle) != (special in other))
        for other in mentions
    )


def _conflict(a: Sequence[str], b: Sequence[str]) -> bool:
    if not a or not b:
        return False
    short, long = (a, b) if len(a) <= len(b) else (b, a)
    place = 0
    for number, name in enumerate(short):
        while place < len(long) and not _fits(name, long[place]):
            place += 1
        if place == len(long):
            return True
        # An initial that stands first in one and later in the other is another's.
        if not number and place and (len(name) == 1 or len(long[place]) == 1):
            return True
        place += 1
    return False


def _suffix_differs(gold: Answer, given: Answer) -> bool:
    expected = {_SUFFIXES[word] for word in gold.words if word in _SUFFIXES}
    found = {_SUFFIXES[word] for word in given.words if word in _SUFFIXES}
    return bool(expected) and bool(found) and not expected & found


def _numeral(found: Sequence[str], place: int) -> str | None:
    """The number of a ruler, a pope or a war that stands at a place."""
    if place >= len(found):
        return None
    word = found[place]
    if word in _ROMAN:
        return _ROMAN[word]
    if word == "the" and place + 1 < len(found):
        return _ORDINALS.get(found[place + 1])
    return None


def _numeral_differs(gold: Answer, given: Answer, short: bool) -> bool:
    """Whether the name stands with another number, or with a surname instead."""
    for place in range(1, len(gold.words)):
        number = _numeral(gold.words, place)
        if number is None or not gold.capital[place - 1]:
            continue
        if gold.words[place] in ("i", "v", "x") and not gold.capital[place]:
            continue
        before = gold.words[place - 1]
        differs = False
        for spot, word in enumerate(given.words):
            if word != before:
                continue
            other = _numeral(given.words, spot + 1)
            if other == number:
                return False
            behind = spot + 1 < len(given.words) and given.capital[spot + 1]
            behind = behind and given.words[spot + 1] not in gold.words
            surname = short and behind and before in COMMON
            differs = differs or other is not None or bool(surname)
        return differs
    return False


def _numeral_agrees(gold: Answer, given: Answer) -> bool:
    """Whether two names have the same number in other words, and no word besides: Henry VIII."""
    numbered = [place for place in range(1, len(gold.words)) if _numeral(gold.words, place)]
    if len(numbered) != 1:
        return False
    place = numbered[0]
    number = _numeral(gold.words, place)
    name = names.core(gold.words[:place])
    others = [spot for spot in range(1, len(given.words)) if _numeral(given.words, spot) == number]
    return len(others) == 1 and names.core(given.words[: others[0]]) == name


def _part_differs(case: Case) -> bool:
    """A first name alone, or the same first name or surname beside another name."""
    gold, given = case.gold, case.given
    expected, found = gold.person, given.person
    if len(expected) < 2 or not found:
        return False
    known = case.question.words.union(*[other.words for other in case.golds])
    forename, surname = expected[0], expected[-1]
    person = forename in COMMON or case.question.kind == "who"
    if not person:
        return False
    if found == expected[: len(found)] and len(found) < len(expected):
        rest = expected[len(found)]
        alone = surname not in _SUFFIXES and rest not in _ROMAN and rest not in _PARTICLES
        return (
            forename in COMMON and alone and not any(other.person == found for other in case.golds)
        )
    if len(found) < 2 or not all(given.capital[place] for place in (0, len(given.words) - 1)):
        return False
    if surname in found:
        after = found[found.index(surname) + 1 :]
        return bool(after) and after[0] in _PLACE_WORDS and forename not in found
    if found[-1] in known or found[0] in _PARTICLES:
        return False
    if len(found) > 2 and found[-2] not in _PARTICLES:
        return False
    if _fits(forename, found[0]) and len(found[0]) > 1 and forename in COMMON:
        return all(words.likeness(found[-1], word) < 0.75 for word in expected)
    return False


def other_forename(case: Case) -> bool:
    """The expected surname behind another first name."""
    expected, found = case.gold.person, case.given.person
    if len(expected) < 2 or len(found) < 2 or expected[-1] != found[-1]:
        return False
    a, b = expected[0], found[0]
    if len(b) == 1 and b != a[0] and a in COMMON:  # T. S. and George Eliot
        return len(a) > 2 and all(word[0] != b for word in expected) and not case.gold.commas
    if len(a) < 3 or len(b) < 3 or b in case.question.words:
        return False
    if not (a in COMMON and b in COMMON):
        return False
    return not any(_fits(a, word) for word in found) and not any(
        _fits(b, word) for word in expected
    )


def _other_end(case: Case) -> bool:
    """A name that begins like the expected one and ends otherwise: Manchester United and City."""
    gold, given = case.gold, case.given
    count = len(gold.words)
    if not 2 <= count <= 4 or len(given.words) != count or gold.words[:-1] != given.words[:-1]:
        return False
    if not all(gold.capital) or not all(given.capital) or gold.numbers or given.numbers:
        return False
    a, b = gold.words[-1], given.words[-1]
    known = case.question.words.union(*[other.words for other in case.golds])
    if b in known or names.bridge(a, b) or Indel.normalized_similarity(a, b) >= 0.6:
        return False
    return not (a.startswith(b) or b.startswith(a))


def _other_partner(case: Case) -> bool:
    """One of an expected pair beside somebody else: Simon and Schuster for Simon and Garfunkel."""
    gold, given = case.gold.items, case.given.items
    if len(gold) != 2 or len(given) != 2:
        return False
    if not all("and" in each.words or "&" in each.raw for each in (case.gold, case.given)):
        return False
    asked = case.question.keys
    kept = [[mine for mine in gold if mine <= theirs or theirs <= mine] for theirs in given]
    if sum(map(bool, kept)) != 1:
        return False
    stranger = given[0] if kept[1] else given[1]
    missing = [mine for mine in gold if mine not in (kept[0] or kept[1])]
    known = asked.union(*[other.keys for other in case.golds])
    if len(missing) != 1 or stranger & known:
        return False
    return all(words.likeness(a, b) < 0.75 for a in missing[0] for b in stranger)
