"""Training batches in a seeded order; the position is two integers.

Every batch is a pure function of (epoch, index), so that a restored run goes on exactly. Every host
decides the same for all rows, and writes those that it needs. An epoch of one source holds each
example exactly once; its last batch may have empty rows.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from closedbook.data import packing, placing
from closedbook.data.cache import TokenCache
from closedbook.data.converters import ENC_DEC, FeatureConverter, Flat
from closedbook.errors import UserError

# What random numbers are for, so that no two purposes share a stream.
_ORDER, _INTERLEAVE, _ALTERNATIVE = 0, 1, 2


class Batches:
    """An endless iterator over the training batches.

    With several sources an epoch has as many examples as all of them together. Each source gives
    its share by rate, and a seeded interleaving mixes them. Where the rates are the numbers of
    examples, each example comes once per epoch. With other rates each source is gone through in
    its own seeded order again and again, independently of the epochs. (Where texts are cut into
    pieces, rates count texts, and the pieces are drawn in their stead.)

    Args:
        sources: Token caches and their mixing rates.
        batch_size: Rows of a batch, over all hosts.
        lengths: Tokens of a row of each of the converter's features.
        pack: Whether to put several examples into a row.
        seed: Of the order, 0 or more.
        shuffle: Whether each source's examples come in a seeded order, or in its own.
        converter: What the arrays of a batch are.
        own_rows: Of a batch, the rows that are written; the others are 0. None: all.

    Raises:
        UserError: There is no source, or a number is out of range.
    """

    def __init__(
        self,
        sources: Sequence[tuple[TokenCache, float]],
        batch_size: int,
        lengths: Mapping[str, int],
        pack: bool,
        seed: int,
        converter: FeatureConverter = ENC_DEC,
        *,
        shuffle: bool = True,
        own_rows: range | None = None,
    ) -> None:
        _check(sources, batch_size, lengths, seed, converter)
        self._converter = converter
        self._sources = [_Source(tokens, rate, lengths, converter) for tokens, rate in sources]
        self._batch_size = batch_size
        self._lengths = {name: int(lengths[name]) for name in converter.features}
        self._pack = pack
        self._seed = seed
        self._shuffle = shuffle
        self._own = range(batch_size) if own_rows is None else own_rows
        self._position = {"epoch": 0, "index": 0}
        self._epoch: _Epoch | None = None

    def __iter__(self) -> "Batches":
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        batch = self.batch(**self._position)
        while batch is None:
            self._position = {"epoch": self._position["epoch"] + 1, "index": 0}
            batch = self.batch(**self._position)
        self._position["index"] += 1
        return batch

    def state(self) -> dict[str, int]:
        """The position of the next batch: `{"epoch", "index"}`."""
        return dict(self._position)

    def restore(self, state: Mapping[str, int]) -> None:
        """Goes to a position that `state` gave.

        Raises:
            UserError: The epoch has no such batch: data, batch size or lengths have changed.
        """
        epoch, index = int(state["epoch"]), int(state["index"])
        # The position after an epoch's last batch is one too.
        before = self._open(epoch).placement(max(index - 1, 0)) if epoch >= 0 else None
        if index < 0 or before is None:
            raise UserError(
                f"the saved position in the data, epoch {epoch} and batch {index}, does not "
                "exist: the data, the batch size or the lengths differ from the saved run's; "
                "restore them, or start from a checkpoint without its data position"
            )
        self._position = {"epoch": epoch, "index": index}

    def batch(self, epoch: int, index: int) -> dict[str, np.ndarray] | None:
        """A batch, or None after the epoch's last one.

        Args:
            epoch: From 0.
            index: Of the batch within the epoch, from 0.

        Returns:
            int32 arrays [batch, length] under SeqIO's names, as the converter gives them.
        """
        opened = self._open(epoch)
        placement = opened.placement(index)
        if placement is None:
            return None
        own = self._own
        first, end = np.searchsorted(placement.rows, [own.start, own.stop])
        filled = self._converter.fill(
            *opened.sequences(placement.places[first:end]),
            placement.rows[first:end] - own.start,
            row_count=len(own),
            lengths=self._lengths,
            packed=self._pack,
        )
        if len(own) == self._batch_size:
            return filled
        return {name: self._among_all(rows) for name, rows in filled.items()}

    def _among_all(self, rows: np.ndarray) -> np.ndarray:
        """Own rows in their place; memory for the others is not touched."""
        whole = np.zeros((self._batch_size, *rows.shape[1:]), rows.dtype)
        whole[self._own.start : self._own.stop] = rows
        return whole

    def _open(self, epoch: int) -> "_Epoch":
        if self._epoch is None or self._epoch.number != epoch:
            self._epoch = _Epoch(
                epoch,
                self._sources,
                seed=self._seed,
                batch_size=self._batch_size,
                inputs_length=self._lengths.get("inputs", 0),
                targets_length=self._lengths["targets"],
                pack=self._pack,
                shuffle=self._shuffle,
            )
        return self._epoch


class _Source:
    """The examples of a token cache, and the share that they have of an epoch."""

    def __init__(
        self,
        tokens: TokenCache,
        rate: float,
        lengths: Mapping[str, int],
        converter: FeatureConverter,
    ) -> None:
        found = converter.source(tokens, lengths)
        self.cache, self.size = tokens, len(found)
        self.inputs, self.targets, self.before = found.inputs, found.targets, found.before
        self.rate = rate * (self.size / len(tokens))


class _Epoch:
    """The order of one epoch's examples, and where its batches begin (worked out as needed)."""

    def __init__(
        self,
        number: int,
        sources: Sequence[_Source],
        *,
        seed: int,
        batch_size: int,
        inputs_length: int,
        targets_length: int,
        pack: bool,
        shuffle: bool,
    ) -> None:
        self.number = number
        self._sources = sources
        self._batch_size = batch_size
        self._pack = pack
        counts = _shares([source.rate for source in sources], [source.size for source in sources])
        total = sum(counts)
        # Which source each place of the epoch belongs to, then which example of it.
        self._source = np.repeat(np.arange(len(sources), dtype=np.int16), counts)
        if len(sources) > 1:
            self._source = self._source[_permutation(total, seed, _INTERLEAVE, number)]
        self._inputs, self._targets = _Places.empty(total), _Places.empty(total)
        self._before = np.zeros(total, np.int32) if _have_before(sources) else None
        for which, (source, count) in enumerate(zip(sources, counts, strict=True)):
            places = self._source == which if len(sources) > 1 else slice(None)
            examples = _drawn(source.size, number * count, count, seed if shuffle else None, which)
            draws = None
            if source.cache.has_alternatives:
                draws = _random(count, seed, _ALTERNATIVE, number, which)
            targets = source.cache.target_rows(examples, draws)
            self._inputs.put(places, packing.Sequences.of(source.inputs, examples))
            self._targets.put(places, packing.Sequences.of(source.targets, targets))
            if self._before is not None and source.before is not None:
                self._before[places] = source.before[targets]
        self._total = total
        self._placements: list[placing.Placement] = []
        self._packed = placing.placements(
            self._inputs.lengths,
            self._targets.lengths,
            row_count=batch_size,
            inputs_length=inputs_length,
            targets_length=targets_length,
        )

    def placement(self, index: int) -> placing.Placement | None:
        """Which examples a batch holds, and in which rows; None after the epoch's last batch."""
        if not self._pack:
            start = index * self._batch_size
            if start >= self._total:
                return None
            rows = np.arange(min(self._batch_size, self._total - start), dtype=np.int32)
            return placing.Placement(places=start + rows.astype(np.int64), rows=rows)
        missing = index + 1 - len(self._placements)
        self._placements += itertools.islice(self._packed, max(missing, 0))
        return self._placements[index] if index < len(self._placements) else None

    def sequences(
        self, places: np.ndarray
    ) -> tuple[packing.Sequences, packing.Sequences, np.ndarray | None]:
        """Inputs and targets of the examples at these places, and the tokens before the targets."""
        source = self._source[places]
        return (
            self._inputs.at(places, source, [each.inputs for each in self._sources]),
            self._targets.at(places, source, [each.targets for each in self._sources]),
            None if self._before is None else self._before[places],
        )


@dataclasses.dataclass(frozen=True)
class _Places:
    """Where the tokens of one side of an epoch's examples lie in their own caches.

    Attributes:
        starts: int64 [examples].
        lengths: int64 [examples], untrimmed.
    """

    starts: np.ndarray
    lengths: np.ndarray

    @classmethod
    def empty(cls, total: int) -> "_Places":
        return cls(np.zeros(total, np.int64), np.zeros(total, np.int64))

    def put(self, places: np.ndarray | slice, found: packing.Sequences) -> None:
        self.starts[places], self.lengths[places] = found.starts, found.lengths

    def at(
        self, places: np.ndarray, source: np.ndarray, flats: Sequence[Flat]
    ) -> packing.Sequences:
        """The examples at some places, over one array of ids."""
        starts, lengths = self.starts[places], self.lengths[places]
        if len(flats) == 1:
            return packing.Sequences(ids=flats[0][0], starts=starts, lengths=lengths)
        parts = [
            packing.Sequences(ids=ids, starts=starts[mine], lengths=lengths[mine])
            for mine, (ids, _) in ((source == which, flat) for which, flat in enumerate(flats))
        ]
        return packing.Sequences.merged(parts, source)


def _have_before(sources: Sequence[_Source]) -> bool:
    return any(source.before is not None for source in sources)


def _drawn(size: int, first: int, count: int, seed: int | None, source: int) -> np.ndarray:
    """The examples from number `first` on, `count` of them, of a source's endless stream.

    Each turn of the stream holds every example once, in a seeded order, or without a seed in the
    source's own.
    """
    parts = []
    while count:
        turn, offset = divmod(first, size)
        order = np.arange(size)
        if seed is not None:
            order = _permutation(size, seed, _ORDER, turn, source)
        parts.append(order[offset : offset + count])
        first, count = first + len(parts[-1]), count - len(parts[-1])
    return np.concatenate(parts)


def _shares(rates: Sequence[float], sizes: Sequence[int]) -> list[int]:
    """Examples of each source in an epoch: in proportion to its rate, in all the sum of sizes."""
    exact = np.asarray(rates, np.float64) / np.sum(rates) * sum(sizes)
    counts = np.floor(exact + 1e-9).astype(np.int64)
    missing = sum(sizes) - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:missing]] += 1
    return [max(int(count), 1) for count in counts]


def _permutation(size: int, seed: int, *path: int) -> np.ndarray:
    """0 to size - 1 in the order of seeded random numbers."""
    numbers = _random(size, seed, *path)
    order = np.arange(size)
    # NumPy sorts 16 bits by radix: four stable passes take a third of the time of one over 64.
    for shift in range(0, 64, 16):
        digits = (numbers >> np.uint64(shift)).astype(np.uint16)
        order = order[np.argsort(digits[order], kind="stable")]
    return order


def _random(count: int, seed: int, *path: int) -> np.ndarray:
    """uint64 [count]. Raw output of Philox, which NumPy keeps the same between its versions."""
    return np.random.Philox(np.random.SeedSequence([seed, *path])).random_raw(count)


def _check(
    sources: Sequence[tuple[TokenCache, float]],
    batch_size: int,
    lengths: Mapping[str, int],
    seed: int,
    converter: FeatureConverter,
) -> None:
    if not sources:
        raise UserError("there is nothing to train on: give at least one task")
    for tokens, rate in sources:
        if not rate > 0:
            raise UserError(f"task {tokens.name} has mixing rate {rate}; it must be above 0")
    if batch_size < 1:
        raise UserError(f"BATCH_SIZE is {batch_size}; a batch has at least one row")
    for feature in converter.features:
        if int(lengths.get(feature, 0)) < 1:
            example = {name: 512 if name == "inputs" else 114 for name in converter.features}
            raise UserError(
                f"TASK_FEATURE_LENGTHS gives no length for {feature!r}: {dict(lengths)}; "
                f"write {example}"
            )
    if seed < 0:
        raise UserError(f"the seed of the data is {seed}; it must be 0 or more")
