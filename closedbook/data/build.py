"""Token caches out of SeqIO tasks: the one place where a task's preprocessing runs.

Opening an existing cache needs neither TensorFlow nor SeqIO; `cache_keys` says how it is found.
"""

import dataclasses
import itertools
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Required, TypedDict, Unpack

from closedbook.data import cache, cache_keys
from closedbook.data.cache import TokenCache
from closedbook.data.examples import examples
from closedbook.data.task_facts import registered_task, task_rates, task_splits
from closedbook.errors import UserError
from closedbook.tasks import specs
from closedbook.vocabulary import Vocabulary

if TYPE_CHECKING:
    import seqio
    import tensorflow as tf


class CacheOptions(TypedDict, total=False):
    """Keyword arguments of `token_cache`, which the calls for several tasks pass on."""

    vocabulary: Required[Vocabulary]
    lengths: Mapping[str, int] | None
    cache_dir: str | os.PathLike | None
    data_dir: str | os.PathLike | None
    use_seqio_cached: bool
    num_examples: int | None
    seed: int


def default_cache_dir() -> pathlib.Path:
    """`$CLOSEDBOOK_CACHE_DIR`, else `~/.cache/closedbook/tokens`."""
    given = os.environ.get("CLOSEDBOOK_CACHE_DIR", "~/.cache/closedbook/tokens")
    return pathlib.Path(given).expanduser()


def token_cache(
    task_name: str,
    split: str,
    *,
    vocabulary: Vocabulary,
    lengths: Mapping[str, int] | None = None,
    cache_dir: str | os.PathLike | None = None,
    data_dir: str | os.PathLike | None = None,
    use_seqio_cached: bool = False,
    num_examples: int | None = None,
    seed: int = 0,
) -> TokenCache:
    """Opens a split's token cache; builds it first if there is none, or if it is not whole.

    Args:
        task_name: A task: packaged, a user's own, or registered with SeqIO by another package.
        split: Its split.
        vocabulary: Text is tokenised with this, whatever the task's own default.
        lengths: Tokens by feature; matter only to tasks of other packages, and to T5's span
            corruption, whose rows fill them. All other tasks are cached untrimmed.
        cache_dir: Where caches lie; default `default_cache_dir()`.
        data_dir: A folder with the data set's own files, instead of TFDS. Default:
            `$CLOSEDBOOK_DATA_DIR`.
        use_seqio_cached: Whether to read what SeqIO's own `cache_tasks` wrote.
        num_examples: Only so many, from the start of the split.
        seed: Of random preprocessors of other packages' tasks.

    Raises:
        UserError: The task or split is unknown, or its data is missing or malformed.
    """
    settings: cache_keys.Settings = {
        "lengths": lengths,
        "data_dir": data_dir or os.environ.get("CLOSEDBOOK_DATA_DIR") or None,
        "use_seqio_cached": use_seqio_cached,
        "num_examples": num_examples,
        "seed": seed,
    }
    key = cache_keys.cache_key(task_name, split, vocabulary, settings)
    folder = pathlib.Path(cache_dir).expanduser() if cache_dir else default_cache_dir()
    folder /= cache_keys.folder_name(key)
    try:
        return TokenCache(folder)
    except cache.BrokenCacheError:
        return _build(folder, key, vocabulary, settings)


def training_sources(
    task_or_mixture: str,
    *,
    split: str = "train",
    where_present: bool = False,
    opened: Callable[..., TokenCache] = token_cache,
    **options: Unpack[CacheOptions],
) -> list[tuple[TokenCache, float]]:
    """Caches and rates of a task, or of every task of a mixture; see `Batches`.

    Args:
        task_or_mixture: Packaged, or registered with SeqIO by another package.
        split: Which split to train on.
        where_present: Leave out those tasks of a mixture that have no such split.
        opened: Called for each task in place of `token_cache`, by who keeps what it has opened.
        **options: As for `token_cache`.

    Raises:
        UserError: The name is unknown, or as in `token_cache`.
    """
    rates = task_rates(task_or_mixture)
    if where_present:
        present = {name: rate for name, rate in rates.items() if split in task_splits(name).names}
        rates = present or rates  # where no task has it, the first to be opened says so
    found = [(opened(name, split, **options), rate) for name, rate in rates.items()]
    return [(tokens, float(len(tokens) if rate is None else rate)) for tokens, rate in found]


def evaluation_caches(
    task_or_mixture: str,
    split: str,
    *,
    opened: Callable[..., TokenCache] = token_cache,
    **options: Unpack[CacheOptions],
) -> list[TokenCache]:
    """Caches of the tasks that have this split and a metric.

    Args:
        task_or_mixture: Packaged, or registered with SeqIO by another package.
        split: Which split to evaluate on.
        opened: As for `training_sources`.
        **options: As for `token_cache`.

    Raises:
        UserError: No task has such a split, or as in `token_cache`.
    """
    found: list[TokenCache] = []
    splits: set[str] = set()
    for name in task_rates(task_or_mixture):
        has, evaluated = task_splits(name)
        splits.update(has)
        if split in has and evaluated:
            found.append(opened(name, split, **options))
    if not found:
        raise UserError(
            f"nothing to evaluate: {task_or_mixture} has no split {split!r} with a metric; "
            f"its splits: {', '.join(sorted(splits))}"
        )
    return found


def add_seqio_cache_dirs(folders: Sequence[str]) -> None:
    """Adds folders in which SeqIO looks for its offline caches."""
    import seqio

    seqio.add_global_cache_dirs(list(folders))


def _build(
    folder: pathlib.Path,
    key: cache_keys.Key,
    vocabulary: Vocabulary,
    settings: cache_keys.Settings,
) -> TokenCache:
    name, split = key["task"], key["split"]
    spec = specs.SPECS.get(name)
    task = _task(name, vocabulary, settings["data_dir"])
    if settings["use_seqio_cached"] and task.cache_dir is None:
        raise UserError(
            f"SeqIO's own cache of task {name} was not found in --seqio_additional_cache_dirs; "
            "set USE_CACHED_TASKS = False, the token cache is built without it"
        )
    if split not in task.splits:
        raise UserError(f"task {name} has no split {split!r}; it has {', '.join(task.splits)}")
    dataset, in_batches = _dataset(task, spec, split, settings)
    alternatives = spec is not None and spec.random_answer and split == "train"
    rows: Iterable = examples(
        dataset,
        task,
        spec,
        split,
        vocabulary,
        alternatives=alternatives,
        in_batches=in_batches,
    )
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


def _task(name: str, vocabulary: Vocabulary, data_dir: str | os.PathLike | None) -> "seqio.Task":
    """The SeqIO task, over this vocabulary; a feature's other settings stay the task's own."""
    own = registered_task(name).output_features
    from closedbook.tasks import registry

    ours = registry.output_features(vocabulary.local_path, vocabulary.extra_ids)
    features = {
        feature: dataclasses.replace(settings, vocabulary=ours["targets"].vocabulary)
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
