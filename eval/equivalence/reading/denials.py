"""What a text denies: the places of "not Lyon", "anyone but Lyon", "many think of Lyon, but"."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from closedbook.eval.equivalence.reading import patterns, sentences

Span = tuple[int, int]
_BUT = re.compile(r"\s+but\s+", re.I)


class Possible(NamedTuple):
    """What a text may hold at all, by the parts of words that stand in it."""

    corrected: bool
    asking: bool
    popular: bool
    untrue: bool
    whether: bool
    until: bool
    verbs: patterns.Marked
    phrases: patterns.Marked


def possible(text: str, foreign: bool = True) -> Possible | None:
    """What a text may hold; None where it denies nothing, as most do not.

    Args:
        text: The text, its quotes straight.
        foreign: Whether a word may be a "not" of another language.
    """
    said = text.lower()
    found = Possible(
        sentences.holds(said, patterns.CORRECTING),
        "?" in text,
        sentences.holds(said, patterns.SAID) and sentences.holds(said, patterns.TURNING),
        sentences.holds(said, patterns.UNTRUE_THAT),
        sentences.holds(said, patterns.WHETHER),
        sentences.holds(said, patterns.UNTIL_WORDS) and sentences.holds(said, patterns.NEGATIVE),
        tuple([marked for marked in patterns.VERBS if sentences.holds(said, marked[1])]),
        tuple(
            [
                marked
                for marked in patterns.PHRASES
                if (sentences.holds(said, marked[1]) if marked[1] else foreign)
            ]
        ),
    )
    return found if any(found) else None


def find(text: str, question: str, asked_denied: bool, held: Possible) -> Iterator[Span]:
    """The places that a text denies, in no order.

    Args:
        text: The text as `sentences.hidden` and `harmless` give it.
        question: The question, in lower case.
        asked_denied: Whether the question itself holds a denial; then only what is plainly put
            aside counts.
        held: What it may hold.

    >>> def denied(text, question=""):
    ...     found = find(harmless(sentences.hidden(text)), question, False, possible(text))
    ...     return [text[start:end].strip() for start, end in found]
    >>> denied("Lyon, not Paris"), denied("Paris did not win"), denied("It was none other than Bo")
    (['not Paris'], ['Paris did not win'], [])
    >>> denied("Many think it was Paris, but it was Lyon.")
    ['Many think it was Paris, but']
    """
    corrected = _corrected(text[:300]) if held.corrected else 0
    if corrected:
        yield 0, corrected
    if not any(held[1:]):
        return
    found = list(sentences.split(text))
    for number, (start, end) in enumerate(found) if any(held[2:]) else ():
        if end <= corrected:
            continue
        following = text[slice(*found[number + 1])] if number + 1 < len(found) else ""
        for first, last in _in_sentence(text[start:end], following, question, asked_denied, held):
            yield start + first, start + last
    if held.asking:
        for match in patterns.ANSWERED_NO.finditer(text):
            before = [first for first, last in found if first <= match.start()]
            yield before[-1] if before else 0, match.end()


def harmless(text: str) -> str:
    """The text with crosses in place of what denies nothing although a word in it does.

    >>> harmless("No doubt Paris")
    'xxxxxxxx Paris'
    """
    said = text.lower()
    if sentences.holds(said, patterns.HARMLESS_WORDS) and sentences.holds(
        said, patterns.HARMLESS_WITH
    ):
        text = patterns.HARMLESS.sub(_crossed, text)
    # Titles: "I Write Sins Not Tragedies".
    return text if text.count('"') < 2 else patterns.QUOTED.sub(_crossed_title, text)


def _crossed(match: re.Match[str]) -> str:
    return "x" * len(match[0])


def _crossed_title(match: re.Match[str]) -> str:
    title = match[0].lstrip()  # the blanks stay: what is denied begins behind them
    return " " * (len(match[0]) - len(title)) + "x" * len(title)


def _corrected(text: str) -> int:
    """The place from which a speaker who takes words back says what is meant."""
    place = 0
    for match in patterns.CORRECTED.finditer(text):
        if (
            any(letter.isalnum() for letter in text[: match.start()])
            and text[match.end() :].strip()
        ):
            place = match.end()
    # Long texts correct a detail, not the answer.
    return place if place <= 200 else 0


def _in_sentence(
    sentence: str, following: str, question: str, asked_denied: bool, held: Possible
) -> Iterator[Span]:
    said = sentence.lower()
    turning = held.popular and (
        sentences.holds(said, patterns.TURNING)
        or (following and sentences.holds(following.lower(), patterns.TURNING))
    )
    popular = _popular(sentence, following) if turning else None
    if popular:
        yield popular
        if popular[1] - popular[0] >= len(sentence.strip()):
            return
    if held.untrue and " that" in said and patterns.IT_IS_UNTRUE.search(sentence):
        yield 0, len(sentence)
        return
    if (
        held.whether
        and sentences.holds(said, patterns.WHETHER)
        and patterns.WONDERING.search(sentence)
    ):
        yield 0, len(sentence)
        return
    denying = held.until and not asked_denied and sentences.holds(said, patterns.NEGATIVE)
    until = patterns.UNTIL.search(sentence) if denying else None
    if until:
        yield until.span()
        sentence = sentence[: until.start()] + "x" * len(until[0]) + sentence[until.end() :]
    for pattern, marks in held.verbs:
        if not sentences.holds(said, marks):
            continue
        for match in pattern.finditer(sentence):
            if patterns.ALONE.match(sentence, match.end()):
                continue  # "did not found it alone" says that others helped
            if asked_denied and not (
                patterns.PRONOUN.match(sentence) or patterns.WRONG.search(match[0])
            ):
                continue  # "Venus has no moon" answers what is asked
            if pattern is patterns.GAVE_UP and match[0].split()[0][:4].lower() in question:
                continue
            yield from _clause(sentence, match)
    for pattern, marks in held.phrases:
        if marks and not sentences.holds(said, marks):
            continue
        for match in pattern.finditer(sentence):
            if patterns.VERB_BEFORE.search(sentence, 0, match.start()):
                continue
            if asked_denied and (
                patterns.EXCEPT.search(match[0])
                or not patterns.SET_OFF.search(sentence, 0, match.start())
            ):
                continue
            start = match.end() if pattern is patterns.ALL_BUT else match.start()
            yield start, _phrase_end(sentence, match)


def _popular(sentence: str, following: str) -> Span | None:
    """What people are said to think, where the text then says otherwise."""
    said = patterns.SAYING.search(sentence)
    if not said:
        return None
    subordinate = patterns.SUBORDINATE.match(sentence)
    if subordinate and said.start() < subordinate.end():
        return subordinate.span()
    turn = patterns.TURN.search(sentence, said.end())
    who = patterns.WHO_SAYS.search(sentence)
    if turn and who and who.start() < turn.start():
        return 0, turn.end()
    though = patterns.THOUGH_THEY_SAY.search(sentence)
    if though:
        return though.span()
    if (
        patterns.BEGINS_SO.match(sentence)
        and said.start() < 60
        and patterns.TURNED.match(following)
    ):
        return 0, len(sentence)
    return None


def _clause(sentence: str, match: re.Match[str]) -> Iterator[Span]:
    """The clause around a denying verb; of "is not Lyon but Paris" the middle."""
    end = _phrase_end(sentence, match)
    middle = _BUT.search(sentence, match.end(), end)
    if middle is None and sentence[:end].rstrip().lower().endswith(" but"):
        yield match.start(), end  # "not Paris but"
        return
    if patterns.BY_DEGREE.match(sentence, match.end()):
        yield match.start(), end  # "is not very tall" says nothing of who it is
        return
    start = 0
    for boundary in sentences.BOUNDARY.finditer(sentence, 0, match.start()):
        start = boundary.end()
    if not sentence[start : match.start()].strip():  # behind an apposition
        start = 0
    for joint in patterns.JOINT.finditer(sentence, start, match.start()):
        if patterns.VERB.search(sentence, start, joint.start()) or joint[0].strip() != "and":
            start = joint.start()
    found = patterns.RELATIVE.finditer(sentence, start, match.start())
    relative = max(found, key=re.Match.start, default=None)
    if relative is not None and sentence[: relative.start()].strip():
        start = relative.start()
    yield start, end


def _phrase_end(sentence: str, match: re.Match[str]) -> int:
    """Where what a word denies ends; a "but" behind it belongs to it."""
    boundary = sentences.BOUNDARY.search(sentence, match.end())
    if boundary and boundary[0] == "," and not sentence[match.end() : boundary.start()].strip():
        after = sentences.BOUNDARY.search(sentence, boundary.end())  # "did not, in fact, win"
        boundary = after and sentences.BOUNDARY.search(sentence, after.end())
    while boundary and boundary[0] == "(":
        closed = sentence.find(")", boundary.end())
        boundary = sentences.BOUNDARY.search(sentence, closed + 1) if closed >= 0 else None
    end = boundary.start() if boundary else len(sentence)
    joint = patterns.NEXT_CLAUSE.search(sentence, match.end(), end)
    if joint is None:
        return end
    return joint.end() if joint[0].strip().lower().startswith("but") else joint.start()
