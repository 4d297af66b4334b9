"""Several inputs in a row of the encoder: less padding is read, and answers stay what they are."""

from collections.abc import Sequence

import numpy as np

from closedbook.models.decoding import Packing

_WIDTH = 128  # tokens of a row: inputs of any length up to 32 fill nine tenths of it
_LONGEST = 128  # tokens of an input; of longer ones attention over two would cost more than padding
_WORTH = 0.95  # of the padded positions: a packing that needs more than that is none


def packing_of(tokens: np.ndarray, pad_id: int) -> Packing | None:
    """How inputs share rows, or None where that saves nothing.

    The longest come first, each into the first row that has room for it.

    Args:
        tokens: int32 [batch, length], padded at the end.
        pad_id: What fills them up.
    """
    batch, longest = tokens.shape
    if longest > _LONGEST:
        return None
    there = tokens != pad_id
    lengths = np.where(there.any(axis=1), longest - there[:, ::-1].argmax(axis=1), 0)
    width = max(_WIDTH, 2 * longest)
    used: list[int] = []
    starts = np.zeros(batch, np.int64)
    for number in np.argsort(-lengths, kind="stable"):
        length = lengths[number]
        row = next((row for row, taken in enumerate(used) if taken + length <= width), len(used))
        if row == len(used):
            used.append(0)
        starts[number] = row * width + used[row]
        used[row] += length
    if len(used) * width > _WORTH * batch * longest:
        return None
    column = np.arange(longest)
    read = column < lengths[:, None]
    places = np.where(read, starts[:, None] + column, len(used) * width)
    segments = np.zeros(len(used) * width, np.int32)
    segments[places[read]] = np.nonzero(read)[0] + 1
    return Packing(segments.reshape(-1, width), places.astype(np.int32))


def packings_of(batches: Sequence[np.ndarray], pad_id: int) -> list[Packing | None]:
    """How the inputs of each batch share rows; batches of one shape have equally many.

    Then one program serves them. Where that saves nothing for one, no batch of its shape is packed.

    Args:
        batches: Each int32 [batch, length].
        pad_id: What fills them up.
    """
    found = [packing_of(tokens, pad_id) for tokens in batches]
    shapes = [tokens.shape for tokens in batches]
    for shape in set(shapes):
        same = [number for number, its in enumerate(shapes) if its == shape]
        packings = [each for number in same if (each := found[number]) is not None]
        rows = max((len(each.segments) for each in packings), default=0)
        all_packed = len(packings) == len(same)
        for number, each in zip(same, packings if all_packed else [None] * len(same), strict=True):
            found[number] = None if each is None else _with_rows(each, rows)
    return found


def _with_rows(packing: Packing, rows: int) -> Packing:
    """The packing with empty rows at its end."""
    segments, size = np.asarray(packing.segments), packing.segments.size
    more = np.pad(segments, [(0, rows - len(segments)), (0, 0)])
    places = np.asarray(packing.places)
    return Packing(more, np.where(places == size, more.size, places).astype(np.int32))


def dealt(batches: Sequence[list[int]], widths: Sequence[int]) -> list[list[int]]:
    """Batches of inputs of rising length, so that those of one width hold about as many tokens.

    Then they need as many packed rows, and one program serves them.

    Args:
        batches: Numbers of the inputs, the shortest first; all but the last are equally large.
        widths: The padded length of each.
    """
    found = []
    for width in sorted(set(widths)):
        same = [batch for batch, its in zip(batches, widths, strict=True) if its == width]
        size = len(same[0])
        if len(same[-1]) < size:  # fewer than the others, and the longest: they stay together
            found.append(same.pop())
        numbers = [number for batch in same for number in batch]
        found += [numbers[start :: len(same)] for start in range(len(same))]
    return found
