"""Examples out of SeqIO's data sets and out of plain text, as token caches hold them."""

import itertools
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from closedbook.data.cache import TOKEN_FEATURES
from closedbook.data.example_features import encoded, plain
from closedbook.data.task_facts import is_evaluated
from closedbook.errors import UserError
from closedbook.tasks import specs
from closedbook.vocabulary import EOS_ID
from closedbook.vocabulary.protocol import AnyVocabulary

if TYPE_CHECKING:
    import seqio
    import tensorflow as tf

_log = logging.getLogger(__name__)

# Rows of ids by feature, and the line of examples.jsonl: None for a task without questions.
Example: TypeAlias = tuple[dict[str, Sequence[Sequence[int]]], dict[str, Any] | None]

_ROWS_AT_ONCE = 512  # examples taken from TensorFlow together
_TEXTS_AT_ONCE = 64  # documents tokenised together
_PROGRESS_SECONDS = 10  # between two lines of the log


def examples(
    dataset: "tf.data.Dataset",
    task: "seqio.Task",
    spec: specs.TaskSpec | None,
    split: str,
    vocabulary: AnyVocabulary,
    *,
    alternatives: bool = False,
    in_batches: bool = False,
) -> Iterator[Example]:
    """The examples of a data set in the form that `cache.write` takes.

    Args:
        dataset: SeqIO's, of single examples; or of batches of them.
        task: The SeqIO task.
        spec: Its description, of a task of this package.
        split: Its split.
        vocabulary: For targets that are tokenised here.
        alternatives: Whether every answer is a row of targets.
        in_batches: Whether the data set holds batches.

    Returns:
        An iterator over each example's rows of ids by feature, and its line of examples.jsonl:
        None for a task that is only trained on. It raises a `UserError` where an example's inputs
        or targets are not ids of the vocabulary.
    """
    size = vocabulary.vocab_size
    # Other packages' tasks without a metric may be answered, though not scored.
    kept = is_evaluated(task) or (spec is None and split != "train")

    def made() -> Iterator[Example]:
        for count, example in enumerate(_elements(dataset, in_batches)):
            for name in TOKEN_FEATURES:
                if name in example:
                    _check_ids(example[name], f"{name} of task {task.name}, row {count}", size)
            rows: dict[str, Sequence[Sequence[int]]] = {
                name: [example[name]] for name in TOKEN_FEATURES if name in example
            }
            if alternatives:
                rows["targets"] = [
                    [*vocabulary.encode(answer.decode()), EOS_ID] for answer in example["answers"]
                ]
            line = _line(example, task, spec, vocabulary, split, count) if kept else None
            yield rows, line

    return _logged(made(), task.name, split)


def _check_ids(ids: Any, what: str, size: int) -> None:
    """Checks that a feature is a row of a vocabulary's ids.

    Args:
        ids: Of an example.
        what: The feature, for the message.
        size: Ids of the vocabulary.

    Raises:
        UserError: It has another rank, numbers with fractions, or an id that there is not.
    """
    array = np.asarray(ids)
    if array.ndim != 1:
        raise UserError(f"{what} has {array.ndim} axes; a T5 reads one row of ids")
    if not array.size:
        return
    if array.dtype.kind not in "iu":
        raise UserError(f"{what} is of {array.dtype}; a T5 reads ids, which are whole numbers")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= size:
        raise UserError(
            f"{what} has the id {low if low < 0 else high}, and the model's vocabulary has the "
            f"ids 0 to {size - 1}; give the model the task's vocabulary (VOCABULARY_FILE)"
        )


def texts(
    documents: Iterator[str], name: str, split: str, vocabulary: AnyVocabulary
) -> Iterator[Example]:
    """Documents as targets without inputs, each tokenised whole and ended by EOS.

    Args:
        documents: Of a split.
        name: The task's.
        split: The split's.
        vocabulary: Of the targets.

    Raises:
        UserError: The vocabulary does not say which id ends a text.
    """
    eos_id = vocabulary.eos_id

    def made() -> Iterator[Example]:
        while group := list(itertools.islice(documents, _TEXTS_AT_ONCE)):
            for ids in vocabulary.encode_batch(group):
                yield {"targets": [[*ids, eos_id]]}, None

    return _logged(made(), name, split)


def _logged(made: Iterator[Example], name: str, split: str) -> Iterator[Example]:
    """The same examples; the log says now and then how many there are."""
    _log.info("token cache: building %s %s", name, split)
    started = reported = time.monotonic()
    count = 0
    for count, example in enumerate(made, start=1):
        yield example
        if time.monotonic() - reported > _PROGRESS_SECONDS:
            reported = time.monotonic()
            _log.info("token cache: %s examples of %s %s", f"{count:,}", name, split)
    seconds = time.monotonic() - started
    _log.info("token cache: built %s %s: %s examples in %.1f s", name, split, f"{count:,}", seconds)


def _elements(dataset: "tf.data.Dataset", in_batches: bool) -> Iterator[dict[str, Any]]:
    """Examples as NumPy values; taken from TensorFlow many at a time, which is ten times faster."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    spec = dataset.element_spec
    if not in_batches and not all(
        isinstance(s, tf.TensorSpec) and s.shape.rank in (0, 1) for s in spec.values()
    ):
        yield from tfds.as_numpy(dataset)  # as SeqIO's evaluator has them: ragged ones stay so
        return
    batches = dataset if in_batches else dataset.ragged_batch(_ROWS_AT_ONCE).prefetch(1)
    for batch in batches:
        columns: dict[str, Any] = {}
        for key, column in batch.items():
            if isinstance(column, tf.RaggedTensor):
                splits = column.row_splits.numpy()
                # A batch of no examples splits into one empty piece.
                columns[key] = np.split(column.values.numpy(), splits[1:-1])[: len(splits) - 1]
            else:
                columns[key] = column.numpy()
        for row in range(len(next(iter(columns.values())))):
            yield {key: column[row] for key, column in columns.items()}


def _line(
    example: Mapping[str, Any],
    task: "seqio.Task",
    spec: specs.TaskSpec | None,
    vocabulary: AnyVocabulary,
    split: str,
    index: int,
) -> dict[str, Any]:
    """One line of examples.jsonl."""
    question = text_of(example, "inputs", vocabulary)
    given = _text(example.get("id", b""))
    features = {
        name: encoded(value) for name, value in example.items() if name not in TOKEN_FEATURES
    }
    line = {"id": given or f"{split}-{index}", "question": question, "features": features}
    if spec is None:  # what counts as an answer is asked of the task when it is evaluated
        return line
    target = task.postprocess_fn(
        text_of(example, "targets", vocabulary), example=example, is_target=True
    )
    return line | {
        "question": question.removeprefix(spec.prefix),
        "answers": texts_in(target),
        "target": plain(target),
    }


def text_of(example: Mapping[str, Any], feature: str, vocabulary: AnyVocabulary) -> str:
    """The text of a feature: as it was before it was tokenised, or what its tokens say.

    Args:
        example: Features as NumPy values.
        feature: "inputs" or "targets".
        vocabulary: Of the tokens.
    """
    if (text := example.get(f"{feature}_pretokenized")) is not None:
        return _text(text)
    return vocabulary.decode(np.asarray(example.get(feature, ())).tolist())


def texts_in(target: object) -> list[str]:
    """Every text in a target of lists, each once; nothing of numbers or dictionaries.

    >>> texts_in([b"Paris", ("Lyon", 3), "Paris"])
    ['Paris', 'Lyon']
    """
    found: dict[str, None] = {}

    def collect(value: object) -> None:
        if isinstance(value, list | tuple | set | frozenset | np.ndarray):
            for each in value:
                collect(each)
        elif isinstance(value, str | bytes):
            found[_text(value)] = None

    collect(target)
    return list(found)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
