"""Training batches straight from SeqIO, for tasks too large for a token cache.

SeqIO mixes, shuffles in a buffer and packs, at about 0.2 million tokens per second. The position is
the number of batches consumed: restoring goes through that many again. It feeds one process alone.
Prefer `Batches` wherever the tokens fit on a disk.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from closedbook.errors import unknown_name
from closedbook.tasks import specs
from closedbook.vocabulary import PAD_ID, Vocabulary

if TYPE_CHECKING:
    import seqio


class Stream:
    """An endless iterator over the training batches; needs TensorFlow.

    Args:
        task_or_mixture: Registered with SeqIO.
        batch_size: Rows of a batch.
        lengths: Tokens of a row, "inputs" and "targets".
        pack: Whether to put several examples into a row.
        seed: Of shuffling and of random preprocessors.
        vocabulary: Text is tokenised with this, whatever the tasks' own default.
        split: Which split to train on.
        data_dir: A folder with the data sets' own files, instead of TFDS.
        use_seqio_cached: Whether to read what SeqIO's `cache_tasks` wrote.
        begin_id: The decoder's first input.

    Raises:
        UserError: The name is unknown.
    """

    def __init__(
        self,
        task_or_mixture: str,
        batch_size: int,
        lengths: Mapping[str, int],
        pack: bool,
        seed: int,
        *,
        vocabulary: Vocabulary,
        split: str = "train",
        data_dir: str | None = None,
        use_seqio_cached: bool = False,
        begin_id: int = PAD_ID,
        shuffle: bool = True,
    ) -> None:
        import seqio
        import tensorflow as tf

        provider = _provider(task_or_mixture, vocabulary, data_dir)
        dataset = provider.get_dataset(
            sequence_length=dict(lengths),
            split=split,
            shuffle=shuffle,
            use_cached=use_seqio_cached,
            seed=seed,
            num_epochs=None,
        )
        converter = seqio.EncDecFeatureConverter(pack=pack, bos_id=begin_id)
        self._dataset = (
            converter(dataset, task_feature_lengths=dict(lengths))
            .batch(batch_size, drop_remainder=True)
            .prefetch(tf.data.AUTOTUNE)
        )
        self._index = 0
        self._iterator: Iterator[dict[str, np.ndarray]] | None = None

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        if self._iterator is None:
            self._iterator = self._dataset.skip(self._index).as_numpy_iterator()
        batch = next(self._iterator)
        self._index += 1
        return {name: np.asarray(array, np.int32) for name, array in batch.items()}

    def state(self) -> dict[str, int]:
        """The position of the next batch; the epoch is always 0."""
        return {"epoch": 0, "index": self._index}

    def restore(self, state: Mapping[str, int]) -> None:
        """Goes to a position that `state` gave, at the next batch, by going through all before."""
        self._index = int(state["index"])
        self._iterator = None


def _provider(
    name: str, vocabulary: Vocabulary, data_dir: str | None
) -> "seqio.Task | seqio.Mixture":
    """The task or mixture, over this vocabulary."""
    import seqio

    from closedbook.tasks import registry

    known = {*seqio.TaskRegistry.names(), *seqio.MixtureRegistry.names()}
    if name not in known:
        raise unknown_name("task or mixture", name, known)
    features = registry.output_features(vocabulary.local_path, vocabulary.extra_ids)
    found = seqio.get_mixture_or_task(name)
    if isinstance(found, seqio.Task):
        return registry.task(name, data_dir=data_dir, features=features)
    copies = [
        (
            registry.task(task.name, data_dir=data_dir, features=features),
            # A function of the task's own data, which the copy may read from elsewhere.
            seqio.mixing_rate_num_examples
            if name in specs.MIXTURES and name not in specs.RATES
            else found.get_rate(task),
        )
        for task in found.tasks
    ]
    return seqio.Mixture(name, copies)
