"""What a prediction asserts as the answer, and what only stands in it.

Nothing here looks at the acceptable answers.
"""

import functools
import re
from collections.abc import Iterable
from typing import NamedTuple

from closedbook.eval.equivalence.evidence import answer
from closedbook.eval.equivalence.evidence import text as texts
from closedbook.eval.equivalence.reading import alternatives, blocks, denials, roles, sentences
from closedbook.eval.equivalence.reading.alternatives import Alternatives

_WRAPPING = ("<", "{", "\\", "[", "◁", "\n", ":", "~", "####", "nswer")
_PARTING = (",", ";", "/", "|", "\n")
_LISTED = re.compile(r"[,;/|\n]|\bbetween\b|\?\s|\bor\b|\d[.)]\s|\bmaybe\b|\bperhaps\b", re.I)
_DENIED = re.compile(r"\b(?:not|never|cannot|\w+n't|isnt|wasnt|doesnt|didnt|except|without)\b")
_ASKING = re.compile(
    r"\W*(?:who|whom|whose|what|when|where|which|why|how|is|are|was|were|do|does|did|can|could)\b",
    re.I,
)
_NEXT = re.compile(r"\W*(?:who|whom|whose|what|when|where|which|why|how)\b", re.I)
_PARTED = re.compile(r"\s*(?:[^\w\s,'\"(]|\n|$)")
_WORDS = re.compile(r"[^\W_]+")


class Reading(NamedTuple):
    """A prediction as it is judged."""

    text: str  # without reasoning, wrappers and what was run on to
    affirmed: str  # the text without what it denies
    named: str  # the text without names that it only compares or relates with
    alternatives: Alternatives
    cut: bool  # whether the text is shorter than the prediction


@functools.lru_cache(maxsize=1 << 15)
def read(prediction: str, question: str) -> Reading:
    """Reads a prediction; most are what they assert.

    >>> read("It is Lyon, not Paris", "capital of france").affirmed.split()
    ['It', 'is', 'Lyon,']
    >>> read("Paris", "capital of france").affirmed
    'Paris'
    """
    wrapped = sentences.holds(prediction, _WRAPPING)
    text = blocks.strip(prediction) if wrapped else prediction
    text = _without_question(text[: texts.LIMIT], question)
    cut = text is not prediction
    flags = answer.parse(text).flags
    affirmed = named = text
    plain = ""
    straight = sentences.straight(text)
    if flags & (texts.DENYING | texts.TURNING) or "?" in text:
        held = denials.possible(straight, bool(flags & texts.FOREIGN_DENYING))
        if held is not None:
            asked = question.lower()
            plain = denials.harmless(sentences.hidden(straight))
            asked_denied = bool(_DENIED.search(asked))
            denied = [*denials.find(plain, asked, asked_denied, held), *_questions(plain)]
            affirmed = named = _without(text, denied)
    if flags & texts.RELATING and roles.possible(straight, question.lower()):
        plain = plain or sentences.hidden(straight)
        named = _without(affirmed, roles.find(plain, question.lower()))
    listed = alternatives.find(affirmed) if _listed(affirmed, flags) else alternatives.NONE
    return Reading(text, affirmed, named, listed, cut)


def _listed(text: str, flags: int) -> bool:
    """Whether a text, of which the flags are known, may name several answers."""
    if sentences.holds(text, _PARTING):
        return True
    counted = texts.NUMBER | texts.CODE | texts.LISTING
    plain = text.isascii() and "'" not in text and "?" not in text
    return not (plain and not flags & counted) and _LISTED.search(text) is not None


def _without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """The text with blanks in place of what is left out, so that all else keeps its place."""
    kept = None
    for start, end in spans:
        kept = kept or list(text)
        kept[start:end] = " " * (end - start)
    return text if kept is None else "".join(kept)


def _questions(text: str) -> list[tuple[int, int]]:
    """Sentences that ask, where others tell."""
    if "?" not in text:
        return []
    found = list(sentences.split(text))
    asking = [
        (start, end)
        for start, end in found
        if text[start:end].rstrip("\"' ").endswith("?") and _ASKING.match(text, start)
    ]
    told = [part for part in found if part not in asking and _WORDS.search(text, *part)]
    if not told or not asking:
        return []
    if told[0] < asking[0] and _NEXT.match(text, asking[0][0]):
        return [(asking[0][0], len(text))]  # a question of its own, which the text ran on to
    return asking


def _without_question(text: str, question: str) -> str:
    """The text without a question that it repeats at its start; empty where it is nothing else.

    A text that goes on with the question's sentence ("The resting stage is called ...") tells.
    """
    if len(question) < 12 or len(text) < len(question) - 3:
        return text
    if text[:3].lower() != question[:3].lower() and text[0].isalpha():
        return text
    asked = [word.lower() for word in _WORDS.findall(question)]
    place = 0
    for number, match in enumerate(_WORDS.finditer(text)):
        if number == len(asked):
            break
        if match[0].lower() != asked[number]:
            return text
        place = match.end()
    else:
        number = len(_WORDS.findall(text))
    repeated = len(asked) > 3 and number >= len(asked)
    return text[place:] if repeated and _PARTED.match(text, place) else text
