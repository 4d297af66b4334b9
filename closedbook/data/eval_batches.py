"""Evaluation batches: every example once, unpacked, in rows no longer than needed."""

from collections.abc import Iterator, Mapping

import numpy as np

from closedbook.data import packing
from closedbook.data.cache import TokenCache
from closedbook.errors import UserError


class EvalBatches:
    """Batches of a split for decoding or scoring; can be gone through any number of times.

    Inputs of a batch are padded to a multiple of `multiple`, the same on all hosts, so that few
    shapes are compiled; targets have one length throughout. The last batch is filled with empty
    rows.

    Args:
        cache: The split.
        batch_size: Rows of a global batch, over all hosts.
        lengths: The most tokens of a row by feature; longer examples are trimmed. Without it the
            longest example decides.
        host_index: Which host this is.
        host_count: Of how many.
        multiple: Lengths are multiples of this, except that they never pass `lengths`.
        sort_by_length: Whether to go from the longest inputs to the shortest, which pads least
            and meets a lack of memory at once; else in the order of the split.

    Raises:
        UserError: The batch does not divide among the hosts.
    """

    def __init__(
        self,
        cache: TokenCache,
        batch_size: int,
        lengths: Mapping[str, int] | None = None,
        *,
        host_index: int = 0,
        host_count: int = 1,
        multiple: int = 16,
        sort_by_length: bool = True,
    ) -> None:
        if batch_size < 1 or batch_size % host_count:
            raise UserError(
                f"an evaluation batch of {batch_size} rows does not divide among {host_count} "
                "hosts; make it a multiple of the number of hosts"
            )
        self._cache, self._batch_size, self._multiple = cache, batch_size, multiple
        self._limits = dict(lengths or {})
        self._rows = slice(
            batch_size * host_index // host_count, batch_size * (host_index + 1) // host_count
        )
        self._lengths = cache.lengths
        self._order = np.arange(len(cache))
        if sort_by_length:
            self._order = np.argsort(-self._lengths["inputs"], kind="stable")

    def __len__(self) -> int:
        return -(-len(self._cache) // self._batch_size)

    def __iter__(self) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        """Yields this host's rows.

        Yields:
            `(batch, indices)`: int32 arrays [rows, length] under SeqIO's names, and int64 [rows]
            which example of the split each row is, -1 for an empty row.
        """
        targets_length = self._padded("targets", self._lengths["targets"])
        for start in range(0, len(self._order), self._batch_size):
            everywhere = self._order[start : start + self._batch_size]
            mine = everywhere[self._rows]
            row_count = self._rows.stop - self._rows.start
            batch = packing.fill(
                packing.Sequences.of(self._cache.flat("inputs"), mine),
                packing.Sequences.of(self._cache.flat("targets"), self._cache.target_rows(mine)),
                np.arange(len(mine)),
                row_count=row_count,
                inputs_length=self._padded("inputs", self._lengths["inputs"][everywhere]),
                targets_length=targets_length,
                packed=False,
            )
            indices = np.full(row_count, -1, np.int64)
            indices[: len(mine)] = mine
            yield batch, indices

    def _padded(self, feature: str, lengths: np.ndarray) -> int:
        longest = max(int(lengths.max()), 1)
        padded = -(-longest // self._multiple) * self._multiple
        return min(padded, int(self._limits.get(feature, padded)))
