"""Sentences with salient spans as a SeqIO source: from a folder's shards, or TFDS."""

import os
import pathlib
import random
from collections.abc import Iterator

import seqio
import tensorflow as tf

from closedbook.errors import UserError
from closedbook.tasks.spans import sentence_files

_RECORDS_AT_ONCE = 1024
_BUCKETS = 1 << 20  # of titles, when some are held out
_FEATURES = {
    "text": tf.io.FixedLenFeature([], tf.string),
    "title": tf.io.FixedLenFeature([], tf.string, ""),
    **{
        f"spans/{name}": tf.io.RaggedFeature(dtype, row_splits_dtype=tf.int64)
        for name, dtype in (("start", tf.int64), ("limit", tf.int64), ("type", tf.string))
    },
}


class SentenceFiles(seqio.DataSource):
    """Streams the sentences of a folder that `closedbook ssm build` wrote, shard by shard.

    Args:
        folder: The folder.
        held_out: Share of the titles in the split "validation"; 0: there is no such split.
    """

    def __init__(self, folder: str | os.PathLike, held_out: float = 0.0) -> None:
        super().__init__(splits=("train", "validation") if held_out else ("train",))
        self._folder, self._held_out = pathlib.Path(folder), held_out

    @property
    def supports_arbitrary_sharding(self) -> bool:
        return False

    def list_shards(self, split: str) -> list[str]:
        return [str(path) for path in sentence_files.shard_paths(self._folder)]

    def num_input_examples(self, split: str) -> int:
        """Sentences of a split; where a share of the titles is held out, an estimate."""
        shards = sentence_files.manifest(self._folder)["shards"]
        share = self._held_out if split == "validation" else 1 - self._held_out
        return round(share * sum(shard["sentences"] for shard in shards))

    def get_dataset(
        self,
        split: str = "train",
        shuffle: bool = True,
        seed: int | None = None,
        shard_info: seqio.ShardInfo | None = None,
    ) -> tf.data.Dataset:
        shards = self.list_shards(split)
        if shard_info is not None:
            shards = shards[shard_info.index :: shard_info.num_shards]
        if shuffle:
            random.Random(seed).shuffle(shards)
        return self._read(shards, split).unbatch()

    def batches(self, split: str) -> tf.data.Dataset:
        """All sentences in order, many at a time: every feature has one more axis, in front."""
        return self._read(self.list_shards(split), split)

    def _read(self, shards: list[str], split: str) -> tf.data.Dataset:
        file_format = sentence_files.manifest(self._folder)["format"]

        def parsed(records: tf.Tensor) -> dict:
            rows = tf.io.parse_example(records, _FEATURES)
            return _nested(_of_split(rows, split, self._held_out) if self._held_out else rows)

        records = _records(tf.data.Dataset.from_tensor_slices(shards), file_format)
        return records.map(parsed, num_parallel_calls=tf.data.AUTOTUNE)


def _records(files: tf.data.Dataset, file_format: str) -> tf.data.Dataset:
    """Batches of encoded records, in the order of the files."""
    if file_format == "array_record":
        return files.flat_map(
            lambda path: tf.data.Dataset.from_generator(
                _array_records, args=(path,), output_signature=tf.TensorSpec([None], tf.string)
            )
        )
    compression = {"tfrecord": "", "tfrecord.gz": "GZIP"}.get(file_format)
    if compression is None:
        raise UserError(f"sentences are in {file_format!r}; array_record and tfrecord can be read")
    return tf.data.TFRecordDataset(files, compression).batch(_RECORDS_AT_ONCE)


def _array_records(path: bytes) -> Iterator[list[bytes]]:
    from array_record.python.array_record_module import ArrayRecordReader

    reader = ArrayRecordReader(path.decode())
    try:
        count = reader.num_records()
        for start in range(0, count, _RECORDS_AT_ONCE):
            yield reader.read(start, min(start + _RECORDS_AT_ONCE, count))
    finally:
        reader.close()


def _of_split(rows: dict, split: str, held_out: float) -> dict:
    """The rows of one split: a title's sentences all fall into the same."""
    key = tf.where(rows["title"] == "", rows["text"], rows["title"])
    bucket = tf.strings.to_hash_bucket_fast(key, _BUCKETS)
    validation = bucket < round(held_out * _BUCKETS)
    keep = validation if split == "validation" else ~validation
    return {
        name: (tf.ragged.boolean_mask if isinstance(each, tf.RaggedTensor) else tf.boolean_mask)(
            each, keep
        )
        for name, each in rows.items()
    }


def _nested(row: dict) -> dict:
    return {
        "text": row["text"],
        "title": row["title"],
        "spans": {name: row[f"spans/{name}"] for name in ("start", "limit", "type")},
    }
