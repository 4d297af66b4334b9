"""Which examples share a row, decided row after row from running sums of lengths.

The cost is by rows and not by examples: two binary searches find how many examples in a row's turn
fit, and a short look ahead finds what fits into the room that they leave.
"""

import array
import dataclasses
from bisect import bisect_right
from collections.abc import Iterator, Sequence

import numpy as np

# A number for the way in which rows are filled: a position counts batches, and means other examples
# under another.
WAY = 2
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
    rows = _Rows(_Side.of(inputs, inputs_length), _Side.of(targets, targets_length), lookahead)
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
        most: Examples that a row can hold.
    """

    width: int
    lengths: array.array
    sums: array.array
    shortest: int
    most: int

    @classmethod
    def of(cls, lengths: np.ndarray, width: int) -> "_Side":
        kept = np.minimum(lengths, width)
        shortest = int(kept.min(initial=width))
        sums = np.zeros(len(kept) + 1, np.int64)
        np.cumsum(kept, out=sums[1:])
        return cls(
            width=width,
            lengths=array.array("i", kept.astype(np.int32).tobytes()),
            sums=array.array("q", sums.tobytes()),
            shortest=shortest,
            most=width // shortest if shortest else len(kept),
        )

    def tokens(self, places: Sequence[int]) -> int:
        """Of some examples together."""
        return sum(self.lengths[place] for place in places)


class _Rows:
    """Rows filled one after another.

    All examples before `next` are placed, and those that are `_taken` of the ones after it.
    """

    def __init__(self, inputs: _Side, targets: _Side, lookahead: int) -> None:
        self._inputs, self._targets = inputs, targets
        self._lookahead = lookahead
        self.count, self.next = len(inputs.lengths), 0
        self._taken: list[int] = []  # rising

    def batch(self, row_count: int) -> Placement:
        """Fills the rows of a batch; fewer at the end."""
        first, before = self.next, self._taken
        ends: list[int] = []
        early: list[int] = []  # examples that stand before their turn, and the row of each
        early_rows: list[int] = []
        for number in range(row_count):
            found = self._row()
            ends.append(self.next)
            if found:
                early += found
                early_rows += [number] * len(found)
            if self.next == self.count:
                break
        # Every example belongs to the row that passes it, but for those that another one took.
        last = self._taken[-1] if self._taken else self.next - 1
        rows = np.full(last + 1 - first, -1, np.int32)
        stops = np.asarray(ends, np.int64)
        passed = stops - np.append(first, stops[:-1])
        rows[: self.next - first] = np.repeat(np.arange(len(ends), dtype=np.int32), passed)
        rows[np.asarray(before, np.int64) - first] = -1
        rows[np.asarray(early, np.int64) - first] = early_rows
        order = np.argsort(rows, kind="stable")[np.count_nonzero(rows < 0) :]
        return Placement(places=order + first, rows=rows[order])

    def _row(self) -> list[int]:
        """Fills a row, moves `next`, and gives the examples that stand in it before their turn.

        Most of the time goes by here, so it calls little.
        """
        inputs, targets, first, taken = self._inputs, self._targets, self.next, self._taken
        sums, target_sums = inputs.sums, targets.sums
        # What is taken already is in the sums, and costs this row nothing.
        limit = sums[first] + inputs.width
        target_limit = target_sums[first] + targets.width
        beyond: list[int] = []
        if taken:
            limit += inputs.tokens(taken)
            target_limit += targets.tokens(taken)
        past = first + len(taken) + min(inputs.most, targets.most) + 1
        past = min(past, self.count + 1)
        end = bisect_right(sums, limit, first, past) - 1
        end = bisect_right(target_sums, target_limit, first, end + 1) - 1
        if taken and end <= taken[-1]:  # what is taken beyond the end was not to be spared
            end = self._end_among(taken)
            beyond = [place for place in taken if place >= end]
            limit -= inputs.tokens(beyond)
            target_limit -= targets.tokens(beyond)
        self.next = end
        room, target_room = limit - sums[end], target_limit - target_sums[end]
        shortest, shortest_target = inputs.shortest, targets.shortest
        found: list[int] = []
        if room >= shortest and target_room >= shortest_target:
            lengths, target_lengths = inputs.lengths, targets.lengths
            for place in range(end + 1, min(end + 1 + self._lookahead, self.count)):
                target = target_lengths[place]
                if target <= target_room and lengths[place] <= room and place not in beyond:
                    found.append(place)
                    room -= lengths[place]
                    target_room -= target
                    if room < shortest or target_room < shortest_target:
                        break
        self._taken = sorted((*beyond, *found)) if beyond else found
        return found

    def _end_among(self, taken: Sequence[int]) -> int:
        """Where a row ends that does not come past all examples taken already."""
        inputs, targets, place = self._inputs, self._targets, self.next
        room, target_room = inputs.width, targets.width
        while True:
            if place not in taken:
                room -= inputs.lengths[place]
                target_room -= targets.lengths[place]
                if room < 0 or target_room < 0:
                    return place
            place += 1
