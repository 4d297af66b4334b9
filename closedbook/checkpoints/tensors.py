"""A checkpoint of any format as named arrays that are read one at a time."""

import collections
import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from closedbook.checkpoints.card import ModelCard
from closedbook.errors import UserError
from closedbook.models.families import Config
from closedbook.vocabulary import EXTRA_IDS

Index = tuple[slice, ...]
_AHEAD_BYTES = 2**27  # of arrays that are read before they are asked for
SLOTS = ("m", "v", "v_col", "v_row")  # Adafactor's accumulators, in T5X's order


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tensor:
    """An array of a checkpoint that stays on disk until it is read.

    Attributes:
        shape: Elements along each axis.
        dtype: Type of the elements as stored.
        place: File and name in the file, for messages: "FOLDER/model.safetensors: shared.weight".
        load: Reads the part that an index of slices selects; () selects all of it.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    place: str
    load: Callable[[Index], np.ndarray]

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def read(self, index: Index = ()) -> np.ndarray:
        """The array, or the part of it that slices select.

        Raises:
            UserError: The stored bytes are damaged; the message names file and tensor.
        """
        try:
            return self.load(index)
        except UserError:
            raise
        except (OSError, ValueError, EOFError, RuntimeError) as error:
            detail = " ".join(str(error).split())[:300]
            raise UserError(
                f"{self.place} cannot be read: {detail}; the file is damaged or incomplete, copy "
                "or download it again"
            ) from error

    @classmethod
    def of(cls, array: np.ndarray, place: str) -> "Tensor":
        """An array that is in memory already."""
        return cls(
            shape=array.shape,
            dtype=array.dtype,
            place=place,
            load=lambda index: np.asarray(array[index]),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """An opened checkpoint of any format; nothing but names, shapes and types is read yet.

    Attributes:
        format: A value of `formats.Format`.
        path: Where it was found, for messages.
        params: By T5X's names or names like them, "encoder/layers_0/attention/query/kernel";
            scanned or unrolled as stored (scanned: "encoder/layers/attention/query/kernel", layers
            on axis 1).
        slots: Adafactor's accumulators by "<parameter>/<slot>" with the slots v, v_row, v_col and
            m, unused ones of shape (1,) included; None if the checkpoint has no optimiser state.
        other_optimizer: Name of an optimiser state that is not Adafactor's and is not read, or "".
        step: Training steps done, or None if the format does not tell.
        updates: Adafactor's own count, where it is kept apart from the step.
        config: The architecture, where the format says it; otherwise shapes tell.
        card: `model.json` of a closedbook checkpoint.
        vocabulary: A file that came with it, of SentencePiece or of the tokenizers library (JSON).
        extra_ids: Sentinels after the pieces of a SentencePiece file.
        prefix: Text before each question that the model was trained with, or None if not known.
    """

    format: str
    path: str
    params: Mapping[str, Tensor]
    slots: Mapping[str, Tensor] | None = None
    other_optimizer: str = ""
    step: int | None = None
    updates: int | None = None
    config: Config | None = None
    card: ModelCard | None = None
    vocabulary: pathlib.Path | None = None
    extra_ids: int = EXTRA_IDS
    prefix: str | None = None

    @property
    def names_vocabulary(self) -> bool:
        """Whether the format itself says which vocabulary is the model's."""
        return self.card is not None or self.config is not None


def read_ahead(tensors: Iterable[Tensor]) -> Iterator[np.ndarray]:
    """The arrays of tensors in their order; small ones are read while others are written.

    Args:
        tensors: What to read; one above 128 MiB is read when its turn comes, and alone.
    """
    waiting: collections.deque[tuple[int, Future[np.ndarray]]] = collections.deque()
    # One thread keeps the order, in which the layers of a stack come one after the other.
    with ThreadPoolExecutor(1) as pool:
        try:
            for tensor in tensors:
                while waiting and sum(n for n, _ in waiting) + tensor.nbytes > _AHEAD_BYTES:
                    yield waiting.popleft()[1].result()
                waiting.append((tensor.nbytes, pool.submit(tensor.read)))
            while waiting:
                yield waiting.popleft()[1].result()
        finally:
            for _, future in waiting:
                future.cancel()


def flatten(
    tree: Mapping[str, Any], *, leaf: Callable[[Mapping[str, Any]], bool]
) -> dict[str, Any]:
    """A nested dict as a flat one, names joined with "/".

    Args:
        tree: Nested mappings.
        leaf: Whether a mapping is a leaf and not an inner node.
    """
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping) and not leaf(value):
            inner = flatten(value, leaf=leaf)
            flat.update({f"{name}/{rest}": each for rest, each in inner.items()})
        else:
            flat[name] = value
    return flat


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flatten`."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *folders, last = name.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[last] = value
    return tree
