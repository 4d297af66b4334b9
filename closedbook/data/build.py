"""Token caches built out of tasks: the one place where a task's preprocessing runs.

It is SeqIO's, apart from plain text, which is tokenised here without TensorFlow.
"""

import dataclasses
import functools
import inspect
import itertools
import logging
import os
import pathlib
import re
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from closedbook import whole_files
from closedbook.data import cache, cache_keys
from closedbook.data.cache import TokenCache
from closedbook.data.examples import Example, examples, texts
from closedbook.data.task_facts import registered_task
from closedbook.errors import UserError
from closedbook.tasks import specs
from closedbook.tasks.sources import Texts
from closedbook.vocabulary import Vocabulary
from closedbook.vocabulary.protocol import AnyVocabulary
from closedbook.vocabulary.text_bytes import ByteVocabulary

if TYPE_CHECKING:
    import seqio
    import tensorflow as tf

_log = logging.getLogger(__name__)


def add_seqio_cache_dirs(folders: Sequence[str]) -> None:
    """Adds folders in which SeqIO looks for its offline caches."""
    import seqio

    seqio.add_global_cache_dirs(list(folders))


def has_seqio_cache(name: str) -> bool:
    """Whether SeqIO's own `cache_tasks` has written a task; says once where it has not.

    Where nothing has named SeqIO a folder of caches, SeqIO is not even imported.
    """
    seqio = sys.modules.get("seqio")
    folders = tuple(seqio.utils.get_global_cache_dirs()) if seqio else ()
    if folders and registered_task(name).cache_dir is not None:
        return True
    _say_no_cache(name, folders)
    return False


@functools.cache  # once
def _say_no_cache(name: str, folders: tuple[str, ...]) -> None:
    looked = ", ".join(folders) or "no folder, as --seqio_additional_cache_dirs names none"
    _log.info(
        "task %s has no SeqIO cache (USE_CACHED_TASKS; looked in %s): its examples are made anew",
        name,
        looked,
    )


def build(
    folder: pathlib.Path,
    key: cache_keys.Key,
    vocabulary: AnyVocabulary,
    settings: cache_keys.Settings,
) -> TokenCache:
    """Builds the token cache that a key names, in a folder.

    Args:
        folder: To make; nothing is there until the cache is whole.
        key: All that the tokens depend on.
        vocabulary: Of inputs and targets.
        settings: Where the data lies and how much of it to take.

    Raises:
        UserError: The task lacks the split, or its data is missing or malformed.
    """
    name, split = key["task"], key["split"]
    if removed := whole_files.remove_abandoned(folder.parent):
        _log.info("removed what %d killed builds left in %s", len(removed), folder.parent)
    spec = specs.SPECS.get(name)
    alternatives = spec is not None and spec.random_answer and split == "train"
    if spec is not None and isinstance(spec.source, Texts) and not settings["use_seqio_cached"]:
        rows = texts(spec.source.documents(split), name, split, vocabulary)
    else:
        rows = _by_seqio(name, split, vocabulary, settings, alternatives=alternatives)
    return cache.write(
        folder,
        itertools.islice(rows, settings["num_examples"]),
        manifest={
            "task": name,
            "split": split,
            "prefix": spec.prefix if spec else "",
            "postprocessor": spec.postprocessor if spec else "task",
            "vocabulary": {**key["vocabulary"], "path": vocabulary.path},
            "vocab_size": vocabulary.vocab_size,
            "key": key,
        },
        vocab_size=vocabulary.vocab_size,
        alternatives=alternatives,
    )


def _by_seqio(
    name: str,
    split: str,
    vocabulary: AnyVocabulary,
    settings: cache_keys.Settings,
    *,
    alternatives: bool,
) -> Iterator[Example]:
    """The examples that SeqIO makes; errors as in `build`."""
    spec = specs.SPECS.get(name)
    task = over_vocabulary(name, vocabulary, settings["data_dir"])
    note = f"while SeqIO made the examples of task {name}, split {split}"
    try:
        if split not in task.splits and not _is_slice(task, split):
            raise UserError(f"task {name} has no split {split!r}; it has {', '.join(task.splits)}")
        if settings["lengths"] is None:
            _check_no_lengths(task)
        if task.requires_caching and not settings["use_seqio_cached"]:
            raise UserError(
                f"task {name} is read from SeqIO's own cache alone; set USE_CACHED_TASKS = True, "
                "and name the cache's folder with --seqio_additional_cache_dirs"
            )
        dataset, in_batches = _dataset(task, spec, split, settings)
    except UserError:
        raise
    except Exception as error:
        traced = str(error).startswith("in user code")  # a task's own function, by TensorFlow
        if isinstance(error, ValueError) and not traced:  # what SeqIO checks of a task
            raise UserError(f"task {name}, split {split}: {error}") from error
        error.add_note(note)
        raise
    made = examples(
        dataset,
        task,
        spec,
        split,
        vocabulary,
        alternatives=alternatives,
        in_batches=in_batches,
    )
    return _noted(made, f"task {name}, split {split}", note)


def _noted(made: Iterator[Example], task: str, note: str) -> Iterator[Example]:
    """The same examples; errors of a task's own functions get a note."""
    import tensorflow as tf

    try:
        yield from made
    except UserError:
        raise
    except tf.errors.NotFoundError as error:
        file = re.sub(r"\{\{.*?\}\}\s*|\s*\[Op:.*", "", error.message)
        raise UserError(f"{task}: {file}") from error
    except Exception as error:
        error.add_note(note)
        raise


def _is_slice(task: "seqio.Task", split: str) -> bool:
    """Whether a split is a part of TFDS's ("train[:100]", "train+validation") for a task of it."""
    import seqio

    names = [part.partition("[")[0] for part in split.split("+")]
    sliced = isinstance(task.source, seqio.TfdsDataSource) and split not in task.splits
    return sliced and all(name in task.splits for name in names)


def _check_no_lengths(task: "seqio.Task") -> None:
    """Refuses a task that must know how long its examples may be.

    Raises:
        UserError: One of its preprocessors requires the lengths.
    """
    for preprocessor in task.preprocessors:
        parameter = inspect.signature(preprocessor).parameters.get("sequence_length")
        if parameter is not None and parameter.default is inspect.Parameter.empty:
            inner = getattr(preprocessor, "func", preprocessor)  # of a functools.partial
            raise UserError(
                f"the preprocessor {getattr(inner, '__name__', inner)} of task {task.name} "
                "requires sequence_length; set TASK_FEATURE_LENGTHS"
            )


def over_vocabulary(
    name: str, vocabulary: AnyVocabulary, data_dir: str | os.PathLike | None = None
) -> "seqio.Task":
    """The SeqIO task, over this vocabulary; a feature's other settings stay the task's own.

    Args:
        name: A registered task.
        vocabulary: Of inputs and targets.
        data_dir: A folder with the data set's own files, for packaged tasks.

    Raises:
        UserError: The name is unknown, or the vocabulary is none that SeqIO knows.
    """
    if not isinstance(vocabulary, Vocabulary | ByteVocabulary):
        raise UserError(
            f"task {name} is tokenised by SeqIO, which knows SentencePiece and bytes, and the "
            f"vocabulary is {vocabulary.path}; name a task of language_model_from_files, or a "
            "SentencePiece model in VOCABULARY_FILE"
        )
    own = registered_task(name).output_features
    from closedbook.tasks import registry

    ours = registry.output_features(vocabulary.local_path, vocabulary.extra_ids)
    vocabulary_of = ours["targets"].vocabulary
    features = {
        feature: dataclasses.replace(settings, vocabulary=vocabulary_of)
        if feature in cache.TOKEN_FEATURES
        else settings
        for feature, settings in own.items()
    }
    return registry.task(name, data_dir=data_dir, features=features)


def _dataset(
    task: "seqio.Task",
    spec: specs.TaskSpec | None,
    split: str,
    settings: cache_keys.Settings,
) -> tuple["tf.data.Dataset", bool]:
    """A task's examples in order, and whether the data set holds batches of them."""
    lengths = settings["lengths"] if cache_keys.depends_on_lengths(spec) else None
    masking = spec.masking if spec else None
    if masking is not None and not settings["use_seqio_cached"]:
        from closedbook.tasks import registry

        return registry.masked_batches(task, masking, split, lengths), True
    dataset = task.get_dataset(
        sequence_length=dict(lengths) if lengths else None,
        split=split,
        use_cached=settings["use_seqio_cached"],
        shuffle=False,
        # Masks are part of the cache: another seed of the training does not change them.
        seed=masking.seed if masking else settings["seed"],
        num_epochs=masking.passes if masking else 1,
        try_in_mem_cache=False,
    )
    return dataset, False
