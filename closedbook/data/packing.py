"""Examples into rows of fixed length, in NumPy.

Packing puts several examples into a row, as SeqIO does: segments are numbered from 1, positions
start at 0 in each, and decoder inputs are the targets shifted right within the segment. Which
examples share a row says `placing`.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from closedbook.vocabulary import EOS_ID


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
        count, rows_asked = len(rows), row_count
        row_count = int(rows[-1]) + 1 if count else 0  # those after it are empty
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
        tokens = (ids.take(index) * inside).astype(np.int32)
        begins = begins[place]
        cut = np.flatnonzero(examples.lengths > width)
        cut = cut[examples.ids[examples.starts[cut] + examples.lengths[cut] - 1] == EOS_ID]
        tokens[begins[cut] + width - 1] = EOS_ID
        tokens, segments, positions = (
            _with_rows(array.reshape(row_count, width), rows_asked)
            for array in (tokens, segments, positions)
        )
        return cls(tokens, segments, positions, begins)

    def shifted(self, before: np.ndarray | int = 0) -> np.ndarray:
        """Tokens shifted right by one; 0 outside of segments.

        Args:
            before: What stands where each example begins: the same everywhere, or int32 [examples].
        """
        shifted = np.zeros_like(self.tokens)
        # Positions are 0 where an example begins, and in padding.
        np.multiply(self.tokens[:, :-1], self.positions[:, 1:] > 0, out=shifted[:, 1:])
        if not isinstance(before, int):
            shifted.ravel()[self.begins] = before
        elif before:
            shifted[(self.positions == 0) & (self.segments > 0)] = before
        return shifted


def _with_rows(array: np.ndarray, row_count: int) -> np.ndarray:
    """An array [rows, width] with empty rows after its own."""
    if len(array) == row_count:
        return array
    return np.concatenate((array, np.zeros((row_count - len(array), array.shape[1]), array.dtype)))


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
