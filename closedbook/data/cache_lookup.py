"""Which token cache belongs to a task: found where it lies, opened, or built first.

Opening one that is there needs neither TensorFlow nor SeqIO; `cache_keys` names its folder.
"""

import logging
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Required, TypedDict, Unpack

from closedbook.cache_folders import cache_folder, on_disk
from closedbook.data import cache, cache_keys
from closedbook.data.build import build, has_seqio_cache
from closedbook.data.cache import TokenCache
from closedbook.data.task_facts import task_rates, task_splits
from closedbook.errors import UserError
from closedbook.vocabulary.protocol import AnyVocabulary

_log = logging.getLogger(__name__)


class CacheOptions(TypedDict, total=False):
    """Keyword arguments of `token_cache`, which the calls for several tasks pass on."""

    vocabulary: Required[AnyVocabulary]
    lengths: Mapping[str, int] | None
    cache_dir: str | os.PathLike | None
    data_dir: str | os.PathLike | None
    use_seqio_cached: bool
    num_examples: int | None
    seed: int


def default_cache_dir() -> pathlib.Path:
    """`$CLOSEDBOOK_CACHE_DIR`, else `~/.cache/closedbook/tokens`."""
    return cache_folder("CLOSEDBOOK_CACHE_DIR", inside="tokens")


def token_cache(
    task_name: str,
    split: str,
    *,
    vocabulary: AnyVocabulary,
    lengths: Mapping[str, int] | None = None,
    cache_dir: str | os.PathLike | None = None,
    data_dir: str | os.PathLike | None = None,
    use_seqio_cached: bool = False,
    num_examples: int | None = None,
    seed: int = 0,
) -> TokenCache:
    """Opens a split's token cache; builds it first if there is none, or if it is damaged.

    Args:
        task_name: A task: packaged, a user's own, or registered with SeqIO by another package.
        split: Its split.
        vocabulary: Text is tokenised with this, whatever the task's own default.
        lengths: Tokens by feature; matter only to tasks of other packages, and to T5's span
            corruption, whose rows fill them. All other tasks are cached untrimmed.
        cache_dir: Where caches lie; default `default_cache_dir()`.
        data_dir: A folder with the data set's own files, instead of TFDS. Default:
            `$CLOSEDBOOK_DATA_DIR`.
        use_seqio_cached: Whether to read what SeqIO's own `cache_tasks` wrote, where it has.
        num_examples: Only so many, from the start of the split.
        seed: Of random preprocessors of other packages' tasks.

    Raises:
        UserError: The task or split is unknown, or its data is missing or malformed; of a damaged
            cache this is said too.
    """
    settings: cache_keys.Settings = {
        "lengths": lengths,
        "data_dir": data_dir or os.environ.get("CLOSEDBOOK_DATA_DIR") or None,
        "use_seqio_cached": use_seqio_cached and has_seqio_cache(task_name),
        "num_examples": num_examples,
        "seed": seed,
    }
    key = cache_keys.cache_key(task_name, split, vocabulary, settings)
    folder = on_disk(cache_dir, "the cache folder") if cache_dir else default_cache_dir()
    folder /= cache_keys.folder_name(key)
    try:
        return TokenCache(folder)
    except cache.BrokenCacheError as error:
        if not folder.exists():
            return build(folder, key, vocabulary, settings)
        _log.warning("the token cache %s; it is built again", error)
        try:
            return build(folder, key, vocabulary, settings)
        except UserError as why:
            raise UserError(f"the token cache {error}; it cannot be built again: {why}") from why


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
    # As in SeqIO: a task of rate 0 is only evaluated.
    rates = {name: rate for name, rate in rates.items() if rate != 0} or rates
    if where_present:
        present = {name: rate for name, rate in rates.items() if split in task_splits(name).names}
        rates = present or rates  # where no task has it, the first to be opened says so
    found = [(opened(name, split, **options), rate) for name, rate in rates.items()]
    return [(tokens, float(len(tokens) if rate is None else rate)) for tokens, rate in found]


def evaluation_caches(
    task_or_mixture: str,
    split: str,
    *,
    scored: bool = True,
    opened: Callable[..., TokenCache] = token_cache,
    **options: Unpack[CacheOptions],
) -> list[TokenCache]:
    """Caches of the tasks that have this split, and a metric where they are to be scored.

    Args:
        task_or_mixture: Packaged, or registered with SeqIO by another package.
        split: Which split to evaluate on.
        scored: Leave out tasks without a metric.
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
        if split in has and (evaluated or not scored):
            found.append(opened(name, split, **options))
    if not found:
        raise UserError(
            f"nothing to evaluate: {task_or_mixture} has no split {split!r}"
            f"{' with a metric' if scored else ''}; "
            f"its splits: {', '.join(sorted(splits))}; set SPLIT to one of those that have answers"
        )
    return found
