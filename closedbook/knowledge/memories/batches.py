"""Examples of like lengths in batches of fixed shapes, in one pass and little memory.

Each pair of padded lengths has a queue; a full queue is a batch. At the end of the corpus short
examples that are left fill up batches of longer ones, and empty rows do the rest. So the batches
depend on the examples and their order alone, and a run that goes on reads the corpus again and
passes by what is done.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from closedbook.knowledge.memories.examples import Example
from closedbook.models.families import Network
from closedbook.vocabulary import PAD_ID

TOKENS = 4096  # of a batch, both sides together, padding included
_ROWS = 256  # of a batch at most
_LONGEST = 1 << 30
_SHORTEST = 8  # tokens of a row
_Lengths = tuple[int, int]
_Queue = list[tuple[int, Example]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """Examples side by side.

    Attributes:
        number: Of each row, its example's place in the corpus; -1 for rows that only fill up.
        inputs: int32 [rows, length] that the encoder reads; of no length without an encoder.
        read: int32 [rows, length] that the decoder reads; of no length if it is not looked at.
        targets: int32 [rows, length], the token that follows each of `read`; -1 where none does.
        lengths: Stack -> int32 [rows], how many positions of each row are the example's own.
    """

    number: np.ndarray
    inputs: np.ndarray
    read: np.ndarray
    targets: np.ndarray
    lengths: dict[str, np.ndarray]


def read_by_decoder(module: Network, example: Example) -> tuple[Sequence[int], Sequence[int]]:
    """What the decoder reads of an example, and the token that follows each of it (-1: none).

    An encoder-decoder's decoder begins with `begin_id` and reads its targets one step late, so that
    at position p it has read p tokens of the target. A decoder-only model reads the text itself.
    """
    if module.config.continues_prompt:
        return example.targets, (*example.targets[1:], -1)
    return (module.config.begin_id, *example.targets[:-1]), example.targets


def batches(
    module: Network, examples: Iterable[Example], stacks: Sequence[str], tokens: int = TOKENS
) -> Iterator[Batch]:
    """All examples, each once.

    Args:
        module: The network.
        examples: In the order of the corpus.
        stacks: Which stacks are looked at.
        tokens: How many a batch may hold, padding included.
    """
    most = module.config.most_positions(after=1) or _LONGEST
    queues: dict[_Lengths, _Queue] = {}

    def shape(example: Example) -> _Lengths:
        of_inputs = of_read = 0
        if not module.config.continues_prompt:
            of_inputs = _padded(len(example.inputs), _LONGEST)
        if "decoder" in stacks:
            of_read = _padded(len(example.targets), most)
        return of_inputs, of_read

    def rows(lengths: _Lengths) -> int:
        return max(1, min(_ROWS, tokens // sum(lengths)))

    for number, example in enumerate(examples):
        lengths = shape(example)
        queue = queues.setdefault(lengths, [])
        queue.append((number, example))
        if len(queue) == rows(lengths):
            yield _batch(module, queue, lengths, len(queue))
            queue.clear()
    for lengths, queue in _gathered(queues, rows):
        yield _batch(module, queue, lengths, rows(lengths))


def _gathered(
    queues: dict[_Lengths, _Queue], rows: Callable[[_Lengths], int]
) -> Iterator[tuple[_Lengths, _Queue]]:
    """What is left in the queues: those that find room in batches of longer ones go there.

    A batch takes as long with empty rows as with full ones, so this costs nothing, and each queue
    that goes spares one. No shape is new, so nothing is compiled for it.

    >>> rows = {(0, 8): 4, (0, 16): 2, (0, 32): 1}.__getitem__
    >>> left = {(0, 8): [(3, "a")], (0, 16): [(2, "b")], (0, 32): []}
    >>> list(_gathered(left, rows))
    [((0, 16), [(2, 'b'), (3, 'a')])]
    """
    order = sorted((each for each, queue in queues.items() if queue), key=lambda o: (sum(o), o))
    for place, lengths in enumerate(order):
        queue = queues[lengths]
        longer = [o for o in order[place + 1 :] if o[0] >= lengths[0] and o[1] >= lengths[1]]
        room = [rows(each) - len(queues[each]) for each in longer]
        if len(queue) > sum(room):
            yield lengths, sorted(queue, key=lambda numbered: numbered[0])
            continue
        for each, free in zip(longer, room, strict=True):
            queues[each] += queue[:free]
            queue = queue[free:]


def _padded(length: int, most: int) -> int:
    """The padded length of a text: 8, 12, 16, 24, 32, 48, ..., so that little is padding.

    >>> [_padded(n, 50) for n in (1, 9, 17, 32, 49)]
    [8, 12, 24, 32, 50]
    """
    size = _SHORTEST
    while size < length:
        size += size // 2
        if size < length:
            size += size // 3
    return min(size, most)


def _batch(
    module: Network, queue: Sequence[tuple[int, Example]], lengths: _Lengths, rows: int
) -> Batch:
    of_inputs, of_read = lengths
    number = np.full(rows, -1, np.int32)
    inputs = np.full((rows, of_inputs), PAD_ID, np.int32)
    read = np.full((rows, of_read), module.pad_id, np.int32)
    targets = np.full((rows, of_read), -1, np.int32)
    own = {"encoder": np.zeros(rows, np.int32), "decoder": np.zeros(rows, np.int32)}
    for row, (place, example) in enumerate(queue):
        number[row] = place
        if of_inputs:
            inputs[row, : len(example.inputs)] = example.inputs
            own["encoder"][row] = len(example.inputs)
        if of_read:
            before, after = read_by_decoder(module, example)
            read[row, : len(before)] = before
            targets[row, : len(after)] = after
            own["decoder"][row] = len(before)
    return Batch(number=number, inputs=inputs, read=read, targets=targets, lengths=own)
