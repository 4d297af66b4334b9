"""Where a task's raw examples come from: TFDS, a folder of files, own files, or the atlas."""

import os
import random
from collections.abc import Callable
from typing import Any

import seqio
import tensorflow as tf

from closedbook.errors import UserError
from closedbook.tasks import local_files, own_files
from closedbook.tasks.rows import Row
from closedbook.tasks.spans import own_sentences as span_files
from closedbook.tasks.spans.sentence_source import SentenceFiles
from closedbook.tasks.spans.sentences import Sentence
from closedbook.tasks.specs import TaskSpec

_TEXT, _TEXTS, _NUMBERS = "text", "texts", "numbers"
_QUESTIONS = {"id": _TEXT, "question": _TEXT, "answers": _TEXTS}
_TRIVIA_QA = {"id": _TEXT, "question": _TEXT, "answer": {"value": _TEXT, "aliases": _TEXTS}}
_SENTENCES = {
    "text": _TEXT,
    "title": _TEXT,
    "spans": {"start": _NUMBERS, "limit": _NUMBERS, "type": _TEXTS},
}
_HIDDEN = "<unk>"  # what TFDS has for a hidden TriviaQA answer


def source(spec: TaskSpec, data_dir: str | None = None) -> seqio.DataSource:
    """The source of a packaged or own task.

    Args:
        spec: The task.
        data_dir: A folder with the data set's own files. Default: CLOSEDBOOK_DATA_DIR when the
            data is read; without that TFDS.
    """
    if spec.dataset == "own":
        return _Examples(
            spec, lambda split: own_files.split_rows(spec, split), _QUESTIONS, _question
        )
    if spec.masking is not None and spec.files:
        return _sentences(spec, None)
    if spec.dataset == "atlas":
        return _atlas(spec)
    return _FolderOrTfds(spec, data_dir)


def chosen(source: seqio.DataSource) -> seqio.DataSource:
    """What a source reads right now, where that depends on the environment."""
    return source._chosen() if isinstance(source, _FolderOrTfds) else source


class _Examples(seqio.DataSource):
    """Examples that fit into memory, made by a function of the split's name."""

    def __init__(
        self,
        spec: TaskSpec,
        load: Callable[[str], list],
        signature: dict[str, Any],
        convert: Callable[[Any], dict[str, Any]],
    ) -> None:
        super().__init__(splits=spec.splits)
        self._load, self._signature, self._convert = load, signature, convert

    @property
    def supports_arbitrary_sharding(self) -> bool:
        return False

    def list_shards(self, split: str) -> list[str]:
        return [split]

    def num_input_examples(self, split: str) -> int:
        return len(self._load(split))

    def get_dataset(
        self,
        split: str = "train",
        shuffle: bool = True,
        seed: int | None = None,
        shard_info: seqio.ShardInfo | None = None,
    ) -> tf.data.Dataset:
        if shard_info is not None and shard_info.num_shards > 1:
            raise ValueError("examples in memory have one shard; shard the data set instead")
        examples = list(self._load(split))
        if shuffle:
            random.Random(seed).shuffle(examples)

        columns = _columns([self._convert(example) for example in examples], self._signature)
        return tf.data.Dataset.from_tensor_slices(columns)


class _FolderOrTfds(seqio.DataSource):
    """A folder of files if one is given or set in the environment, else TFDS."""

    def __init__(self, spec: TaskSpec, data_dir: str | None) -> None:
        super().__init__(splits=spec.splits)
        self._spec, self._data_dir = spec, data_dir
        self._tfds = spec.tfds and seqio.TfdsDataSource(
            tfds_name=spec.tfds, splits=dict(spec.tfds_splits)
        )

    @property
    def supports_arbitrary_sharding(self) -> bool:
        return False

    def _chosen(self) -> seqio.DataSource:
        spec = self._spec
        data_dir = self._data_dir or os.environ.get("CLOSEDBOOK_DATA_DIR")
        if data_dir and spec.masking is not None:
            return _sentences(spec, data_dir)
        if data_dir:
            trivia_qa = spec.dataset == "trivia_qa_open"
            return _Examples(
                spec,
                lambda split: local_files.split_rows(spec, split, data_dir),
                _TRIVIA_QA if trivia_qa else _QUESTIONS,
                _trivia_qa if trivia_qa else _question,
            )
        if not self._tfds:
            raise UserError(
                f"task {spec.name} is not in TFDS; give the folder of its files in DATA_DIR or "
                "CLOSEDBOOK_DATA_DIR"
            )
        return self._tfds

    def list_shards(self, split: str) -> list[str]:
        return list(self._chosen().list_shards(split))

    def num_input_examples(self, split: str) -> int | None:
        return self._chosen().num_input_examples(split)

    def get_dataset(
        self,
        split: str = "train",
        shuffle: bool = True,
        seed: int | None = None,
        shard_info: seqio.ShardInfo | None = None,
    ) -> tf.data.Dataset:
        return self._chosen().get_dataset(
            split=split, shuffle=shuffle, seed=seed, shard_info=shard_info
        )


def _sentences(spec: TaskSpec, data_dir: str | None) -> SentenceFiles:
    folder = span_files.folder(spec, data_dir)
    assert folder is not None
    return SentenceFiles(folder, spec.masking.held_out if spec.masking else 0.0)


def _columns(rows: list[dict[str, Any]], signature: dict[str, Any]) -> dict[str, Any]:
    """Rows as one tensor a feature: thirty times faster than a generator of rows."""
    columns: dict[str, Any] = {}
    for key, kind in signature.items():
        values = [row[key] for row in rows]
        if isinstance(kind, dict):
            columns[key] = _columns(values, kind)
        elif kind in (_TEXTS, _NUMBERS):
            flat = [each for row in values for each in row]
            columns[key] = tf.RaggedTensor.from_row_lengths(
                tf.constant(flat, tf.string if kind == _TEXTS else tf.int64),
                [len(row) for row in values],
            )
        else:
            columns[key] = tf.constant(values, tf.string)
    return columns


def _atlas(spec: TaskSpec) -> seqio.DataSource:
    from closedbook.tasks.atlas import corpus

    if spec.masking is not None:
        return _Examples(spec, lambda _: list(corpus.sentences()), _SENTENCES, _sentence)
    keys = ("id", "question", "answers")
    return _Examples(
        spec,
        lambda split: list(corpus.questions(*spec.options[split])),
        _QUESTIONS,
        lambda row: {key: row[key] for key in keys},
    )


def _sentence(sentence: Sentence) -> dict[str, Any]:
    starts, limits, labels = zip(*sentence.spans, strict=True)
    spans = {"start": starts, "limit": limits, "type": labels}
    return {"text": sentence.text, "title": sentence.title, "spans": spans}


def _question(row: Row) -> dict[str, Any]:
    return {"id": row.id or "", "question": row.question, "answers": row.answers}


def _trivia_qa(row: Row) -> dict[str, Any]:
    answer = {"value": row.target or _HIDDEN, "aliases": row.answers}
    return {"id": row.id or "", "question": row.question, "answer": answer}
