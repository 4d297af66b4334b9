"""Changes of predictions that would let exact match see the answer in them, found in the file.

No word is expected: a prefix is the words with which many predictions begin, a marker a word with
a colon that stands inside many.
"""

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence

from closedbook.eval import protocols
from closedbook.eval.diagnosis.results import Kind
from closedbook.eval.predictions import Prediction

_COMMON = 0.05  # share of the predictions from which words are a habit of the file
_GOLD = 0.02  # share of the gold answers that may begin or end like them
_MOST_WORDS = 8  # of a prefix
_MARKER = re.compile(r"(?<!\S)[^\s:]{1,20}:(?=\s|$)|####|</\w{1,20}>")
_TRIED = 3  # prefixes, suffixes or markers of a kind
_READ = 1000  # characters of a text that are looked at
_LOOKED_AT = 5000  # predictions in which words and markers are counted, evenly spread


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """A change of predictions."""

    kind: Kind
    what: str  # about the predictions, after their number: 'begin with "Answer:"'
    remedy: str  # what the change does: "without it"
    apply: Callable[[str], str]


def found(rows: Sequence[Prediction]) -> list[Change]:
    """The changes worth trying on a file.

    Args:
        rows: The predictions.
    """
    step = 1 + len(rows) // _LOOKED_AT
    texts = [row.prediction[:_READ] for row in rows[::step]]
    golds = [answer[:_READ] for row in rows[::step] for answer in row.answers[:1]]
    return [
        *_wrapped(texts),
        *(_prefix(words) for words in _edges(texts, golds, first=True)),
        *_stops(texts),
        *(_suffix(words) for words in _edges(texts, golds, first=False)),
        *(change for marker in _markers(texts) for change in _at(marker)),
        *_lines(texts),
    ]


def pairs(changes: Sequence[Change]) -> list[Change]:
    """One change of where predictions begin with one of where they end: neither may help alone."""
    starts = [change for change in changes if change.kind in (Kind.PREFIX, Kind.LAST)]
    ends = [change for change in changes if change.kind in (Kind.RUN_ON, Kind.SUFFIX)]
    return [_both(start, end) for start in starts for end in ends]


def _both(start: Change, end: Change) -> Change:
    return Change(
        kind=start.kind,
        what=f"{start.what} and {end.what}",
        remedy=f"{start.remedy} and {end.remedy}",
        apply=lambda text: end.apply(start.apply(text)),
    )


def _edges(texts: Sequence[str], golds: Sequence[str], *, first: bool) -> list[str]:
    """Words with which many predictions begin, or end, and gold answers do not; longest first."""

    def edges(text: str) -> list[str]:
        words = text.split()
        # The answer itself is to be left: a prediction of these words alone says nothing.
        most = min(_MOST_WORDS, len(words) - 1)
        cut = (words[:n] if first else words[-n:] for n in range(1, most + 1))
        return [" ".join(each) for each in cut]

    counts = Counter(words for text in texts for words in edges(text))
    known = Counter(words for text in golds for words in [*edges(text), text])
    many = [
        words
        for words, count in counts.items()
        if count >= max(_COMMON * len(texts), 2) and known[words] <= _GOLD * len(golds)
    ]
    # Of "The answer", "The answer is" the longer one that is as frequent.
    many.sort(key=lambda words: (-counts[words] // max(1, len(texts) // 50), -len(words)))
    return many[:_TRIED]


def _prefix(words: str) -> Change:
    pattern = re.compile(r"\s*" + r"\s+".join(map(re.escape, words.split())) + r"(?=\s)\s*")

    def apply(text: str) -> str:
        start = pattern.match(text)
        return text[start.end() :] if start else text

    return Change(
        kind=Kind.PREFIX, what=f"begin with {_quoted(words)}", remedy="without it", apply=apply
    )


def _suffix(words: str) -> Change:
    pattern = re.compile(r"\s*(?<=\s)" + r"\s+".join(map(re.escape, words.split())) + r"\s*$")

    def apply(text: str) -> str:
        end = pattern.search(text, max(len(text) - len(words) - 100, 0))
        return text[: end.start()] if end else text

    return Change(
        kind=Kind.SUFFIX, what=f"end with {_quoted(words)}", remedy="without it", apply=apply
    )


def _stops(texts: Sequence[str]) -> list[Change]:
    signs = {"\n": "a line break", ". ": "a full stop", ",": "a comma"}
    return [
        Change(
            kind=Kind.RUN_ON,
            what=f"go on after {name}",
            remedy="cut there",
            apply=_cutter(sign),
        )
        for sign, name in signs.items()
        if any(sign in text.strip() for text in texts)
    ]


def _cutter(sign: str) -> Callable[[str], str]:
    return lambda text: protocols.cut(text.lstrip(), (sign,)) if sign in text else text


def _markers(texts: Sequence[str]) -> list[str]:
    """Words with a colon, and signs of a kind, that stand inside many predictions."""
    counts = Counter(
        marker for text in texts for marker in {one[0] for one in _MARKER.finditer(text)}
    )
    return [
        marker
        for marker, count in counts.most_common(_TRIED)
        if count >= max(_COMMON * len(texts), 2)
    ]


def _at(marker: str) -> list[Change]:
    def before(text: str) -> str:
        place = text.find(marker)
        return text[:place] if place > 0 else text

    def after(text: str) -> str:
        return text.rpartition(marker)[2] if marker in text else text

    shown = _quoted(marker)
    return [
        Change(kind=Kind.RUN_ON, what=f"go on with {shown}", remedy="cut before it", apply=before),
        Change(
            kind=Kind.LAST, what=f"have the answer after {shown}", remedy="from there", apply=after
        ),
    ]


def _lines(texts: Sequence[str]) -> list[Change]:
    if not any("\n" in text.strip() for text in texts):
        return []

    def last(text: str) -> str:
        return text.strip().rpartition("\n")[2]

    what = "have the answer in the last line"
    return [Change(kind=Kind.LAST, what=what, remedy="that line alone", apply=last)]


def _wrapped(texts: Sequence[str]) -> list[Change]:
    if not any(text.strip()[:1] in ("{", "[") for text in texts):
        return []

    def unwrapped(text: str) -> str:
        if text.strip()[:1] not in ("{", "["):
            return text
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return text
        while isinstance(value, list | dict) and len(value) == 1:
            value = value[0] if isinstance(value, list) else next(iter(value.values()))
        return str(value) if isinstance(value, str | int | float) else text

    return [Change(kind=Kind.FORMAT, what="are JSON", remedy="its value alone", apply=unwrapped)]


def _quoted(text: str) -> str:
    return '"' + text.replace("\n", " ") + '"'
