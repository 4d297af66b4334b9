"""Examples into rows of fixed length, in NumPy.

Packing puts several examples into a row, as SeqIO does: segments are numbered from 1, positions
start at 0 in each, and decoder inputs are the targets shifted right within the segment. Which
examples share a row is decided a row at a time, from running sums of lengths, so that the cost is
by rows and not by examples.
"""

import array
import dataclasses
from bisect import bisect_right
from collections.abc import Iterator, Sequence

import numpy as np

from closedbook.vocabulary import EOS_ID

# A number for the way in which rows are filled: a position counts batches, and means other examples
# under another.
PACKING = 2
# Examples that a row is tried with after the first that it has no room for. With 32, NQ's rows are
# as full as first fit over 16 open rows makes them; 128 fill 0.05% more of short rows.
LOOKAHEAD = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class Placement:
    """Which examples stand where in one batch.

    Attributes:
        places: Of the examples in the epoch's order, int64 [examples], by row and then rising.
        rows: The row of each, int32 [examples].
    """

    places: np.ndarray
    rows: np.ndarray


def placements(
    inputs: np.ndarray,
    targets: np.ndarray,
    *,
    row_count: int,
    inputs_length: int,
    targets_length: int,
    lookahead: int = LOOKAHEAD,
) -> Iterator[Placement]:
    """Fills row after row with examples, in their order, and gives a batch whenever it is full.

    A row takes the examples not yet placed as long as they fit, and then those of the next
    `lookahead` that fit too. With a lookahead of 0 this is SeqIO's own packing (next fit).

    Args:
        inputs: Input lengths of all examples, in tokens; longer ones count as `inputs_length`.
        targets: Target lengths likewise.
        row_count: Rows of a batch.
        inputs_length: Tokens of a row.
        targets_length: Tokens of a row.
        lookahead: Examples after the first that does not fit.
    """
    rows = _Rows(
        _Side.of(inputs, inputs_length), _Side.of(targets, targets_length), lookahead, len(inputs)
    )
    while rows.next < rows.count:
        yield rows.batch(row_count)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Side:
    """Lengths of one side of all examples; arrays, whose items Python reads fast and holds small.

    Attributes:
        width: Tokens of a row.
        lengths: At most `width` each.
        sums: Of the lengths before each example, and of all at the end.
        shortest: The least length; a row with less room is full.
    """

    width: int
    lengths: array.array
    sums: array.array
    shortest: int

    @classmethod
    def of(cls, lengths: np.ndarray, width: int) -> "_Side":
        kept = np.minimum(lengths, width)
        return cls(
            width=width,
            lengths=array.array("i", kept.astype(np.int32).tobytes()),
            sums=array.array("q", _sums(kept).tobytes()),
            shortest=int(kept.min(initial=width)),
        )

    def end(self, first: int, spared: int) -> int:
        """One past the last example from `first` on that fits, `spared` tokens not counted."""
        return bisect_right(self.sums, self.sums[first] + self.width + spared, first) - 1


class _Rows:
    """Rows filled one after another.

    All examples before `next` are placed, and those that are `taken` of the ones after it.
    """

    def __init__(self, inputs: _Side, targets: _Side, lookahead: int, count: int) -> None:
        self._inputs, self._targets = inputs, targets
        self._lookahead = lookahead
        self.count, self.next = count, 0
        self._taken: list[int] = []  # rising

    def batch(self, row_count: int) -> Placement:
        """Fills the rows of a batch; fewer at the end."""
        first, before = self.next, self._taken
        ends: list[int] = []
        early: list[int] = []  # examples that stand before their turn, and the row of each
        early_rows: list[int] = []
        while len(ends) < row_count and self.next < self.count:
            taken = self._row()
            early += taken
            early_rows += [len(ends)] * len(taken)
            ends.append(self.next)
        # Every example belongs to the row that passes it, but for those that another one took.
        rows = np.repeat(
            np.arange(len(ends), dtype=np.int32), np.diff(np.asarray([first, *ends], np.int64))
        )
        rows = np.concatenate((rows, np.zeros(self._last_taken() + 1 - self.next, np.int32) - 1))
        rows[np.asarray(before, np.int64) - first] = -1
        rows[np.asarray(early, np.int64) - first] = early_rows
        order = np.argsort(rows, kind="stable")[np.count_nonzero(rows < 0) :]
        return Placement(places=order + first, rows=rows[order])

    def _last_taken(self) -> int:
        return self._taken[-1] if self._taken else self.next - 1

    def _row(self) -> list[int]:
        """Fills a row, moves `next`, and gives the examples that stand in it before their turn."""
        inputs, targets, first = self._inputs, self._targets, self.next
        taken = self._taken
        spared = spared_targets = 0
        for place in taken:
            spared += inputs.lengths[place]
            spared_targets += targets.lengths[place]
        end = min(inputs.end(first, spared), targets.end(first, spared_targets))
        if taken and end <= taken[-1]:  # those beyond the end were not to be spared
            end = self._end_among(taken)
            taken = [place for place in taken if place >= end]
            spared -= sum(inputs.lengths[place] for place in taken)
            spared_targets -= sum(targets.lengths[place] for place in taken)
        else:
            taken = []
        self.next, self._taken = end, taken
        room = inputs.width + spared - (inputs.sums[end] - inputs.sums[first])
        target_room = targets.width + spared_targets - (targets.sums[end] - targets.sums[first])
        return self._ahead(room, target_room)

    def _end_among(self, taken: Sequence[int]) -> int:
        """Where a row ends that does not come past all examples taken already."""
        inputs, targets, place = self._inputs, self._targets, self.next
        room, target_room = inputs.width, targets.width
        while place <= taken[-1]:
            if place not in taken:
                room -= inputs.lengths[place]
                target_room -= targets.lengths[place]
                if room < 0 or target_room < 0:
                    break
            place += 1
        return place

    def _ahead(self, room: int, target_room: int) -> list[int]:
        """Takes what fits of the examples after the next one, which does not."""
        shortest, shortest_target = self._inputs.shortest, self._targets.shortest
        found: list[int] = []
        if room < shortest or target_room < shortest_target:
            return found
        lengths, target_lengths = self._inputs.lengths, self._targets.lengths
        for place in range(self.next + 1, min(self.next + 1 + self._lookahead, self.count)):
            if target_lengths[place] <= target_room and lengths[place] <= room:
                if place in self._taken:
                    continue
                found.append(place)
                room -= lengths[place]
                target_room -= target_lengths[place]
                if room < shortest or target_room < shortest_target:
                    break
        self._taken = sorted((*self._taken, *found)) if self._taken else found.copy()
        return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sequences:
    """One side of some examples: ids of a whole cache, and where each example lies in them."""

    ids: np.ndarray
    starts: np.ndarray  # int64 [examples]
    lengths: np.ndarray  # int64 [examples], untrimmed

    @classmethod
    def of(cls, flat: tuple[np.ndarray, np.ndarray], rows: np.ndarray) -> "Sequences":
        """Rows of a cache's flat array; nothing is copied."""
        ids, offsets = flat
        starts = offsets[rows]
        return cls(ids=ids, starts=starts, lengths=offsets[rows + 1] - starts)

    @classmethod
    def merged(cls, parts: Sequence["Sequences"], source: np.ndarray) -> "Sequences":
        """Sequences over several arrays of ids as ones over one array.

        Args:
            parts: Those over each array, in their order.
            source: Which part each of the result is from, int [examples].
        """
        lengths = np.zeros(len(source), np.int64)
        for number, part in enumerate(parts):
            lengths[source == number] = part.lengths
        starts = _sums(lengths)[:-1]
        ids = np.zeros(lengths.sum(), np.int32)
        for number, part in enumerate(parts):
            position = _counts(part.lengths)
            into = np.repeat(starts[source == number], part.lengths) + position
            ids[into] = part.ids[np.repeat(part.starts, part.lengths) + position]
        return cls(ids=ids, starts=starts, lengths=lengths)


@dataclasses.dataclass(frozen=True)
class Stack:
    """One side of a batch, each array but the last int32 [rows, length]."""

    tokens: np.ndarray
    segments: np.ndarray
    positions: np.ndarray
    begins: np.ndarray  # int64 [examples]: where each begins, counted over all rows

    @classmethod
    def of(cls, examples: Sequences, rows: np.ndarray, row_count: int, width: int) -> "Stack":
        """Writes examples into their rows, one after another; longer ones keep their EOS.

        Args:
            examples: What to write.
            rows: The row of each, int [examples], rising; within a row they stand in this order.
            row_count: Rows of the batch; rows without an example stay 0.
            width: Tokens of a row.
        """
        count = len(rows)
        kept = np.minimum(examples.lengths, width)
        ends = _sums(kept)  # tokens of the examples before, over all rows, and of all
        firsts = _sums(np.bincount(rows, minlength=row_count))  # first example of each row
        # Padding is written as an example of its own at the end of each row. So every array is one
        # run after another, and nothing need be scattered into its place.
        place, padding = np.arange(count) + rows, firsts[1:] + np.arange(row_count)
        lengths = np.empty(count + row_count, np.int64)
        lengths[place], lengths[padding] = kept, width - np.diff(ends[firsts])
        segment = np.zeros(len(lengths), np.int32)
        segment[place] = np.arange(1, count + 1) - firsts[rows]
        starts = np.zeros(len(lengths), np.int64)
        starts[place] = examples.starts
        begins = _sums(lengths)[:-1]
        segments = np.repeat(segment, lengths)
        inside = segments > 0
        positions = np.arange(row_count * width, dtype=np.int32)
        positions -= np.repeat(begins.astype(np.int32), lengths)
        positions *= inside
        index = np.repeat(starts, lengths)
        index += positions
        ids = (
            examples.ids if len(examples.ids) else np.zeros(1, np.int32)
        )  # padding reads the first
        tokens = np.multiply(ids.take(index), inside, dtype=np.int32)
        begins = begins[place]
        cut = np.flatnonzero(examples.lengths > width)
        cut = cut[examples.ids[examples.starts[cut] + examples.lengths[cut] - 1] == EOS_ID]
        tokens[begins[cut] + width - 1] = EOS_ID
        shape = (row_count, width)
        return cls(tokens.reshape(shape), segments.reshape(shape), positions.reshape(shape), begins)

    def shifted(self, before: np.ndarray | int = 0) -> np.ndarray:
        """Tokens shifted right by one; 0 outside of segments.

        Args:
            before: What stands where each example begins: the same everywhere, or int32 [examples].
        """
        shifted = np.zeros_like(self.tokens)
        shifted[:, 1:] = self.tokens[:, :-1]
        shifted[(self.positions == 0) | (self.segments == 0)] = 0
        if not isinstance(before, int):
            shifted.ravel()[self.begins] = before
        elif before:
            shifted[(self.positions == 0) & (self.segments > 0)] = before
        return shifted


def _sums(numbers: np.ndarray) -> np.ndarray:
    """Sums of the numbers before each, and of all, int64 [numbers + 1].

    >>> _sums(np.array([2, 0, 3])).tolist()
    [0, 2, 2, 5]
    """
    sums = np.zeros(len(numbers) + 1, np.int64)
    np.cumsum(numbers, out=sums[1:])
    return sums


def _counts(lengths: np.ndarray) -> np.ndarray:
    """0 to length - 1 for each length, one after another.

    >>> _counts(np.array([2, 0, 3])).tolist()
    [0, 1, 0, 1, 2]
    """
    return np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
