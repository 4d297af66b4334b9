"""Several answers of which the prediction chooses none."""

import re

from closedbook.eval.equivalence.bounds import codes, opposites
from closedbook.eval.equivalence.bounds.case import Bounds, Case, against
from closedbook.eval.equivalence.evidence import (
    answer,
    classes,
    names,
    numbers,
    places,
    text,
    words,
)
from closedbook.eval.equivalence.evidence.answer import Answer
from closedbook.eval.equivalence.reading.alternatives import MANY
from closedbook.eval.equivalence.reasons import Reason

_PLURAL = re.compile(
    r"^\W*(?:name|list|two|three|four|five|six|seven|\d+|all|kings|some|different)\b|"
    r"\b(?:who|what|which)\s+(?:\w+s\s+)?(?:are|were)\b|\b(?:names|members|examples|types|kinds|cast|"
    r"list|ways|parts|steps|candidates|countries|states) (?:of|to|for|in)\b",
    re.I,
)


def find(case: Case) -> Bounds | None:
    """A list of guesses among which the expected answer stands."""
    listed = case.alternatives
    if len(listed.items) < 2:
        return None
    items = [answer.parse(item) for item in listed.items]
    items = list({item.plain: item for item in items if item.words}.values())
    if _whole(case, items):
        return None
    right = [item for item in items if any(_holds(item, gold) for gold in case.golds)]
    if not right and len(items) > 1:  # the last one may hold an "and" of its own
        joined = items[-2].keys | items[-1].keys
        right = items[-2:] if any(gold.keys <= joined for gold in case.golds) else []
        right = right if len(items) > 3 else []
    wrong = [item for item in items if item not in right]
    if not right and len(wrong) >= MANY and not _PLURAL.search(case.question.raw):
        return against(Reason.SEVERAL)
    several_right = len(right) > 1 and right != items[-2:]
    if not right or not wrong or (several_right and len(wrong) < 5 * len(right)):
        return None
    rivals = [item for item in wrong if not _variant(item, right, case)]
    if not rivals:
        return None
    if listed.offered:
        return against(Reason.SEVERAL)
    if _PLURAL.search(case.question.raw) and len(rivals) < MANY:
        return None
    return against(Reason.SEVERAL) if _a_list(items, right, rivals, case) else None


def _whole(case: Case, items: list[Answer]) -> bool:
    """Whether the list as a whole is what is expected, or one date or name with commas."""
    for gold in case.golds:
        if case.alternatives.offered and " or " in gold.plain and gold.keys <= case.given.keys:
            return True
        held = gold.keys <= case.given.keys and not case.alternatives.offered
        if held and 1 < len(gold.items) >= len(items):
            return True
    dated = case.given.dates
    return len(dated) == 1 and dated[0].end - dated[0].start >= len(case.given.words) - 1


def _holds(item: Answer, gold: Answer) -> bool:
    if item.plain == gold.plain:
        return True
    if gold.numbers and item.numbers and not gold.rest and len(gold.numbers) == 1:
        return any(numbers.same(gold.numbers[0], number) for number in item.numbers)
    return bool(gold.weights) and gold.weights.keys() <= item.weights.keys()


def _variant(item: Answer, right: list[Answer], case: Case) -> bool:
    """Whether an item says more of a right one, or the same in other words."""
    asked = case.question.keys
    if item.keys <= asked and not right[0].keys <= asked:
        return True
    for other in (*right, *case.golds):
        if item.numbers and other.numbers:
            if numbers.same(item.numbers[0], other.numbers[0]):
                return True
            continue
        shared = item.keys & other.keys or any(
            min(len(a), len(b)) > 4 and (a.endswith(b) or b.endswith(a) or words.likeness(a, b))
            for a in item.keys
            for b in other.keys
        )
        coded = bool(codes.codes(item.folded)) or bool(item.flags & text.NUMBER)
        opposed = any(words.opposed(a, b) for a in item.keys for b in other.keys)
        if shared and not coded and not opposed:
            return not _opposites(item, other)
        if any(names.bridge(a, b) for a in item.keys for b in other.keys):
            return True
        letters = {item.initials[0], item.initials[1]}
        if any(word in letters for word in other.acronyms) or any(
            word in other.initials for word in item.acronyms
        ):
            return True
    return False


def _opposites(item: Answer, other: Answer) -> bool:
    return any(opposites.opposite(a, b) for a in item.keys for b in other.keys)


def _one_place(items: list[str]) -> bool:
    """Whether items name a place and what holds it: none is unknown behind a known one."""
    known = [bool(places.levels(item)) for item in items]
    first = known.index(True) if True in known else len(items)
    return first <= 2 and all(known[first:]) and places.chain(items)


def _a_list(items: list[Answer], right: list[Answer], rivals: list[Answer], case: Case) -> bool:
    """Whether items between commas are answers of one kind, not a place and what holds it."""
    if _one_place([item.plain for item in items]):
        return False
    if len(items) > 3:
        return len(rivals) > 1 and sum(len(item.words) for item in items) <= 4 * len(items)
    if len(items) > 2:
        return all(len(item.words) <= 4 for item in items) and len(rivals) > 1
    first, second = items
    if first.numbers and second.numbers:
        return True
    if places.levels(first.plain) & places.levels(second.plain):
        return True
    if classes.together(first.plain, second.plain):
        return True
    if all(2 <= len(item.words) <= 3 and all(item.capital) for item in items):
        return case.question.kind == "who"
    return False
