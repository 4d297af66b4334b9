"""The evidence of one expected answer and one prediction, as numbers with names."""

from collections.abc import Sequence
from typing import NamedTuple

from rapidfuzz import fuzz
from rapidfuzz.distance import Indel

from closedbook.eval.evidence import dates, names, words
from closedbook.eval.evidence.answer import Answer, Question

# How a date of the prediction stands to the expected one, best last.
DATE_RANKS = {
    dates.CONFLICT: 0.0,
    dates.NEAR: 1.0,
    dates.OVERLAP: 2.0,
    dates.COARSER: 3.0,
    dates.FINER: 4.0,
    dates.SAME: 5.0,
}


class Pair(NamedTuple):
    """Evidence on one expected answer; -1 where there is nothing to compare."""

    recall: float = 0.0  # weight of the expected words found, share
    recall_exact: float = 0.0  # the same without other forms and spellings
    recall_new: float = 0.0  # the same without words of the question
    precision: float = 0.0  # weight of the prediction's words that are expected or asked, share
    missing: float = 0.0  # weight of the expected words not found
    missing_new: float = 0.0  # of these, those that are not in the question
    extra: float = 0.0  # weight of the prediction's words neither expected nor asked
    extra_words: float = 0.0  # their number
    contained: float = 0.0  # 3: the words stand in a row, 2: their stems, 1: scattered
    within: float = 0.0  # the prediction stands in the expected answer, likewise
    place: float = -1.0  # where it stands, from 0 (start) to 1
    ratio: float = 0.0  # similarity of characters
    partial: float = 0.0  # the same of the best part of the longer text
    token_set: float = 0.0
    head: float = -1.0  # whether the last words agree
    first: float = -1.0  # whether the first words agree
    date: float = -1.0  # a value of DATE_RANKS
    date_years: float = -1.0  # years between the nearest dates
    number: float = -1.0  # share of the expected numbers that are found
    number_ratio: float = -1.0  # least ratio between an expected and a given number
    number_unit: float = -1.0  # 1: the nearest number has the same unit
    surname: float = -1.0  # 2: found, 1: found in another spelling, 0: not
    forename: float = -1.0  # 3: the same, 2: nickname or initial, 1: another spelling, 0: none
    other_forename: float = 0.0  # 1: another name stands before the surname
    acronym: float = 0.0
    bridges: float = 0.0  # words joined by a table of nicknames, peoples, aliases
    fuzzy: float = 0.0  # words joined by other forms or spellings
    gold_words: float = 0.0
    gold_name: float = 0.0  # share of the expected words with a capital
    gold_asked: float = 0.0  # weight of the expected words that the question holds, share
    comma: float = 0.0  # 1: agrees up to a comma (Sudbury | Sudbury, Canada), 2: the other way
    negated: float = 0.0  # 1: one of the two is denied
    adds: float = 0.0  # 1: "and" or "or" brings in words that are not expected
    gold_items: float = 1.0
    items_found: float = 0.0  # share of the parts of an expected list
    best_word: float = 0.0  # greatest weight of a common word that is not asked
    span: float = 0.0  # words between the first and the last found, per expected word


def compare(question: Question, gold: Answer, given: Answer) -> Pair:
    """Collects the evidence of one expected answer."""
    weights, found_weights = gold.weights, given.weights
    asked = question.keys
    hits: dict[str, str] = {}
    found = exact = found_new = total_new = missing_new = asked_weight = best = 0.0
    bridges = fuzzy = 0
    acronym = 0.0
    for stem, weight in weights.items():
        hit = 1.0 if stem in found_weights else 0.0
        if hit:
            hits[stem] = stem
            exact += weight
        else:
            other, hit, bridged = _nearest(stem, given)
            if hit:
                hits[stem] = other
                bridges += bridged
                fuzzy += not bridged
        found += hit * weight
        if stem in asked:
            asked_weight += weight
        else:
            total_new += weight
            found_new += hit * weight
            missing_new += (1 - hit) * weight
            if hit and weight > best:
                best = weight
    total = gold.total or 1.0
    if len(hits) < len(weights) and _acronyms(gold, given):
        acronym = 1.0
    matched = set(hits.values())
    extra = 0.0
    extra_words = 0
    for stem, weight in found_weights.items():
        if stem not in matched and stem not in asked:
            extra += weight
            extra_words += 1
    plain, other_plain = gold.text.plain, given.text.plain
    contained, place = _stands(gold, given, len(hits) == len(weights))
    within, _ = _stands(given, gold, extra_words == 0)
    date, years = _dates(gold, given)
    number, number_ratio, unit = _numbers(gold, given)
    surname, forename, other = _person(gold, given)
    token_set = fuzz.token_set_ratio(plain, other_plain) / 100 if hits else 0.0
    head, first = _ends(gold, given)
    return Pair(
        recall=found / total,
        recall_exact=exact / total,
        recall_new=found_new / total_new if total_new else -1.0,
        precision=1 - extra / given.total if given.total else 0.0,
        missing=total - found,
        missing_new=missing_new,
        extra=extra,
        extra_words=extra_words,
        contained=contained,
        within=within,
        place=place,
        ratio=Indel.normalized_similarity(plain, other_plain),
        partial=fuzz.partial_ratio(plain, other_plain[:400]) / 100,
        token_set=token_set,
        head=head,
        first=first,
        date=date,
        date_years=years,
        number=number,
        number_ratio=number_ratio,
        number_unit=unit,
        surname=surname,
        forename=forename,
        other_forename=other,
        acronym=acronym,
        bridges=bridges,
        fuzzy=fuzzy,
        gold_words=len(gold.text.words),
        gold_name=sum(gold.text.capital) / (len(gold.text.words) or 1),
        gold_asked=asked_weight / total,
        comma=_comma(gold, given),
        negated=float(gold.negated != given.negated and not question.negated),
        adds=_adds(gold, given, matched, asked),
        gold_items=gold.items,
        items_found=0.0,
        best_word=best,
        span=_span(given, matched),
    )


def _nearest(stem: str, given: Answer) -> tuple[str, float, int]:
    """The given word that is another form of an expected one, how sure, and if by a table."""
    best, name = 0.0, ""
    for other in given.by_letter.get(stem[0], ()):
        like = words.likeness(stem, other)
        if like > best:
            best, name = like, other
    if best < 0.9 and names.linked(stem):
        for other in given.weights:
            if names.bridge(stem, other):
                return other, 0.9, 1
    return name, best, 0


def _acronyms(gold: Answer, given: Answer) -> bool:
    for short, long in ((gold, given), (given, gold)):
        if len(long.text.words) < 2:
            continue
        for word, capital in zip(short.text.words, short.text.capital, strict=True):
            if not capital or not 2 <= len(word) <= 8:
                continue
            if word in (long.initials, long.content_initials):
                return True
            if long is given and len(word) >= 3 and word in long.content_initials:
                return True
    return False


def _stands(small: Answer, large: Answer, scattered: bool) -> tuple[float, float]:
    """Whether one answer stands in the other, and where."""
    plain = f" {large.text.plain} "
    place = plain.find(f" {small.text.plain} ") if small.text.words else -1
    if place >= 0:
        return 3.0, place / len(plain)
    if small.weights:
        place = large.stems_joined.find(small.stems_joined)
        if place >= 0:
            return 2.0, place / len(large.stems_joined)
    return (1.0, 0.5) if scattered and small.weights else (0.0, -1.0)


def _dates(gold: Answer, given: Answer) -> tuple[float, float]:
    if not gold.dates or not given.dates:
        return -1.0, -1.0
    best, years = -1.0, 9999.0
    for expected in gold.dates:
        for date in given.dates:
            rank = DATE_RANKS[dates.relation(date, expected)]
            best = max(best, rank)
            if date.low and expected.low:
                gap = max(expected.low - date.high, date.low - expected.high, 0.0)
                years = min(years, gap)
    return best, years


def _numbers(gold: Answer, given: Answer) -> tuple[float, float, float]:
    if not gold.numbers or not given.numbers:
        return -1.0, -1.0, -1.0
    equal = 0
    nearest, unit = 1e9, -1.0
    for expected in gold.numbers:
        best = 1e9
        for number in given.numbers:
            if expected.kind and expected.kind == number.kind:
                a, b = expected.base, number.base
            else:
                a, b = expected.value, number.value
            if a == b:
                ratio = 0.0
            else:
                ratio = abs(a - b) / (max(abs(a), abs(b)) or 1.0)
            if ratio < best:
                best = ratio
                if ratio < nearest:
                    nearest = ratio
                    unit = 1.0 if expected.kind == number.kind else 0.0
        equal += best < 1e-3
    return equal / len(gold.numbers), nearest, unit


def _person(gold: Answer, given: Answer) -> tuple[float, float, float]:
    """Surname, forename, and whether another forename stands before the surname."""
    if len(gold.text.words) > 8 or not gold.text.words or not gold.text.capital[-1]:
        return -1.0, -1.0, 0.0
    expected = names.core(gold.text.words)
    found = given.text.words
    last, place = _look(expected[-1], found)
    if len(expected) < 2:
        return last, -1.0, 0.0
    forename = expected[0]
    first = 0.0
    if forename in found:
        first = 3.0
    elif place > 0:
        first = _forename(forename, expected, found, place)
    other = 0.0
    if place > 0 and first == 0.0 and given.text.capital[place - 1]:
        before = found[place - 1]
        other = float(before not in expected and before not in names.TITLES and len(before) > 1)
    return last, first, other


def _look(name: str, found: Sequence[str]) -> tuple[float, int]:
    if name in found:
        return 2.0, found.index(name)
    for place, word in enumerate(found):
        if word[0] == name[0] and words.likeness(name, word) >= 0.75:
            return 1.0, place
    return 0.0, -1


def _forename(forename: str, expected: Sequence[str], found: Sequence[str], place: int) -> float:
    start = max(0, place - 4)
    initials = "".join([name[0] for name in expected[:-1]])
    for word in found[start:place]:
        if names.bridge(forename, word) == "nickname":
            return 2.0
        if word[0] == forename[0]:
            if len(word) == 1 or len(forename) == 1 or word == initials or forename == word[:1]:
                return 2.0
            if words.likeness(forename, word) >= 0.7 or word.startswith(forename[:3]):
                return 1.0
        if word in expected[1:-1]:
            return 1.0
    return 0.0


def _ends(gold: Answer, given: Answer) -> tuple[float, float]:
    """Whether the last and the first words of content agree, for short answers."""
    if not gold.text.content or not given.text.content or len(given.text.content) > 12:
        return -1.0, -1.0
    stems, others = gold.text.stems, given.text.stems
    head = words.likeness(stems[gold.text.content[-1]], others[given.text.content[-1]])
    first = words.likeness(stems[gold.text.content[0]], others[given.text.content[0]])
    return head, first


def _comma(gold: Answer, given: Answer) -> float:
    for value, short, long in ((1.0, gold, given), (2.0, given, gold)):
        count = len(short.text.words)
        if 0 < count < len(long.text.words) and "," in long.text.gaps[count]:
            if long.text.words[:count] == short.text.words:
                return value
    if "," in "".join(gold.text.gaps) and given.text.words:
        count = len(given.text.words)
        if gold.text.words[-count:] == given.text.words:
            return 3.0
    return 0.0


def _adds(gold: Answer, given: Answer, matched: set[str], asked: frozenset[str]) -> float:
    """Whether "and" or "or" brings in something that is not expected; for short answers."""
    found = given.text.words
    if len(found) > 12 or len(found) < 3:
        return 0.0
    for place in range(1, len(found) - 1):
        word = found[place]
        if word in ("and", "or", "with", "then") or "," in given.text.gaps[place]:
            stems = given.text.stems
            before = {s for s in stems[:place] if s in given.weights}
            after = {s for s in stems[place:] if s in given.weights}
            for side in (before, after):
                if side and not side & matched and not side <= asked:
                    return 1.0
    return 0.0


def _span(given: Answer, matched: set[str]) -> float:
    if len(matched) < 2:
        return 0.0
    places = [place for place, stem in enumerate(given.text.stems) if stem in matched]
    return (places[-1] - places[0] + 1) / len(matched) if places else 0.0
