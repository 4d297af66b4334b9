"""Names that a text only compares with, or that another is named after: "older than Tom"."""

import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

from closedbook.eval.equivalence.reading import sentences

Span = tuple[int, int]

_COMPARED = re.compile(
    r"\b(?:\w{2,}er|more|less|fewer|better|worse|farther|further)\b(?:\s+[\w'-]+){0,4}?\s+than\s+"
    r"(?!\d|\$|£|€|(?:a|an|one|two|three|four|five|six|seven|eight|nine|ten|any|anyone|anything|half|"
    r"twice|that|those|the (?:rest|others?|average|previous|first|second|third|other)|it|he|she|"
    r"they|expected|usual|before|ever|most|all|just|previously|any|hundred|once)\b)",
    re.I,
)
_OPPOSITES = {
    "older": "younger", "taller": "shorter", "bigger": "smaller", "larger": "smaller",
    "faster": "slower", "heavier": "lighter", "higher": "lower", "longer": "shorter",
    "richer": "poorer", "better": "worse", "earlier": "later", "more": "less", "hotter": "colder",
    "warmer": "colder", "wider": "narrower", "deeper": "shallower", "stronger": "weaker",
    "closer": "farther", "nearer": "farther", "harder": "softer", "newer": "older",
}  # fmt: skip
_OPPOSITES |= {b: a for a, b in _OPPOSITES.items()}
_OPPOSITES |= {"less": "more", "fewer": "more", "smaller": "bigger"}
_WINNING = re.compile(
    r"\b(?:who|which|what|whom)\b.*\b(?:won|wins?|winners?|winning|champions?|victor(?:y|ious)?|beat|"
    r"defeated|triumphed|came first)\b",
    re.I,
)
_LOSING = re.compile(
    r"\b(?:lost|loses?|losing|lose|loser|runners?[- ]up|did .* (?:beat|defeat)|was .* (?:beaten|"
    r"defeated)|"
    r"were .* (?:beaten|defeated)|against whom|finalists?|play(?:ed)? against|opponents?)\b",
    re.I,
)
_BEATEN = re.compile(
    r"\b(?:beat|beats|beating|defeat(?:s|ed|ing)?|overcame|overcoming|edged|outlasted|outplayed|thrash(?:ed|ing)|"
    r"rout(?:ed|ing)|downed|vanquished|conquered|triumph(?:ed|ing)? over|(?:won|win|victory|"
    r"prevailed)(?:\s+[\w'-]+){0,4}?\s+(?:against|over))\s+(?!by\b)",
    re.I,
)
_BEATEN_BY = re.compile(
    r"\b(?:(?:was|were|been|got|being)\s+(?:\w+ly )?(?:beaten|defeated|overcome|edged|outplayed|"
    r"routed)\s+by|lost\s+(?:[\w'-]+\s+){0,4}?to)\s+",
    re.I,
)
_RELATED = re.compile(
    r"\b(?:friend|son|daughter|wife|husband|brother|sister|father|mother|cousin|nephew|niece|uncle|"
    r"aunt|student|pupil|disciple|teacher|colleague|rival|grandson|granddaughter|widow|widower|"
    r"contemporary|neighbou?r|fan|mentor|prot[eé]g[eé]|descendant|grandfather|grandmother|"
    r"stepson|stepfather|in-law|lover|mistress|fianc[eé]e?|parents?|child|children|siblings?|"
    r"secretary|imitator|admirer|namesake|biographer|translator|suburb|neighbour|enemy)\s+of\s+",
    re.I,
)
_NONE: frozenset[str] = frozenset()
_CHILDREN = frozenset("son daughter child children stepson".split())
_PARENTS = frozenset("father mother parent parents stepfather dad mom".split())
_PUPILS = frozenset("student pupil disciple".split())
_TEACHERS = frozenset("teacher mentor master taught tutor".split())
_SPOUSES = frozenset("wife husband widow widower spouse married".split())
_INVERSE = (
    dict.fromkeys(_CHILDREN, _PARENTS)
    | dict.fromkeys(_PARENTS, _CHILDREN)
    | dict.fromkeys(_PUPILS, _TEACHERS)
    | dict.fromkeys(_TEACHERS, _PUPILS)
    | dict.fromkeys(_SPOUSES, _SPOUSES)
)
"""What somebody is to whom this is what he is."""
_POSSESSED = re.compile(
    r"(?:[A-Z][\w.-]*\s+)*[A-Z][\w.-]*'s?\s+(?=(?:\w+\s+)?(?:friend|son|daughter|wife|husband|brother|sister|"
    r"father|mother|cousin|nephew|niece|uncle|aunt|student|teacher|colleague|rival|widow|mentor|"
    r"grandfather|grandmother|lover|parents?|children|secretary|biographer|enemy|dog|ghost)\b)"
)
_NEAR = re.compile(
    r"(?<=[,(])\s*(?:just |very )?(?:near|close to|not far from|(?:north|south|east|west|"
    r"northeast|northwest|southeast|southwest)(?:ern)? "
    r"of|outside(?: of)?|next to|adjacent to|bordering|across from|opposite)\s+",
    re.I,
)
_RANKED = re.compile(
    r"\b(?:second|third|fourth|fifth|next|2nd|3rd|4th|5th)[- ]+(?:most \w+|\w+est)\b"
    r"|\brunners?[- ]up\b",
    re.I,
)
# Parts of words without which a pattern cannot match.
_RANKS = ("second", "third", "fourth", "fifth", "next", "2nd", "3rd", "4th", "5th", "runner")
_POSSESSABLE = (
    *("friend", "son", "daughter", "wife", "husband", "brother", "sister", "father", "mother"),
    *("cousin", "nephew", "niece", "uncle", "aunt", "student", "teacher", "colleague", "rival"),
    *("widow", "mentor", "lover", "parent", "child", "secretary", "biographer", "enemy", "dog"),
    "ghost",
)
_RELATIONS = (
    *_POSSESSABLE,
    *("than", "pupil", "disciple", "contemporary", "neighbo", "fan", "prot", "descendant"),
    *("in-law", "mistress", "fianc", "sibling", "imitator", "admirer", "namesake", "translator"),
    "suburb",
)
_BESIDE = (
    *("near", "close", "far from", "north", "south", "east", "west", "outside", "next"),
    *("adjacent", "border", "across", "opposite"),
)
_END = re.compile(
    r"[,;:!?()\n\"]|\s-+\s|\.(?=\s|$)|\s(?:and|but|in|on|at|by|with|who|which|that|for|during|as|is|was|"
    r"were|are|had|has|did|does|do|will|would|can)\s",
    re.I,
)


class _Asked(NamedTuple):
    """What a question asks for, as far as it matters here."""

    winning: bool
    losing: bool
    ranked: bool
    words: frozenset[str]


@functools.lru_cache(maxsize=1 << 12)
def _asked(question: str) -> _Asked:
    return _Asked(
        _WINNING.search(question) is not None,
        _LOSING.search(question) is not None,
        _RANKED.search(question) is not None,
        frozenset(question.split()),
    )


def possible(text: str, question: str) -> bool:
    """Whether a text may name another than the answer; most do not."""
    asked = _asked(question)
    said = text.lower()
    return (
        (asked.winning and not asked.losing)
        or sentences.holds(said, _RELATIONS)
        or sentences.holds(said, _RANKS)
        or sentences.holds(said, _BESIDE)
    )


def find(text: str, question: str) -> Iterator[Span]:
    """The places of names that are not the answer, in no order.

    Args:
        text: The text, its quotes and dashes straight.
        question: The question, in lower case.

    >>> def aside(text, question):
    ...     return [text[start:end].strip() for start, end in find(text, question)]
    >>> aside("Jerry is older than Tom", "who is older")
    ['than Tom']
    >>> aside("The second longest is the Nile; it is the Amazon", "what is the longest river")
    ['The second longest is the Nile']
    >>> aside("Italy beat Spain in 2012", "who won"), aside("the wife of Bo", "who was he")
    (['beat Spain'], ['of Bo'])
    """
    said = text.lower()
    asked = _asked(question)
    for match in _COMPARED.finditer(text) if "than" in said else ():
        than = match[0].lower().rindex("than") + match.start()
        adjective = match[0].split()[0].lower()
        contrary = _OPPOSITES.get(adjective)
        if contrary and contrary in asked.words and adjective not in asked.words:
            start = 0
            for boundary in sentences.BOUNDARY.finditer(text, 0, match.start()):
                start = boundary.end()
            yield start, than  # "Ann is shorter than Bo" asked who is taller
        else:
            yield than, _end(text, match)
    if asked.winning and not asked.losing:
        for match in _BEATEN_BY.finditer(text):
            start = 0
            for boundary in sentences.BOUNDARY.finditer(text, 0, match.start()):
                start = boundary.end()
            yield start, match.end()
        for match in _BEATEN.finditer(text):
            yield match.start(), _end(text, match)
    if not asked.ranked and not asked.losing and sentences.holds(said, _RANKS):
        yield from _ranked(text, question)
    if " of " in text:
        for match in _RELATED.finditer(text):
            if not _INVERSE.get(match[0].split()[0].lower(), _NONE).isdisjoint(asked.words):
                continue  # "Solomon, son of David" says who was the father of Solomon
            yield match[0].rindex("of") + match.start(), _end(text, match)
    if "'" in text and sentences.holds(text, _POSSESSABLE):
        for match in _POSSESSED.finditer(text):
            yield match.span()
    for match in _NEAR.finditer(text) if sentences.holds(said, _BESIDE) else ():
        if match[0].split()[0].lower() not in question:
            yield match.start(), _end(text, match)


def _ranked(text: str, question: str) -> Iterator[Span]:
    """Clauses on the second of what is asked for: "the second longest is the Nile"."""
    for match in _RANKED.finditer(text):
        best = match[0].split()[-1].lower()
        if best.endswith("est") and best not in question:
            continue
        if "up" in match[0].lower() and not _asked(question).winning:
            continue
        start = 0
        for boundary in sentences.BOUNDARY.finditer(text, 0, match.start()):
            start = boundary.end()
        after = sentences.BOUNDARY.search(text, match.end())
        yield start, after.start() if after else len(text)


def _end(text: str, match: re.Match[str]) -> int:
    found = _END.search(text, match.end())
    return found.start() if found else len(text)
