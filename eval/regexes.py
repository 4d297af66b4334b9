"""Answers that are regular expressions (CuratedTREC), matched in bounded time and memory.

Python's `re` tries one way after another and can need longer than the universe lasts, and a file
of answers may come from anybody. Here a pattern is parsed by `re` itself and then run on all ways
at once (Thompson 1968), so that the time is at most states times characters. Of each character
and each anchor `re` decides whether it fits, so case, classes and word borders are Python's.
"""

import functools
import re
import warnings
from re import _constants as ops  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

FLAGS = re.IGNORECASE | re.UNICODE | re.MULTILINE
"""As in ORQA and DPR."""

MAX_PATTERN = 5_000  # characters; the longest of CuratedTREC has 1,310
MAX_TEXT = 10_000  # characters of a prediction that are looked at
_MAX_STATES = 5_000
_MAX_WORK = 500_000  # states visited in one match: about 0.2 seconds

_CLASSES = {
    ops.CATEGORY_DIGIT: r"\d",
    ops.CATEGORY_NOT_DIGIT: r"\D",
    ops.CATEGORY_SPACE: r"\s",
    ops.CATEGORY_NOT_SPACE: r"\S",
    ops.CATEGORY_WORD: r"\w",
    ops.CATEGORY_NOT_WORD: r"\W",
}
_ANCHORS = {
    ops.AT_BEGINNING: "^",
    ops.AT_BEGINNING_STRING: r"\A",
    ops.AT_BOUNDARY: r"\b",
    ops.AT_NON_BOUNDARY: r"\B",
    ops.AT_END: "$",
    ops.AT_END_STRING: r"\Z",
}
_SPECIAL = frozenset(r"\.^$*+?{}[]|()")


class Unsupported(ValueError):
    """The pattern is no regular expression, or is not one that runs in bounded time."""


def match(pattern: str, text: str) -> bool:
    """Whether the pattern matches at the start of the text; it need not reach the end.

    As ORQA's `regex_match_score`: letters' case is ignored, and what is no regular expression
    matches nothing. Nor do patterns with back references, look-around, possessive or atomic
    parts, patterns above `MAX_PATTERN` characters, and those that unfold into too many states.
    Source: google-research/language, `orqa/utils/eval_utils.py`.

    Args:
        pattern: A regular expression of Python's `re`.
        text: A prediction; the first `MAX_TEXT` characters count.

    >>> match("20,?320 f(ee|oo)t", "20320 feet high"), match("feet", "20320 feet high")
    (True, False)
    >>> match("(a+)+$", "a" * 5000 + "b"), match("(", "(")
    (False, False)
    """
    # Most answers hold no operator, and ASCII has no letters but its own under IGNORECASE, save
    # two signs outside it (long s, kelvin).
    if pattern.isascii() and text[: len(pattern)].isascii() and _SPECIAL.isdisjoint(pattern):
        return text[: len(pattern)].lower() == pattern.lower()
    try:
        return _compiled(pattern).match(text[:MAX_TEXT])
    except Unsupported:
        return False


class Machine:
    """A nondeterministic automaton of one pattern; states are numbers, the start is last."""

    def __init__(self, pattern: str) -> None:
        if len(pattern) > MAX_PATTERN:
            raise Unsupported(f"the pattern has {len(pattern):,} characters")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = _parser.parse(pattern, FLAGS)
            # A state either takes a character or is a choice between states without one.
            self._takes: list[re.Pattern[str] | None] = [None]
            self._anchor: list[re.Pattern[str] | None] = [None]
            self._next: list[list[int]] = [[]]  # state 0 is the end
            self._start = self._sequence(tree, 0, tree.state.flags)
        except (re.error, RecursionError, OverflowError) as error:
            raise Unsupported(str(error)) from error

    def match(self, text: str) -> bool:
        """Whether the pattern matches a beginning of the text."""
        work = 0
        states = self._reached([self._start], text, 0)
        for at, character in enumerate(text):
            if 0 in states:
                return True
            work += len(states) + 1
            if not states or work > _MAX_WORK:
                return False
            after = [
                self._next[state][0]
                for state in states
                if (fits := self._takes[state]) is not None and fits.match(character)
            ]
            states = self._reached(after, text, at + 1)
        return 0 in states

    def _reached(self, states: list[int], text: str, at: int) -> set[int]:
        """All states that can be reached without taking a character."""
        seen = set(states)
        waiting = list(seen)
        while waiting:
            state = waiting.pop()
            if self._takes[state] is not None:
                continue
            anchor = self._anchor[state]
            if anchor is not None and not anchor.match(text, at):
                continue
            fresh = [after for after in self._next[state] if after not in seen]
            seen.update(fresh)
            waiting += fresh
        return seen

    def _state(
        self,
        *after: int,
        takes: re.Pattern[str] | None = None,
        anchor: re.Pattern[str] | None = None,
    ) -> int:
        if len(self._next) >= _MAX_STATES:
            raise Unsupported("the pattern unfolds into too many states")
        self._takes.append(takes)
        self._anchor.append(anchor)
        self._next.append(list(after))
        return len(self._next) - 1

    def _sequence(self, tree: Any, after: int, flags: int) -> int:
        """The state from which the items of `tree` lead to the state `after`."""
        for op, argument in reversed(list(tree)):
            after = self._item(op, argument, after, flags)
        return after

    def _item(self, op: Any, argument: Any, after: int, flags: int) -> int:
        if op in (ops.LITERAL, ops.NOT_LITERAL, ops.ANY, ops.IN):
            return self._state(after, takes=_single(_source(op, argument), flags))
        if op is ops.AT:
            return self._state(after, anchor=_single(_ANCHORS[argument], flags))
        if op is ops.BRANCH:
            return self._state(*(self._sequence(tree, after, flags) for tree in argument[1]))
        if op is ops.SUBPATTERN:
            _, more, fewer, tree = argument
            return self._sequence(tree, after, (flags | more) & ~fewer)
        if op in (ops.MAX_REPEAT, ops.MIN_REPEAT):  # greedy or not: the same texts match
            low, high, tree = argument
            return self._repeat(low, high, tree, after, flags)
        raise Unsupported(f"{str(op).lower()} is not supported")

    def _repeat(self, low: int, high: Any, tree: Any, after: int, flags: int) -> int:
        if high is ops.MAXREPEAT:
            loop = self._state(after)
            self._next[loop].append(self._sequence(tree, loop, flags))
            after = loop
        else:
            end = after
            for _ in range(high - low):
                after = self._state(end, self._sequence(tree, after, flags))
        for _ in range(low):
            # A body without states, such as "()", must cost something too.
            after = self._sequence(tree, self._state(after), flags)
        return after


@functools.lru_cache(maxsize=4096)
def _compiled(pattern: str) -> Machine:
    return Machine(pattern)


@functools.lru_cache(maxsize=4096)
def _single(source: str, flags: int) -> re.Pattern[str]:
    return re.compile(source, flags & ~re.VERBOSE & ~re.DEBUG)


def _source(op: Any, argument: Any) -> str:
    """A pattern of one character, written anew from the parsed item."""
    if op is ops.ANY:
        return "."
    if op is ops.LITERAL:
        return _escaped(argument)
    if op is ops.NOT_LITERAL:
        return f"[^{_escaped(argument)}]"
    parts = []
    for kind, value in argument:
        if kind is ops.NEGATE:
            parts.append("^")
        elif kind is ops.LITERAL:
            parts.append(_escaped(value))
        elif kind is ops.RANGE:
            parts.append(f"{_escaped(value[0])}-{_escaped(value[1])}")
        else:
            parts.append(_CLASSES[value])
    return f"[{''.join(parts)}]"


def _escaped(code: int) -> str:
    return f"\\U{code:08x}"
