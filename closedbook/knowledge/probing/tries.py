"""Candidates that begin alike share their beginnings: a trie of pieces, in narrow groups."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import numpy as np

Pieces = tuple[int, ...]
_ANY = 1 << 30  # no limit


@dataclasses.dataclass(frozen=True, kw_only=True)
class Level:
    """Beginnings of one length; all arrays are int32 [nodes].

    Attributes:
        parents: For each node the place among the inner nodes of the level before.
        tokens: The last piece of each node.
        inner: Places of the nodes after which something is scored: another piece, or the end.
    """

    parents: np.ndarray
    tokens: np.ndarray
    inner: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trie:
    """A group of candidates.

    Attributes:
        levels: Beginnings of 1, 2, ... pieces. The root, before the first piece, is none of them
            and is the only inner node before them.
        members: Numbers of the candidates.
        places: For each of them its level (0 for one piece) and its node there.
    """

    levels: tuple[Level, ...]
    members: tuple[int, ...]
    places: tuple[tuple[int, int], ...]

    @functools.cached_property
    def numbers(self) -> np.ndarray:
        """The members, int64 [members]."""
        return np.array(self.members)

    @functools.cached_property
    def nodes(self) -> np.ndarray:
        """Their places in the nodes of all levels, one level after the other, int64 [members]."""
        before = np.cumsum([0, *(len(level.tokens) for level in self.levels)])
        level, node = np.array(self.places).T
        return before[level] + node


def groups(
    candidates: Sequence[Sequence[int]], *, ended: bool, widest: int = _ANY, most: int = _ANY
) -> list[Trie]:
    """Tries of few inner nodes, which hold all candidates.

    Args:
        candidates: Pieces of each, one at least.
        ended: Whether an end is scored after each candidate, so that every node is inner.
        widest: Inner nodes per level of a trie.
        most: Inner nodes of a trie; a candidate that has more is alone.

    >>> [trie.members for trie in groups([(5, 6), (4,), (5, 7), (6,)], ended=True, widest=2)]
    [(1, 0, 2), (3,)]
    >>> [trie.members for trie in groups([(5, 6), (4,), (5, 7), (6,)], ended=False, widest=2)]
    [(1, 0, 2, 3)]
    """
    rows = [tuple(row) for row in candidates]
    order = sorted(range(len(rows)), key=rows.__getitem__)
    return [_trie(rows, part, ended) for part in _parts(rows, order, ended, widest, most)]


def nodes(candidates: Sequence[Sequence[int]], *, ended: bool) -> int:
    """Inner nodes of the one trie of all candidates, the root included: steps of the decoder."""
    return len({tuple(row[:n]) for row in candidates for n in range(len(row) + int(ended))})


def _parts(
    rows: Sequence[Pieces], order: Sequence[int], ended: bool, widest: int, most: int
) -> Iterator[list[int]]:
    part: list[int] = []
    counts: list[int] = []
    before: Pieces = ()
    for number in order:
        row = rows[number]
        inner = len(row) if ended else len(row) - 1
        shared = _shared(before, row)
        # In the order of their pieces, what is shared with the one before is all that is shared;
        # but its last node was no inner one if nothing followed.
        known = min(shared, len(before) if ended else len(before) - 1) if part else 0
        new = range(known, inner)
        wide = any(n < len(counts) and counts[n] >= widest for n in new)
        if part and (wide or sum(counts) + len(new) > most):
            yield part
            part, counts, new = [], [], range(inner)
        counts += [0] * (inner - len(counts))
        for n in new:
            counts[n] += 1
        part.append(number)
        before = row
    if part:
        yield part


def _shared(a: Pieces, b: Pieces) -> int:
    count = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        count += 1
    return count


def _trie(rows: Sequence[Pieces], members: Sequence[int], ended: bool) -> Trie:
    depth = max(len(rows[number]) for number in members)
    found: list[dict[Pieces, int]] = [{} for _ in range(depth)]
    follows: set[Pieces] = set()
    for number in members:
        row = rows[number]
        for length in range(1, len(row) + 1):
            level = found[length - 1]
            level.setdefault(row[:length], len(level))
            if ended or length < len(row):
                follows.add(row[:length])
    levels = []
    places: dict[Pieces, int] = {(): 0}
    for level in found:
        inner = [prefix for prefix in level if prefix in follows]
        levels.append(
            Level(
                parents=np.array([places[prefix[:-1]] for prefix in level], np.int32),
                tokens=np.array([prefix[-1] for prefix in level], np.int32),
                inner=np.array([level[prefix] for prefix in inner], np.int32),
            )
        )
        places = {prefix: place for place, prefix in enumerate(inner)}
    return Trie(
        levels=tuple(levels),
        members=tuple(members),
        places=tuple((len(rows[n]) - 1, found[len(rows[n]) - 1][rows[n]]) for n in members),
    )
