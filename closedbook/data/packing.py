"""Examples into rows of fixed length, in NumPy.

Packing puts several examples into a row, as SeqIO does: segments are numbered from 1, positions
start at 0 in each, and decoder inputs are the targets shifted right within the segment.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from closedbook.vocabulary import EOS_ID

_OPEN_ROWS = 16  # rows looked at for an example; more fill no better and cost time


@dataclasses.dataclass(frozen=True, kw_only=True)
class Placement:
    """Which examples stand where in one batch."""

    start: int  # the first example, counted in the epoch's order
    rows: np.ndarray  # int32 [examples]: the row of each example from `start` on

    @property
    def stop(self) -> int:
        """One past the last example."""
        return self.start + len(self.rows)


def first_fit(
    start: int,
    inputs: Sequence[int],
    targets: Sequence[int],
    *,
    row_count: int,
    inputs_length: int,
    targets_length: int,
    shortest_input: int = 1,
    shortest_target: int = 1,
) -> Placement:
    """Fills the rows of one batch with the examples from `start` on, in their order.

    An example goes to the first of the last 16 rows begun that has room for both its inputs and
    its targets, else to a new row. The batch is closed by the first example that fits nowhere.

    Args:
        start: The first example.
        inputs: Input lengths of all examples, in tokens, at most `inputs_length` each. (Plain
            lists are several times faster here than arrays.)
        targets: Target lengths likewise.
        row_count: Rows of the batch.
        inputs_length: Tokens of a row.
        targets_length: Tokens of a row.
        shortest_input: The least of `inputs`; a row with less room is full, and not looked at.
        shortest_target: The least of `targets`.
    """
    placed: list[int] = []
    place = placed.append
    # Of each open row: its number, and the tokens left for inputs and targets.
    numbers: list[int] = []
    input_room: list[int] = []
    target_room: list[int] = []
    begun = 0
    for index in range(start, len(inputs)):
        needs, answers = inputs[index], targets[index]
        for at, room in enumerate(target_room):
            if room >= answers and input_room[at] >= needs:
                place(numbers[at])
                target_room[at] = room = room - answers
                input_room[at] = rest = input_room[at] - needs
                if room < shortest_target or rest < shortest_input:
                    del numbers[at], input_room[at], target_room[at]
                break
        else:
            if begun == row_count:
                break
            if len(numbers) == _OPEN_ROWS:
                fullest = target_room.index(min(target_room))
                del numbers[fullest], input_room[fullest], target_room[fullest]
            numbers.append(begun)
            input_room.append(inputs_length - needs)
            target_room.append(targets_length - answers)
            place(begun)
            begun += 1
    return Placement(start=start, rows=np.asarray(placed, np.int32))


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
        return cls(ids=ids, starts=offsets[rows], lengths=offsets[rows + 1] - offsets[rows])

    @classmethod
    def merged(
        cls,
        flats: Sequence[tuple[np.ndarray, np.ndarray]],
        source: np.ndarray,
        rows: np.ndarray,
    ) -> "Sequences":
        """Rows of several caches' flat arrays in one array.

        Args:
            flats: Ids and offsets of each cache.
            source: Which cache each example is of, int [examples].
            rows: Its row there, int64 [examples].
        """
        if len(flats) == 1:
            return cls.of(flats[0], rows)
        parts = [
            (source == number, cls.of(flat, rows[source == number]))
            for number, flat in enumerate(flats)
        ]
        lengths = np.zeros(len(rows), np.int64)
        for mine, part in parts:
            lengths[mine] = part.lengths
        starts = np.cumsum(lengths) - lengths
        ids = np.zeros(lengths.sum(), np.int32)
        for mine, part in parts:
            position = _counts(part.lengths)
            into = np.repeat(starts[mine], part.lengths) + position
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
            rows: The row of each, int [examples]; within a row they stand in the order given.
            row_count: Rows of the batch; rows without an example stay 0.
            width: Tokens of a row.
        """
        tokens, segments, positions = (np.zeros((row_count, width), np.int32) for _ in range(3))
        stack = cls(tokens, segments, positions, np.zeros(len(rows), np.int64))
        if not len(rows):
            return stack
        order = np.argsort(rows, kind="stable")
        rows = rows[order].astype(np.int64)
        starts, lengths = examples.starts[order], examples.lengths[order]
        kept = np.minimum(lengths, width)
        before = np.cumsum(kept) - kept  # tokens of the examples before, over all rows
        first = np.flatnonzero(np.r_[True, rows[1:] != rows[:-1]])  # first example of each row
        run = np.diff(np.r_[first, len(rows)])
        segment = np.arange(len(rows)) - np.repeat(first, run) + 1
        into = rows * width + before - np.repeat(before[first], run)
        stack.begins[order] = into
        number = np.arange(kept.sum())
        where = np.repeat(into - before, kept) + number
        stack.tokens.ravel()[where] = examples.ids[np.repeat(starts - before, kept) + number]
        stack.segments.ravel()[where] = np.repeat(segment.astype(np.int32), kept)
        stack.positions.ravel()[where] = number - np.repeat(before, kept)
        cut = np.flatnonzero(lengths > width)
        cut = cut[examples.ids[starts[cut] + lengths[cut] - 1] == EOS_ID]
        stack.tokens.ravel()[into[cut] + kept[cut] - 1] = EOS_ID
        return stack

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


def _counts(lengths: np.ndarray) -> np.ndarray:
    """0 to length - 1 for each length, one after another.

    >>> _counts(np.array([2, 0, 3])).tolist()
    [0, 1, 0, 1, 2]
    """
    return np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
