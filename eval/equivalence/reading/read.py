"""What a prediction asserts as the answer, and what only stands in it.

Nothing here looks at the acceptable answers.
"""

import functools
import re
from collections.abc import Iterable

from closedbook.eval.equivalence.evidence import answer
from closedbook.eval.equivalence.evidence import text as texts
from closedbook.eval.equivalence.lazy import lazy
from closedbook.eval.equivalence.reading import alternatives, blocks, denials, roles, sentences
from closedbook.eval.equivalence.reading.alternatives import Alternatives

_WRAPPING = ("<", "{", "\\", "[", "◁", "\n", ":", "~", "####", "nswer")
_PARTING = (",", ";", "/", "|", "\n")
_LISTED = re.compile(r"[,;/|\n]|\bbetween\b|\?\s|\bor\b|\d[.)]\s|\bmaybe\b|\bperhaps\b", re.I)
_DOUBTFUL = texts.DENYING | texts.TURNING | texts.RELATING
_DENIED = re.compile(r"\b(?:not|never|cannot|\w+n't|isnt|wasnt|doesnt|didnt|except|without)\b")
_ASKING = re.compile(
    r"\W*(?:who|whom|whose|what|when|where|which|why|how|is|are|was|were|do|does|did|can|could)\b",
    re.I,
)
_NEXT = re.compile(r"\W*(?:who|whom|whose|what|when|where|which|why|how)\b", re.I)
_PARTED = re.compile(r"\s*(?:[^\w\s,'\"(]|\n|$)")
_WORDS = re.compile(r"[^\W_]+")


class Reading:
    """A prediction as it is judged."""

    def __init__(self, prediction: str, question: str) -> None:
        wrapped = sentences.holds(prediction, _WRAPPING)
        text = blocks.strip(prediction) if wrapped else prediction
        text = _without_question(text[: texts.LIMIT], question)
        self.text = text  # without reasoning, wrappers and what was run on to
        self.cut = text is not prediction  # whether the text is shorter than the prediction
        self._question = question
        self._flags = answer.parse(text).flags

    @lazy
    def _turning(self) -> bool:
        """Whether a word may deny something."""
        return bool(self._flags & (texts.DENYING | texts.TURNING)) or "?" in self.text

    @property
    def doubtful(self) -> bool:
        """Whether a word may deny something, or relate the answer with something else."""
        return bool(self._flags & _DOUBTFUL) or "?" in self.text

    @lazy
    def _straight(self) -> str:
        return sentences.straight(self.text)

    @lazy
    def _plain(self) -> str:
        """The text as patterns of denials and relations read it."""
        hidden = sentences.hidden(self._straight)
        return denials.harmless(hidden) if self._turning else hidden

    @lazy
    def affirmed(self) -> str:
        """The text without what it denies."""
        if not self._turning:
            return self.text
        held = denials.possible(self._straight, bool(self._flags & texts.FOREIGN_DENYING))
        if held is None:
            return self.text
        asked = self._question.lower()
        denied = denials.find(self._plain, asked, bool(_DENIED.search(asked)), held)
        return _without(self.text, [*denied, *_questions(self._plain)])

    @lazy
    def named(self) -> str:
        """What is affirmed, without names that it only compares or relates with."""
        asked = self._question.lower()
        if not self._flags & texts.RELATING or not roles.possible(self._straight, asked):
            return self.affirmed
        return _without(self.affirmed, roles.find(self._plain, asked))

    @lazy
    def alternatives(self) -> Alternatives:
        """The answers among which it does not choose; none of most texts."""
        affirmed = self.affirmed
        return alternatives.find(affirmed) if _listed(affirmed, self._flags) else alternatives.NONE


@functools.lru_cache(maxsize=1 << 15)
def read(prediction: str, question: str) -> Reading:
    """Reads a prediction; most are what they assert.

    >>> read("It is Lyon, not Paris", "capital of france").affirmed.split()
    ['It', 'is', 'Lyon,']
    >>> read("Paris", "capital of france").affirmed
    'Paris'
    """
    return Reading(prediction, question)


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
