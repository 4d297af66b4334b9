"""The evidence of one expected answer and one prediction, as numbers with names."""

from typing import NamedTuple

from rapidfuzz import fuzz
from rapidfuzz.distance import Indel

from closedbook.eval.equivalence.evidence import dates, names, numbers, people, text, words
from closedbook.eval.equivalence.evidence.answer import Answer, Question
from closedbook.eval.equivalence.evidence.codes import (
    Comma,
    Dates,
    Forename,
    Item,
    Stands,
    Surname,
)


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
    contained: Stands = Stands.NOT  # how the expected answer stands in the prediction
    within: Stands = Stands.NOT  # and the prediction in the expected answer
    place: float = -1.0  # where it stands, from 0 (start) to 1
    ratio: float = 0.0  # similarity of characters
    partial: float = 0.0  # the same of the best part of the longer text
    token_set: float = 0.0
    head: float = -1.0  # whether the last words agree
    first: float = -1.0  # whether the first words agree
    date: Dates = Dates.NONE  # the best of all pairs of dates
    date_years: float = -1.0  # years between the nearest dates
    number: float = -1.0  # share of the expected numbers that are found
    number_ratio: float = -1.0  # least ratio between an expected and a given number
    number_unit: float = -1.0  # 1: the nearest number has the same unit
    surname: Surname = Surname.NONE
    forename: Forename = Forename.NONE
    other_forename: float = 0.0  # 1: another name stands before the surname
    acronym: float = 0.0
    bridges: float = 0.0  # words joined by a table of nicknames, peoples, aliases
    fuzzy: float = 0.0  # words joined by other forms or spellings
    gold_words: float = 0.0
    gold_name: float = 0.0  # share of the expected words with a capital
    gold_asked: float = 0.0  # weight of the expected words that the question holds, share
    comma: Comma = Comma.NONE
    negated: float = 0.0  # 1: one of the two is denied
    adds: float = 0.0  # 1: "and" or "or" brings in words that are not expected
    gold_items: float = 1.0
    items_found: float = 0.0  # share of the parts of an expected list
    number_extra: float = 0.0  # given numbers that are neither expected nor asked
    rest: float = -1.0  # expected words of content outside dates and numbers
    given_rest: float = -1.0  # given ones, the question's left out
    initials: float = -1.0  # 1: the first letters of all forenames agree
    antonym: float = 0.0  # 1: one has a word that denies the other's: direct, indirect
    item: Item = Item.NONE
    like: float = 0.0  # greatest likeness of an expected word that is not asked
    new_words: float = 0.0  # given words of content that are not in the question
    best_word: float = 0.0  # greatest weight of a common word that is not asked
    span: float = 0.0  # words between the first and the last found, per expected word


def compare(question: Question, gold: Answer, given: Answer) -> Pair | None:
    """Collects the evidence of one expected answer; None where no word, number or date can agree.

    Most wrong answers share nothing with the expected ones, and then nothing else is looked at.
    """
    weights, found_weights = gold.weights, given.weights
    by_letter = given.by_letter
    hits: dict[str, str] = {}
    sure: dict[str, float] = {}  # how sure a hit is
    bridges = fuzzy = 0
    for stem in weights:
        if stem in found_weights:
            hits[stem] = stem
            sure[stem] = 1.0
        elif stem[0] in by_letter or stem in names.LINKED:
            other, hit, bridged = _nearest(stem, given)
            if hit:
                hits[stem] = other
                sure[stem] = hit
                bridges += bridged
                fuzzy += not bridged
    plain, other_plain = gold.plain, given.plain
    ratio = Indel.normalized_similarity(plain, other_plain)
    acronym = 0.0
    if (gold.acronyms or given.acronyms) and len(hits) < len(weights):
        acronym = float(_acronyms(gold, given))
    if not hits and not acronym and ratio < 0.6:
        both = gold.flags & given.flags & (text.NUMBER | text.DATE)
        if not both and not _antonym(gold, given):
            return None
    asked = question.keys
    found = exact = found_new = total_new = missing_new = asked_weight = best = like = 0.0
    for stem, weight in weights.items():
        hit = sure.get(stem, 0.0)
        found += hit * weight
        if hit == 1.0:
            exact += weight
        if stem in asked:
            asked_weight += weight
        else:
            total_new += weight
            found_new += hit * weight
            missing_new += (1 - hit) * weight
            if hit:
                best = max(best, weight)
                like = max(like, hit)
    total = gold.total or 1.0
    matched = set(hits.values())
    extra = 0.0
    extra_words = 0
    for stem, weight in found_weights.items():
        if stem not in matched and stem not in asked:
            extra += weight
            extra_words += 1
    contained, place = (
        _stands(gold, given, len(hits) == len(weights)) if hits else (Stands.NOT, -1.0)
    )
    stands = contained is Stands.WORDS
    stands_early = stands and plain in other_plain[:400]
    within = _stands(given, gold, extra_words == 0)[0] if hits else Stands.NOT
    date, years = _dates(gold, given)
    number, number_ratio, unit, number_extra = _numbers(gold, given, question)
    surname, forename, other_forename, initials = people.compare(gold, given)
    head, first = _ends(gold, given)
    lists = len(gold.items) > 1
    return Pair._make(
        (  # in the order of the fields: by name takes three times as long
            found / total,  # recall
            exact / total,  # recall_exact
            found_new / total_new if total_new else -1.0,  # recall_new
            1 - extra / given.total if given.total else 0.0,  # precision
            total - found,  # missing
            missing_new,
            extra,
            extra_words,
            contained,
            within,
            place,
            ratio,
            1.0 if stands_early else fuzz.partial_ratio(plain, other_plain[:400]) / 100,  # partial
            1.0 if stands else fuzz.token_set_ratio(plain, other_plain) / 100,  # token_set
            head,
            first,
            date,
            years,  # date_years
            number,
            number_ratio,
            unit,  # number_unit
            surname,
            forename,
            other_forename,
            acronym,
            bridges,
            fuzzy,
            len(gold.words),  # gold_words
            gold.name_share,  # gold_name
            asked_weight / total,  # gold_asked
            _comma(gold, given),  # comma
            float(gold.negated != given.negated and not question.negated),  # negated
            _adds(gold, given, matched, asked),  # adds
            len(gold.items),  # gold_items
            _items_found(gold, matched | hits.keys()) if lists else -1.0,  # items_found
            number_extra,
            gold.rest,  # rest
            given.rest if len(found_weights) < 20 else -1.0,  # given_rest
            initials,
            float(_antonym(gold, given)),  # antonym
            _item(gold, given),  # item
            like,
            extra_words + len(matched - asked),  # new_words
            best,  # best_word
            _span(given, matched),  # span
        )
    )


def nothing(question: Question, gold: Answer, given: Answer) -> Pair:
    """The evidence where `compare` found that nothing can agree."""
    asked = sum([weight for stem, weight in gold.weights.items() if stem in question.keys])
    asked /= gold.total or 1.0
    extra = [weight for stem, weight in given.weights.items() if stem not in question.keys]
    total = sum(extra)
    named = bool(0 < len(gold.words) <= 8 and gold.capital[-1])
    ends = 0.0 if len(given.content) <= 12 else -1.0
    return Pair(
        recall_new=0.0 if asked < 1 else -1.0,
        precision=1 - total / given.total if given.total else 0.0,
        missing=gold.total,
        missing_new=gold.total * (1 - asked),
        extra=total,
        extra_words=len(extra),
        ratio=Indel.normalized_similarity(gold.plain, given.plain),
        head=ends,
        first=ends,
        surname=Surname.MISSING if named else Surname.NONE,
        forename=Forename.MISSING if named and len(gold.person) > 1 else Forename.NONE,
        gold_words=len(gold.words),
        gold_name=gold.name_share,
        gold_asked=asked,
        negated=float(gold.negated != given.negated and not question.negated),
        gold_items=len(gold.items),
        items_found=0.0 if len(gold.items) > 1 else -1.0,
        number_extra=len(given.numbers),
        rest=gold.rest,
        given_rest=given.rest if len(given.weights) < 20 else -1.0,
        new_words=len(extra),
    )


def _nearest(stem: str, given: Answer) -> tuple[str, float, int]:
    """The given word that is another form of an expected one, how sure, and if by a table."""
    best, name = 0.0, ""
    for other in given.by_letter.get(stem[0], ()):
        like = words.likeness(stem, other)
        if like > best:
            best, name = like, other
    if best < 0.9 and stem in names.LINKED:
        for other in given.weights:
            if other in names.LINKED and names.bridge(stem, other):
                return other, 0.9, 1
    return name, best, 0


def _acronyms(gold: Answer, given: Answer) -> bool:
    """Whether a word of one is made of the first letters of the other."""
    if len(given.words) > 1:
        for word in gold.acronyms:
            if word in given.initials or (len(word) >= 3 and word in given.initials[1]):
                return True
    if len(gold.words) > 1:
        for word in given.acronyms:
            if word in gold.initials or word == "".join([name[0] for name in gold.person]):
                return True
    return False


def _antonym(gold: Answer, given: Answer) -> bool:
    """Whether one has a word that a prefix makes the contrary of a word of the other."""
    if not gold.undenied and not given.undenied:
        return False
    return not (
        given.weights.keys().isdisjoint(gold.undenied)
        and gold.weights.keys().isdisjoint(given.undenied)
    )


def _stands(small: Answer, large: Answer, scattered: bool) -> tuple[Stands, float]:
    """Whether one answer stands in the other, and where."""
    plain = f" {large.plain} "
    place = plain.find(f" {small.plain} ") if small.words else -1
    if place >= 0:
        return Stands.WORDS, place / len(plain)
    if small.weights and small.weights.keys() <= large.weights.keys():
        place = large.stems_joined.find(small.stems_joined)
        if place >= 0:
            return Stands.STEMS, place / len(large.stems_joined)
    return (Stands.SCATTERED, 0.5) if scattered and small.weights else (Stands.NOT, -1.0)


def _dates(gold: Answer, given: Answer) -> tuple[Dates, float]:
    if not gold.flags & given.flags & text.DATE or not gold.dates or not given.dates:
        return Dates.NONE, -1.0
    best, years = Dates.NONE, 9999.0
    for expected in gold.dates:
        for date in given.dates:
            best = max(best, dates.relation(date, expected))
            if date.low and expected.low:
                gap = max(expected.low - date.high, date.low - expected.high, 0.0)
                years = min(years, gap)
    return best, years


def _items_found(gold: Answer, found: set[str]) -> float:
    return sum(item <= found for item in gold.items) / len(gold.items)


def _item(gold: Answer, given: Answer) -> Item:
    if len(gold.items) > 1 and given.keys in gold.items:
        return Item.GIVEN
    if len(given.items) > 1 and gold.keys in given.items:
        return Item.GOLD
    return Item.NONE


def _numbers(gold: Answer, given: Answer, question: Question) -> tuple[float, float, float, float]:
    if not gold.flags & given.flags & text.NUMBER or not gold.numbers or not given.numbers:
        return -1.0, -1.0, -1.0, float(len(given.numbers))
    equal = 0
    nearest, unit = 1e9, -1.0
    for expected in gold.numbers:
        best = 1e9
        for number in given.numbers:
            ratio = numbers.ratio(expected, number)
            if ratio < best:
                best = ratio
                if ratio < nearest:
                    nearest = ratio
                    unit = float(expected.kind == number.kind)
        equal += best < 1e-9
    extra = sum(
        given.words[number.end - 1] not in question.words
        and not any(numbers.same(expected, number) for expected in gold.numbers)
        for number in given.numbers
    )
    return equal / len(gold.numbers), nearest, unit, float(extra)


def _ends(gold: Answer, given: Answer) -> tuple[float, float]:
    """Whether the last and the first words of content agree, for short answers."""
    if not gold.content or not given.content or len(given.content) > 12:
        return -1.0, -1.0
    stems, others = gold.stems, given.stems
    head = words.likeness(stems[gold.content[-1]], others[given.content[-1]])
    first = words.likeness(stems[gold.content[0]], others[given.content[0]])
    return head, first


def _comma(gold: Answer, given: Answer) -> Comma:
    if not gold.commas and not given.commas:
        return Comma.NONE
    for part, short, long in (
        (Comma.GOLD_BEFORE, gold, given),
        (Comma.GIVEN_BEFORE, given, gold),
    ):
        count = len(short.words)
        parted = 0 < count < len(long.words) and "," in long.gaps[count]
        if parted and long.words[:count] == short.words:
            return part
    if "," in "".join(gold.gaps) and given.words:
        count = len(given.words)
        if gold.words[-count:] == given.words:
            return Comma.GIVEN_AFTER
    return Comma.NONE


def _adds(gold: Answer, given: Answer, matched: set[str], asked: frozenset[str]) -> float:
    """Whether "and" or "or" brings in something that is not expected; for short answers."""
    found = given.words
    if len(found) > 12 or len(found) < 3:
        return 0.0
    for place in range(1, len(found) - 1):
        word = found[place]
        if word in ("and", "or", "with", "then") or "," in given.gaps[place]:
            stems = given.stems
            before = {s for s in stems[:place] if s in given.weights}
            after = {s for s in stems[place:] if s in given.weights}
            for side in (before, after):
                if side and not side & matched and not side <= asked:
                    return 1.0
    return 0.0


def _span(given: Answer, matched: set[str]) -> float:
    if len(matched) < 2:
        return 0.0
    places = [place for place, stem in enumerate(given.stems) if stem in matched]
    return (places[-1] - places[0] + 1) / len(matched) if places else 0.0
