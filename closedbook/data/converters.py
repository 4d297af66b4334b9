"""From a task's tokens to the arrays that a model is fed, one way for each kind of model.

SeqIO calls such a thing a feature converter, and the names here are SeqIO's.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol, TypeAlias

import numpy as np

from closedbook.data.cache import TokenCache
from closedbook.data.packing import Sequences, Stack
from closedbook.errors import UserError
from closedbook.vocabulary import PAD_ID

Flat: TypeAlias = tuple[np.ndarray, np.ndarray]  # ids [tokens], and offsets int64 [rows + 1]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A cache's tokens, divided into what a row of a batch can hold.

    Attributes:
        cache: Where they are from.
        inputs: Of the examples; all empty for a model without inputs.
        targets: Of the examples, or of the pieces into which they were cut.
        before: The token before each of `targets`, int32 [rows], which predicts its first; None
            where all have the same one, as in T5.
    """

    cache: TokenCache
    inputs: Flat
    targets: Flat
    before: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.inputs[1]) - 1


class FeatureConverter(Protocol):
    """What batches of a kind of model are made of.

    Attributes:
        features: Those of a task that it takes.
        streams: Whether it takes what SeqIO itself packs.
    """

    features: ClassVar[tuple[str, ...]]
    streams: ClassVar[bool]

    @property
    def begin_id(self) -> int:
        """Stands before the first token of a text, or of a target."""

    def check(self, task: str, features: Sequence[str]) -> None:
        """Refuses a task with other features.

        Raises:
            UserError: It has; the message names the kind of model that can be trained on it.
        """

    def shapes(self, lengths: Mapping[str, int], *, packed: bool) -> dict[str, int]:
        """Names of a batch's arrays, and how long their rows are."""

    def source(self, cache: TokenCache, lengths: Mapping[str, int]) -> Source:
        """The examples of a cache for rows of the given lengths."""

    def fill(
        self,
        inputs: Sequences,
        targets: Sequences,
        before: np.ndarray | None,
        rows: np.ndarray,
        *,
        row_count: int,
        lengths: Mapping[str, int],
        packed: bool,
    ) -> dict[str, np.ndarray]:
        """The arrays of a batch; longer examples are trimmed, and keep their EOS.

        Args:
            inputs: Inputs of the examples.
            targets: Their targets.
            before: The token before each of the targets, as in `Source`.
            rows: The row of each example, int [examples]; within a row they stand in the order
                given.
            row_count: Rows of the batch; rows without an example stay 0.
            lengths: Tokens of a row of each feature.
            packed: Whether to add segment ids and positions.

        Returns:
            int32 arrays [row_count, length] under the names of `shapes`.
        """

    def tokens(self, batch: Mapping[str, np.ndarray]) -> int:
        """Tokens of a batch without padding."""


@dataclasses.dataclass(frozen=True)
class EncDecFeatureConverter:
    """Batches of an encoder-decoder: it reads inputs and predicts targets.

    Args:
        begin_id: Stands before the first token of each target.
    """

    features: ClassVar[tuple[str, ...]] = ("inputs", "targets")
    streams: ClassVar[bool] = True

    begin_id: int = PAD_ID

    def check(self, task: str, features: Sequence[str]) -> None:
        """Refuses a task without inputs or targets; errors as in `FeatureConverter`."""
        if "targets" not in features:
            raise UserError(
                f"task {task} has no targets, only {', '.join(features)}; an encoder-decoder is "
                "trained and asked by inputs and targets"
            )
        if "inputs" not in features:
            raise UserError(
                f"task {task} is text without inputs, and an encoder-decoder reads inputs; train "
                "a decoder-only model on it (models/lm_relu.gin), or take a task with both"
            )

    def shapes(self, lengths: Mapping[str, int], *, packed: bool) -> dict[str, int]:
        """As in `FeatureConverter`."""
        encoder = ["input_tokens", *(_PACKED if packed else ())]
        of_encoder = {f"encoder_{name}": lengths["inputs"] for name in encoder}
        return of_encoder | _decoder_shapes(lengths["targets"], packed)

    def source(self, cache: TokenCache, lengths: Mapping[str, int]) -> Source:
        """The examples as the cache has them, which `fill` trims."""
        return Source(cache=cache, inputs=cache.flat("inputs"), targets=cache.flat("targets"))

    def fill(
        self,
        inputs: Sequences,
        targets: Sequences,
        before: np.ndarray | None,
        rows: np.ndarray,
        *,
        row_count: int,
        lengths: Mapping[str, int],
        packed: bool,
    ) -> dict[str, np.ndarray]:
        """As in `FeatureConverter`."""
        encoder = Stack.of(inputs, rows, row_count, lengths["inputs"])
        batch = {"encoder_input_tokens": encoder.tokens}
        if packed:
            batch["encoder_segment_ids"] = encoder.segments
            batch["encoder_positions"] = encoder.positions
        decoder = Stack.of(targets, rows, row_count, lengths["targets"])
        batch |= _decoder_arrays(decoder, self.begin_id, packed)
        # Padding among a task's targets is not learnt, as in SeqIO.
        batch["decoder_loss_weights"] = (decoder.tokens > 0).astype(np.int32)
        return batch

    def tokens(self, batch: Mapping[str, np.ndarray]) -> int:
        """Of inputs and of targets."""
        names = ("encoder_input_tokens", "decoder_target_tokens")
        return sum(int(np.count_nonzero(batch[name])) for name in names)


@dataclasses.dataclass(frozen=True)
class LMFeatureConverter:
    """Batches of a decoder-only model: it predicts each token of a text from those before it.

    A text that is longer than a row is cut, and its pieces are examples of their own. The first
    token of a piece is predicted from the token that truly stands before it.

    Args:
        begin_id: Stands before the first token of a text.
    """

    features: ClassVar[tuple[str, ...]] = ("targets",)
    streams: ClassVar[bool] = False

    begin_id: int

    def check(self, task: str, features: Sequence[str]) -> None:
        """Refuses a task with inputs; errors as in `FeatureConverter`."""
        if tuple(features) != self.features:
            raise UserError(
                f"task {task} has {' and '.join(features)}, and a decoder-only model is trained "
                "on text alone; name a task of language_model_from_files, or train a T5"
            )

    def shapes(self, lengths: Mapping[str, int], *, packed: bool) -> dict[str, int]:
        """As in `FeatureConverter`."""
        return _decoder_shapes(lengths["targets"], packed)

    def source(self, cache: TokenCache, lengths: Mapping[str, int]) -> Source:
        """The texts in pieces of at most a row."""
        ids, offsets = cache.flat("targets")
        cut, begins = _cut(np.asarray(offsets), lengths["targets"])
        before = np.where(begins, self.begin_id, ids[np.maximum(cut[:-1] - 1, 0)])
        return Source(
            cache=cache,
            inputs=(np.zeros(0, np.int32), np.zeros(len(cut), np.int64)),
            targets=(ids, cut),
            before=before.astype(np.int32),
        )

    def fill(
        self,
        inputs: Sequences,
        targets: Sequences,
        before: np.ndarray | None,
        rows: np.ndarray,
        *,
        row_count: int,
        lengths: Mapping[str, int],
        packed: bool,
    ) -> dict[str, np.ndarray]:
        """As in `FeatureConverter`."""
        assert before is not None  # `source` gives it
        decoder = Stack.of(targets, rows, row_count, lengths["targets"])
        return _decoder_arrays(decoder, before, packed)

    def tokens(self, batch: Mapping[str, np.ndarray]) -> int:
        """Those that are predicted; where every id is a piece, weights alone tell padding."""
        return int(np.count_nonzero(batch["decoder_loss_weights"]))


ENC_DEC = EncDecFeatureConverter()
_PACKED = ("segment_ids", "positions")


def _decoder_shapes(length: int, packed: bool) -> dict[str, int]:
    names = ["input_tokens", "target_tokens", "loss_weights", *(_PACKED if packed else ())]
    return {f"decoder_{name}": length for name in names}


def _decoder_arrays(
    decoder: Stack, before: np.ndarray | int, packed: bool
) -> dict[str, np.ndarray]:
    batch = {
        "decoder_input_tokens": decoder.shifted(before),
        "decoder_target_tokens": decoder.tokens,
        "decoder_loss_weights": (decoder.segments > 0).astype(np.int32),
    }
    if packed:
        batch["decoder_segment_ids"] = decoder.segments
        batch["decoder_positions"] = decoder.positions
    return batch


def _cut(offsets: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Offsets of the pieces of at most `longest` tokens of each row, and whether one begins it.

    >>> cut, begins = _cut(np.array([0, 2, 7]), 3)
    >>> cut.tolist(), begins.tolist()
    ([0, 2, 5, 7], [True, True, False])
    """
    starts, lengths = offsets[:-1], np.diff(offsets)
    pieces = -(-lengths // longest)
    number = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    cut = np.repeat(starts, pieces) + number * longest
    return np.append(cut, offsets[-1]), number == 0
