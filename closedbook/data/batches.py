"""Training batches in a seeded order; the position is two integers.

Every batch is a pure function of (epoch, index), so that a restored run goes on exactly, and every
host makes the same whole batch. An epoch of one source holds each example exactly once; its last
batch may have empty rows.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from closedbook.data import packing
from closedbook.data.cache import TokenCache
from closedbook.data.converters import ENC_DEC, FeatureConverter
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
    ) -> None:
        _check(sources, batch_size, lengths, seed, converter)
        self._converter = converter
        self._sources = [_Source(tokens, rate, lengths, converter) for tokens, rate in sources]
        self._batch_size = batch_size
        self._lengths = {name: int(lengths[name]) for name in converter.features}
        self._pack = pack
        self._seed = seed
        self._shuffle = shuffle
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
        return self._converter.fill(
            *opened.sequences(slice(placement.start, placement.stop)),
            placement.rows,
            row_count=self._batch_size,
            lengths=self._lengths,
            packed=self._pack,
        )

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
        self._limits = {"inputs_length": inputs_length, "targets_length": targets_length}
        self._pack = pack
        counts = _shares([source.rate for source in sources], [source.size for source in sources])
        total = sum(counts)
        # Which source each place of the epoch belongs to, then which example of it.
        self._source = np.repeat(np.arange(len(sources), dtype=np.int16), counts)
        if len(sources) > 1:
            self._source = self._source[_permutation(total, seed, _INTERLEAVE, number)]
        self._input_row = np.zeros(total, np.int64)
        self._target_row = np.zeros(total, np.int64)
        input_lengths = np.zeros(total, np.int64)
        target_lengths = np.zeros(total, np.int64)
        for which, (source, count) in enumerate(zip(sources, counts, strict=True)):
            places = np.flatnonzero(self._source == which)
            examples = _drawn(source.size, number * count, count, seed if shuffle else None, which)
            draws = None
            if source.cache.has_alternatives:
                draws = _random(count, seed, _ALTERNATIVE, number, which)
            targets = source.cache.target_rows(examples, draws)
            self._input_row[places], self._target_row[places] = examples, targets
            input_lengths[places] = packing.Sequences.of(source.inputs, examples).lengths
            target_lengths[places] = packing.Sequences.of(source.targets, targets).lengths
        self._total = total
        self._placements: list[packing.Placement] = []
        if pack:
            self._input_lengths = np.minimum(input_lengths, inputs_length).tolist()
            self._target_lengths = np.minimum(target_lengths, targets_length).tolist()
            self._limits |= {
                "shortest_input": min(self._input_lengths),
                "shortest_target": min(self._target_lengths),
            }

    def placement(self, index: int) -> packing.Placement | None:
        """Which examples a batch holds, and in which rows; None after the epoch's last batch."""
        if not self._pack:
            start = index * self._batch_size
            if start >= self._total:
                return None
            count = min(self._batch_size, self._total - start)
            return packing.Placement(start=start, rows=np.arange(count, dtype=np.int32))
        while len(self._placements) <= index:
            start = self._placements[-1].stop if self._placements else 0
            if start == self._total:
                return None
            self._placements.append(
                packing.first_fit(
                    start,
                    self._input_lengths,
                    self._target_lengths,
                    row_count=self._batch_size,
                    **self._limits,
                )
            )
        return self._placements[index]

    def sequences(
        self, places: slice
    ) -> tuple[packing.Sequences, packing.Sequences, np.ndarray | None]:
        """Inputs and targets of the examples at these places, and the tokens before the targets."""
        source, target_row = self._source[places], self._target_row[places]
        before = None
        for which, each in enumerate(self._sources):
            if each.before is not None:
                before = np.zeros(len(source), np.int32) if before is None else before
                before[source == which] = each.before[target_row[source == which]]
        return (
            packing.Sequences.merged(
                [each.inputs for each in self._sources], source, self._input_row[places]
            ),
            packing.Sequences.merged([each.targets for each in self._sources], source, target_row),
            before,
        )


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
    return np.argsort(_random(size, seed, *path), kind="stable")


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
