"""Numbers that count something else, other units, other sides of a limit, scores and ranges."""

import functools
import re

from closedbook.eval.equivalence.bounds.case import Bounds, Case, against, agreeing
from closedbook.eval.equivalence.evidence import numbers, text, words
from closedbook.eval.equivalence.evidence.answer import Answer
from closedbook.eval.equivalence.evidence.codes import Dates, Stands
from closedbook.eval.equivalence.reasons import Reason

_HOW_MANY = re.compile(r"\bhow many ([a-z' -]+)", re.I)
_ENDS_NOUN = frozenset(
    "are is was were be been did do does has have had can could will would should may might in on "
    "of at for to from with by per that which who there you your it its we they he she i make made "
    "must were exist fit remain".split()
)
_WHOLES = frozenset("member person individual total seat piece item unit part of".split())
_PARTS = frozenset("with each including every consisting comprising".split())
_COMPARED = frozenset("<>≤≥+")
_WHEN = (
    r"(?=[$£€]?\d|mon|tues|wednes|thurs|fri|satur|sun|jan|feb|mar|apr|may\b|june?\b|july?\b|aug|sep|oct|"
    r"nov|dec|noon|midnight|age\b)"
)
_LOW = re.compile(
    r"[<≤]|\b(?:before|until|till|under|below|beneath|pre|(?:fewer|less|lower|earlier|younger|"
    r"smaller) than|prior to|at (?:the )?most|up to|no (?:more|later|older|higher) than|maximum "
    rf"of)\b|\bby {_WHEN}"
    r"|\d[\w,.%]*\s*(?:\w+\s)?(?:or|and) (?:less|fewer|younger|below|under|earlier|lower|before)\b",
    re.I,
)
_HIGH = re.compile(
    r"[>≥]|\b(?:after|since|above|over|exceeding|beyond|post|(?:more|greater|higher|later|older|"
    r"larger) than|at (?:the )?least|no (?:less|fewer|earlier|younger|lower) than|minimum of)\b|"
    rf"\bfrom {_WHEN}(?!.*?(?:\b(?:to|through)\b|-))"
    r"|\d[\w,.%]*\s*(?:\w+\s)?(?:or|and) (?:more|greater|older|above|over|later|higher|up|"
    r"after)\b|\d\+",
    re.I,
)


def find(case: Case) -> Bounds | None:
    """What the numbers of a row say for certain."""
    gold, given = case.gold, case.given
    # Only where both say on which side they are.
    if _may_limit(gold) and _may_limit(given):
        first, second = side(gold.folded), side(given.folded)
        if first and second and first != second and case.pair.contained < Stands.WORDS:
            return against(Reason.OPPOSITE)
    if not gold.flags & given.flags & text.NUMBER or not gold.numbers or not given.numbers:
        return None
    if _of_another(case):
        return against(Reason.NOT_ASSERTED)
    if _other_unit(gold, given):
        return against(Reason.UNIT_CONFLICT)
    return None


def _may_limit(answer: Answer) -> bool:
    return bool(answer.flags & text.LIMITED) or not _COMPARED.isdisjoint(answer.folded)


@functools.lru_cache(maxsize=1 << 14)
def side(folded: str) -> int:
    """On which side of a limit a short text puts a quantity or a time: -1, 1, or 0 if on none.

    >>> side("before 1900"), side("18 or older"), side("1900"), side("from 1900 to 1910")
    (-1, 1, 0, 0)
    """
    if len(folded) > 80:
        return 0
    low, high = _LOW.search(folded), _HIGH.search(folded)
    if low and high:
        return 0
    return -1 if low else 1 if high else 0


def _of_another(case: Case) -> bool:
    """Whether the expected number counts another thing, and another number the thing asked for."""
    asked = _asked_for(case.question.raw)
    gold, given = case.gold, case.given
    if not asked or len(gold.numbers) != 1 or len(given.numbers) < 2 or gold.rest:
        return False
    counted, others = [], []
    for number in given.numbers:
        behind = given.stems[number.end : number.end + 4]
        gaps = given.gaps[number.end : number.end + 4]
        near = []
        for stem, gap in zip(behind, gaps, strict=True):
            if stem[0].isdigit() or {",", ".", ";", "("} & set(gap):
                break
            near.append(stem)
        if any(stem.startswith(tuple(asked)) for stem in near[:3]):
            counted.append(number)
        elif near and near[0] not in words.STOP:
            others.append(number)
    expected = gold.numbers[0]
    alike = [number for number in others if number.value == expected.value]
    if not counted or not alike or any(number.value == expected.value for number in counted):
        return False
    if counted[0].start < alike[0].start:
        return True
    # "100 members, with two senators from each state": what comes first may be the same thing.
    noun = given.stems[alike[0].end] if alike[0].end < len(given.stems) else ""
    between = given.words[alike[0].end : counted[0].start]
    return noun not in _WHOLES and _PARTS.isdisjoint(between)


@functools.lru_cache(maxsize=1 << 12)
def _asked_for(question: str) -> frozenset[str]:
    """The stem of what "how many" counts."""
    match = _HOW_MANY.search(question)
    if match is None:
        return frozenset()
    nouns: list[str] = []
    for word in match[1].lower().split()[:4]:
        if word in _ENDS_NOUN:
            break
        nouns.append(words.stem(word))
    return frozenset(nouns[-1:])


def _other_unit(gold: Answer, given: Answer) -> bool:
    """Whether the same figures stand with units that never are one, or a share with a count."""
    if len(gold.numbers) != 1 or not gold.numbers[0].kind:
        return False
    expected = gold.numbers[0]
    alike = [number for number in given.numbers if number.value == expected.value]
    same = [number for number in given.numbers if numbers.same(expected, number)]
    if not same:
        return bool(alike)
    return all(_a_count(expected, number, given) for number in same)


def _a_count(expected: numbers.Number, number: numbers.Number, given: Answer) -> bool:
    if expected.kind != "share" or number.kind or number.end >= len(given.words):
        return False
    return given.words[number.end] not in words.STOP


def ranges(case: Case) -> Bounds | None:
    """A range for one number, one number for a range, or another range."""
    gold, given = case.gold, case.given
    if len(given.words) > 6 or case.pair.date != Dates.NONE:
        return None
    if (
        not gold.numbers
        or not given.numbers
        or any(_range(each) for each in case.golds[:8] if each is not gold)
    ):
        return None
    first, second = _range(gold), _range(given)
    if first is None and second is None:
        return None
    if any(_range(each) for each in case.golds[:8] if each is not gold):
        return None
    if first is not None and second is not None:
        if first == second:
            return agreeing(Reason.NUMBER) if not case.pair.rest else None
        return against(Reason.NUMBER_CONFLICT)
    if second is not None and len(gold.numbers) == 1 and gold.numbers[0].value in second:
        return against(Reason.SEVERAL)
    if first is not None and len(given.numbers) == 1 and given.numbers[0].value in first:
        return against(Reason.NUMBER_CONFLICT, 0.3)
    return None


_LINKS = ("to", "and", "or", "till", "until")


def _range(answer: Answer) -> tuple[float, float] | None:
    """The two numbers of "5 to 7", "5-7", "between 5 and 7"; None for other texts."""
    if len(answer.numbers) != 2:
        return None
    first, second = answer.numbers
    between = answer.words[first.after : second.start]
    if first.value >= second.value or len(between) > 1:
        return None
    if not between:
        gap = answer.gaps[second.start].strip() if second.start < len(answer.gaps) else ""
        linked = gap.startswith("-")
    elif between[0] == "and":
        linked = bool(first.start) and "between" in answer.words[: first.start]
    else:
        linked = between[0] in _LINKS
    return (first.value, second.value) if linked else None
