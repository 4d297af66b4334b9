"""An answer and a question as the judge sees them: words, numbers, dates, and their kind."""

import dataclasses
import functools
import re

from closedbook.eval.evidence import dates, frequency, numbers, text, words

_REFUSAL = re.compile(
    r"\b(?:do not|don't|cannot|can't|unable to|not able to|no) "
    r"(?:have (?:access|information|enough|any|specific|real)|know|provide|information|"
    r"determine|find|definitive|answer)"
    r"|\bunknown\b|\bas an ai\b|not (?:clear|known|specified|sure|certain|available|enough)"
    r"|\b(?:i'm|i am) (?:sorry|not sure)|n/a\b|\bunclear\b|more (?:context|information|details)"
    r"|could you (?:please )?(?:provide|clarify|specify)|please (?:provide|clarify|specify|check)"
)
_HEDGE = re.compile(
    r"\b(?:may|might|possibly|perhaps|probably|likely|believed|depends?|vary|varies|however|"
    r"although|it is possible|several|various|some|often|typically|generally|such as|example)\b"
)
_LIST_CUT = re.compile(r",? and |,? & |[;,\n]| or | as well as ")


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """An answer taken apart."""

    text: text.Text
    dates: tuple[dates.Date, ...]
    numbers: tuple[numbers.Number, ...]  # those that are no part of a date
    stems_joined: str  # content stems between spaces
    weights: dict[str, float]  # content stem to the weight of its rarity
    total: float  # sum of the weights
    negated: bool
    refusal: bool
    hedges: int
    items: int  # parts of a list
    initials: str  # first letters of all words
    content_initials: str
    caps: frozenset[str]  # stems of words with a capital, the first of the text left out
    by_letter: dict[str, list[str]]  # stems by their first letter


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """A question taken apart."""

    kind: str
    keys: frozenset[str]
    words: frozenset[str]
    length: int
    negated: bool


KINDS = (
    "who", "when", "where", "how many", "how much", "how", "what", "which", "why", "other",
)  # fmt: skip
_WHO = frozenset("who whose whom singer actor actress author".split())


@functools.lru_cache(maxsize=1 << 16)
def parse(answer: str) -> Answer:
    """Takes an answer apart."""
    parsed = text.parse(answer)
    found_dates: tuple[dates.Date, ...] = ()
    found_numbers: tuple[numbers.Number, ...] = ()
    if any(map(dates.possible, parsed.words)):
        found_dates = tuple(dates.find(parsed.words, parsed.gaps))
    if any(map(numbers.simple, parsed.words)):
        found_numbers = tuple(numbers.find(parsed.words, parsed.stems, parsed.capital))
        if found_dates:
            taken = {place for date in found_dates for place in range(date.start, date.end)}
            found_numbers = tuple(n for n in found_numbers if n.start not in taken)
    keys = parsed.keys or frozenset(parsed.stems)
    weights = {stem: frequency.weight(stem) for stem in keys}
    content = [parsed.stems[place] for place in parsed.content] or list(parsed.stems)
    long = len(parsed.words) > 3
    lower = text.fold(answer[: text.LIMIT]).lower() if long else parsed.plain
    by_letter: dict[str, list[str]] = {}
    for stem in keys:
        by_letter.setdefault(stem[0], []).append(stem)
    return Answer(
        text=parsed,
        dates=found_dates,
        numbers=found_numbers,
        stems_joined=f" {' '.join(content)} ",
        weights=weights,
        total=sum(weights.values()),
        negated=not words.NEGATION.isdisjoint(parsed.words),
        refusal=_REFUSAL.search(lower) is not None,
        hedges=len(_HEDGE.findall(lower)) if long else 0,
        items=len(_LIST_CUT.split(lower)) if len(parsed.words) > 1 else 1,
        initials="".join([word[0] for word in parsed.words]),
        content_initials="".join([parsed.words[place][0] for place in parsed.content]),
        caps=frozenset(
            [
                stem
                for place, (stem, capital) in enumerate(
                    zip(parsed.stems, parsed.capital, strict=True)
                )
                if capital and place and stem in keys
            ]
        ),
        by_letter=by_letter,
    )


@functools.lru_cache(maxsize=1 << 14)
def parse_question(question: str) -> Question:
    """Takes a question apart.

    >>> parse_question("how many seasons of lost girl are there").kind
    'how many'
    """
    parsed = text.parse(question)
    return Question(
        kind=_kind(parsed.words),
        keys=parsed.keys,
        words=frozenset(parsed.words),
        length=len(parsed.words),
        negated=not words.NEGATION.isdisjoint(parsed.words),
    )


def _kind(found: tuple[str, ...]) -> str:
    for place, word in enumerate(found):
        after = found[place + 1] if place + 1 < len(found) else ""
        if word in _WHO:
            return "who"
        if word == "when" or (word in ("what", "which") and after in ("year", "date", "day")):
            return "when"
        if word == "where":
            return "where"
        if word == "how":
            if after in ("many", "old", "long", "tall", "far", "big", "fast", "often"):
                return "how many"
            return "how much" if after == "much" else "how"
        if word in ("what", "which", "why"):
            return word
    return "other"
