"""An answer and a question as the judge sees them: words, numbers, dates, and their kind."""

import functools
import itertools
import re
from collections.abc import Sequence

from closedbook.eval.equivalence.evidence import dates, names, numbers, text
from closedbook.eval.equivalence.lazy import lazy

_REFUSAL = re.compile(
    r"\b(?:do not|don't|dont|cannot|can't|cant|could not|couldn't|unable to|not able to|no) "
    r"(?:(?:really|actually|quite|currently|reliably|confidently) )?"
    r"(?:have (?:access|information|enough|any|specific|real|an answer|that information)|know|"
    r"provide|information|determine|find|definitive|answers?|help|assist|say|tell|recall|remember|"
    r"identify|verify|confirm|idea|clue)\b"
    r"|\bunknown\b|\bas an ai\b|not (?:clear|known|specified|sure|certain|available|enough)"
    r"|\b(?:insufficient|lack(?:s|ing)?(?: the)?(?: necessary)?) (?:information|context|data)\b"
    r"|\bunanswerable\b|\bnot answerable\b|\bnone given\b"
    r"|\b(?:i'm|i am) (?:sorry|not sure|unsure)|n/a\b|\bunclear\b"
    r"|more (?:context|information|details)"
    r"|could you (?:please )?(?:provide|clarify|specify)|please (?:provide|clarify|specify|check)"
)
_LIST_WORDS = frozenset(("and", "or"))
_LIST_SIGNS = frozenset(",;\n&")
_DATE_WORDS = frozenset(
    "early late mid middle season year day bc bce ad ce century decade spring summer fall autumn "
    "winter since before after circa c until end begin monday tuesday wednesday thursday friday "
    "saturday sunday utc est".split()
)
_LIST_LIMIT = 40
"""Words of the longest answer that is read as a list."""
_SEPARATORS = re.compile(r"[,;&\n]")
_SIGNS = re.compile(r"[^\w\s.']")


class Answer:
    """An answer taken apart: what a judgement needs first at once, all else when asked for.

    Sequences run over its words, in order.
    """

    def __init__(self, answer: str) -> None:
        self.raw = answer
        self.folded = text.fold(answer[: text.LIMIT])
        found, self._between = text.cut_folded(self.folded)
        # All texts, all stems, ...: the fields of `text.Word`, in their order.
        fields = zip(*found, strict=True) if found else itertools.repeat((), len(text.Word._fields))
        self.words: tuple[str, ...]
        self.stems: tuple[str, ...]
        self.capital: tuple[bool, ...]
        self.words, self.stems, told, self.capital, acronym, weights, flags, undenied = fields
        self._told: tuple[bool, ...] = told
        # Stem of a word of content to its weight; of any word where there are none of content.
        pairs = zip(self.stems, weights, strict=True)
        self.weights = dict(itertools.compress(pairs, told)) or dict(
            zip(self.stems, weights, strict=True)
        )
        self.total = sum(self.weights.values())
        self.flags = 0
        for flag in set(flags):
            self.flags |= flag
        self.acronyms = (
            list(itertools.compress(self.words, acronym)) if self.flags & text.ACRONYM else []
        )
        # Stems without a prefix that denies: "direct" of "indirect".
        self.undenied = (
            [stem for stems in undenied for stem in stems] if self.flags & text.PREFIXED else []
        )
        self.plain = " ".join(self.words)
        self.commas = "," in self.folded
        self.negated = bool(self.flags & text.NEGATION)  # whether it holds "not" or its like

    @lazy
    def content(self) -> list[int]:
        """Places of the words of content."""
        return list(itertools.compress(range(len(self._told)), self._told))

    @lazy
    def gaps(self) -> list[str]:
        """The characters before each word, 12 at most."""
        if not self._between or not _SIGNS.search(self.folded):
            return [" "] * len(self.words)
        return [gap[-12:] for gap in self._between[:-1]]

    @lazy
    def dates(self) -> tuple[dates.Date, ...]:
        """The dates."""
        return tuple(dates.find(self.words, self.gaps)) if self.flags & text.DATE else ()

    @lazy
    def numbers(self) -> tuple[numbers.Number, ...]:
        """The numbers that are no part of a date, or stand alone."""
        if not self.flags & text.NUMBER:
            return ()
        found = numbers.find(self.words, self.stems, self.capital, self.gaps)
        # A lone 1000 may be a year or a thousand; it is compared as both.
        dated = self.dates if len(self.words) > 2 else [d for d in self.dates if d.grain != "year"]
        if not dated:
            return tuple(found)
        taken = {place for date in dated for place in range(date.start, date.end)}
        return tuple([number for number in found if number.start not in taken])

    @lazy
    def stems_joined(self) -> str:
        """The stems of content, each between spaces."""
        stems = [self.stems[place] for place in self.content] or self.stems
        return f" {' '.join(stems)} "

    @lazy
    def keys(self) -> frozenset[str]:
        """The stems of content."""
        return frozenset(self.weights)

    @lazy
    def by_letter(self) -> dict[str, list[str]]:
        """The stems of content by their first letter."""
        result: dict[str, list[str]] = {}
        for stem in self.weights:
            result.setdefault(stem[0], []).append(stem)
        return result

    @lazy
    def refusal(self) -> bool:
        """Whether it says that it gives no answer."""
        if not self.flags & text.REFUSAL:
            return False
        return _REFUSAL.search(self.folded.lower()) is not None

    @lazy
    def hedges(self) -> int:
        """Words that soften what is said."""
        if not self.flags & text.HEDGE:
            return 0
        return sum(word in text.HEDGING for word in self.words)

    @lazy
    def items(self) -> tuple[frozenset[str], ...]:
        """Stems of the parts between "and", "or", commas, ends of line; none of a long answer."""
        if len(self.words) > _LIST_LIMIT:
            return ()
        if _LIST_WORDS.isdisjoint(self.words) and not _SEPARATORS.search(self.raw):
            return (frozenset([self.stems[place] for place in self.content]),)
        items: list[frozenset[str]] = []
        current: list[str] = []
        rows = zip(self.words, self.stems, self.gaps, self._told, strict=True)
        for word, stem, gap, content in rows:
            if word in _LIST_WORDS or (gap != " " and not _LIST_SIGNS.isdisjoint(gap)):
                if current:
                    items.append(frozenset(current))
                current = []
            if content:
                current.append(stem)
        if current:
            items.append(frozenset(current))
        return tuple(items)

    @lazy
    def rest(self) -> int:
        """Words of content outside dates, numbers and their units."""
        if not self.flags & (text.DATE | text.NUMBER):
            return sum(self.stems[place] not in _DATE_WORDS for place in self.content)
        taken = {place for date in self.dates for place in range(date.start, date.end)}
        for number in self.numbers:
            taken.update(range(number.start, number.after))
        return sum(
            place not in taken and self.stems[place] not in _DATE_WORDS for place in self.content
        )

    @lazy
    def person(self) -> list[str]:
        """The words without titles and suffixes; none of a long answer."""
        return names.core(self.words) if 0 < len(self.words) <= 8 else []

    @lazy
    def name_share(self) -> float:
        """The share of its words with a capital."""
        return sum(self.capital) / (len(self.words) or 1)

    @lazy
    def initials(self) -> tuple[str, str]:
        """First letters of all words, and of those of content."""
        return (
            "".join([word[0] for word in self.words]),
            "".join([self.words[place][0] for place in self.content]),
        )

    @lazy
    def caps(self) -> frozenset[str]:
        """Stems of content with a capital, the first word left out."""
        return frozenset(
            [self.stems[place] for place in self.content if place and self.capital[place]]
        )


class Question:
    """A question taken apart when asked for: most wrong answers are told without it."""

    def __init__(self, question: str) -> None:
        self.raw = question

    @lazy
    def _cut(self) -> list[text.Word]:
        return text.cut(self.raw)

    @lazy
    def words(self) -> frozenset[str]:
        """Its words."""
        return frozenset([word.text for word in self._cut])

    @lazy
    def keys(self) -> frozenset[str]:
        """The stems of content."""
        return frozenset([word.stem for word in self._cut if word.content])

    @lazy
    def kind(self) -> str:
        """What it asks for, one of `KINDS`."""
        return _kind([word.text for word in self._cut])

    @lazy
    def length(self) -> int:
        """The number of its words."""
        return len(self._cut)

    @lazy
    def negated(self) -> bool:
        """Whether it holds "not", "never" or their like."""
        return any(word.flags & text.NEGATION for word in self._cut)


KINDS = (
    "who", "when", "where", "how many", "how much", "how", "what", "which", "why", "other",
)  # fmt: skip
"""What a question asks for."""
_WHO = frozenset("who whose whom singer actor actress author".split())
_MEASURED = frozenset("many old long tall far big fast often high deep large".split())


@functools.lru_cache(maxsize=1 << 16)
def parse(answer: str) -> Answer:
    """Takes an answer apart; of a text longer than `text.LIMIT` only the beginning."""
    return Answer(answer)


@functools.lru_cache(maxsize=1 << 15)
def parse_question(question: str) -> Question:
    """Takes a question apart.

    >>> parse_question("how many seasons of lost girl are there").kind
    'how many'
    """
    return Question(question)


def _kind(found: Sequence[str]) -> str:
    for place, word in enumerate(found):
        after = found[place + 1] if place + 1 < len(found) else ""
        if word in _WHO:
            return "who"
        if word == "when" or (word in ("what", "which") and after in ("year", "date", "day")):
            return "when"
        if word == "where":
            return "where"
        if word == "how":
            if after in _MEASURED:
                return "how many"
            return "how much" if after == "much" else "how"
        if word in ("what", "which", "why"):
            return word
    return "other"
