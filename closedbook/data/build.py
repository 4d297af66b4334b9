"""Token caches out of SeqIO tasks: the one place where a task's preprocessing runs.

Opening an existing cache needs neither TensorFlow nor SeqIO. A cache is found by what it was built
from: task and version, split, vocabulary, the sha256 of local files, and for tasks of other
packages the lengths, since their preprocessors may depend on them. (Of such tasks the code is not
part of the key: after a change of it delete the cache.)
"""

import dataclasses
import hashlib
import itertools
import json
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from closedbook.data import cache
from closedbook.data.cache import TokenCache
from closedbook.data.cache_keys import cache_source
from closedbook.data.examples import examples
from closedbook.errors import UserError, unknown_name
from closedbook.tasks import specs
from closedbook.vocabulary.sentencepiece import Vocabulary


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
        task_name: A SeqIO task, packaged or registered by another package.
        split: Its split.
        vocabulary: Text is tokenised with this, whatever the task's own default.
        lengths: Tokens by feature; matter only to tasks of other packages, and to T5's span
            corruption, whose rows fill them. The other packaged tasks are cached untrimmed.
        cache_dir: Where caches lie; default `default_cache_dir()`.
        data_dir: A folder with the data set's own files, instead of TFDS. Default:
            `$CLOSEDBOOK_DATA_DIR`.
        use_seqio_cached: Whether to read what SeqIO's own `cache_tasks` wrote.
        num_examples: Only so many, from the start of the split.
        seed: Of random preprocessors of other packages' tasks.

    Raises:
        UserError: The task or split is unknown, or its data is missing or malformed.
    """
    data_dir = data_dir or os.environ.get("CLOSEDBOOK_DATA_DIR") or None
    spec = specs.SPECS.get(task_name)
    if spec is not None and split not in spec.splits:
        raise UserError(f"task {task_name} has no split {split!r}; it has {', '.join(spec.splits)}")
    # Of other packages' preprocessors nobody knows what depends on lengths and seed.
    needs_lengths = spec is None or _fills_rows(spec)
    key = {
        "task": task_name,
        "split": split,
        "vocabulary": {"sha256": vocabulary.sha256, "extra_ids": vocabulary.extra_ids},
        "source": cache_source(spec, split, data_dir, use_seqio_cached),
        "num_examples": num_examples,
    }
    if needs_lengths:
        if spec is not None and not lengths:
            raise UserError(f"{task_name} fills rows: give the lengths of inputs and targets")
        key |= {"lengths": dict(sorted((lengths or {}).items()))}
    if spec is None:
        key |= {"seed": seed}
    digest = hashlib.sha256(json.dumps([cache.FORMAT, key], sort_keys=True).encode()).hexdigest()
    folder = pathlib.Path(cache_dir).expanduser() if cache_dir else default_cache_dir()
    folder = folder / f"{task_name.replace(':', '_')}-{split}-{digest[:16]}"
    try:
        return TokenCache(folder)
    except cache.BrokenCacheError:
        pass
    return _build(
        folder,
        key,
        spec,
        vocabulary=vocabulary,
        lengths=lengths if needs_lengths else None,
        data_dir=data_dir,
        use_seqio_cached=use_seqio_cached,
        seed=seed,
    )


def training_sources(
    task_or_mixture: str,
    *,
    split: str = "train",
    where_present: bool = False,
    opened: Callable[..., TokenCache] = token_cache,
    **arguments: Any,
) -> list[tuple[TokenCache, float]]:
    """Caches and rates of a task, or of every task of a mixture; see `Batches`.

    Args:
        task_or_mixture: Packaged, or registered with SeqIO by another package.
        split: Which split to train on.
        where_present: Leave out a mixture's tasks that have no such split.
        opened: Called for each task in place of `token_cache`, by who keeps what it has opened.
        **arguments: As for `token_cache`.

    Raises:
        UserError: The name is unknown, or as in `token_cache`.
    """
    rates = _task_rates(task_or_mixture)
    if where_present and any(split in _splits(name)[0] for name in rates):
        rates = {name: rate for name, rate in rates.items() if split in _splits(name)[0]}
    found = [(opened(name, split, **arguments), rate) for name, rate in rates.items()]
    return [(tokens, float(len(tokens) if rate is None else rate)) for tokens, rate in found]


def evaluation_caches(
    task_or_mixture: str,
    split: str,
    *,
    opened: Callable[..., TokenCache] = token_cache,
    **arguments: Any,
) -> list[TokenCache]:
    """Caches of the tasks that have this split and a metric.

    Args:
        task_or_mixture: Packaged, or registered with SeqIO by another package.
        split: Which split to evaluate on.
        opened: As for `training_sources`.
        **arguments: As for `token_cache`.

    Raises:
        UserError: No task has such a split, or as in `token_cache`.
    """
    found: list[TokenCache] = []
    splits: set[str] = set()
    for name in _task_rates(task_or_mixture):
        has, evaluated = _splits(name)
        splits.update(has)
        if split in has and evaluated:
            found.append(opened(name, split, **arguments))
    if not found:
        raise UserError(
            f"nothing to evaluate: {task_or_mixture} has no split {split!r} with a metric; "
            f"its splits: {', '.join(sorted(splits))}"
        )
    return found


def registered_task(name: str) -> Any:
    """The `seqio.Task` of this name, packaged or of another package; imports TensorFlow.

    Raises:
        UserError: The name is unknown.
    """
    seqio = _seqio(name)
    from closedbook.tasks import registry

    if name not in specs.SPECS and name not in seqio.TaskRegistry.names():
        raise unknown_name("task", name, {*specs.SPECS, *seqio.TaskRegistry.names()})
    return registry.task(name)


def question_prefix(task_or_mixture: str) -> str:
    """The text before each question: a task's, or that of a mixture's first task; "" if unknown."""
    task = specs.MIXTURES.get(task_or_mixture, (task_or_mixture,))[0]
    return specs.SPECS[task].prefix if task in specs.SPECS else ""


def add_seqio_cache_dirs(folders: Sequence[str]) -> None:
    """Adds folders in which SeqIO looks for its offline caches."""
    import seqio

    seqio.add_global_cache_dirs(list(folders))


def _task_rates(name: str) -> dict[str, float | None]:
    """Task -> mixing rate; None stands for the number of examples."""
    if name in specs.SPECS or name in specs.MIXTURES:
        return specs.rates(name)
    seqio = _seqio(name)
    provider = seqio.maybe_get_mixture_or_task(name) if name in _names(seqio) else None
    if provider is None:
        raise unknown_name("task or mixture", name, {*specs.SPECS, *specs.MIXTURES, *_names(seqio)})
    if isinstance(provider, seqio.Task):
        return {name: None}
    return {task.name: float(provider.get_rate(task)) for task in provider.tasks}


def _fills_rows(spec: specs.TaskSpec) -> bool:
    """Whether a task's examples are cut to the input length."""
    return spec.masking is not None and spec.masking.corruption == "t5"


def _splits(name: str) -> tuple[Sequence[str], bool]:
    """(splits of a task, whether it is evaluated)."""
    if name in specs.SPECS:
        return specs.SPECS[name].splits, specs.SPECS[name].metric is not None
    task = _seqio(name).TaskRegistry.get(name)
    return tuple(task.splits), bool(task.metric_fns or task.metric_objs)


def _seqio(name: str) -> Any:
    try:
        import seqio
    except ImportError as error:
        raise UserError(
            f"{name} has no token cache yet, and building one needs SeqIO and TensorFlow, which "
            f"are not installed here ({error}); build it elsewhere and copy the cache folder"
        ) from error
    return seqio


def _names(seqio: Any) -> set[str]:
    return {*seqio.TaskRegistry.names(), *seqio.MixtureRegistry.names()}


def _build(
    folder: pathlib.Path,
    key: dict[str, Any],
    spec: specs.TaskSpec | None,
    *,
    vocabulary: Vocabulary,
    lengths: Mapping[str, int] | None,
    data_dir: Any,
    use_seqio_cached: bool,
    seed: int,
) -> TokenCache:
    name, split = key["task"], key["split"]
    own = registered_task(name).output_features
    from closedbook.tasks import registry

    features = registry.output_features(vocabulary.local_path, vocabulary.extra_ids)
    task = registry.task(
        name,
        data_dir=data_dir,
        features={
            # Only the vocabulary changes; a feature's other settings are the task's own.
            name: dataclasses.replace(feature, vocabulary=features["targets"].vocabulary)
            for name, feature in own.items()
        },
    )
    if use_seqio_cached and task.cache_dir is None:
        raise UserError(
            f"SeqIO's own cache of task {name} was not found in --seqio_additional_cache_dirs; "
            "set USE_CACHED_TASKS = False, the token cache is built without it"
        )
    if split not in task.splits:
        raise UserError(f"task {name} has no split {split!r}; it has {', '.join(task.splits)}")
    if spec is not None and spec.masking is not None and not use_seqio_cached:
        dataset, in_batches = registry.masked_batches(task, spec, split, lengths), True
    else:
        dataset, in_batches = _dataset(task, spec, split, lengths, use_seqio_cached, seed), False
    alternatives = spec is not None and spec.random_answer and split == "train"
    return cache.write(
        folder,
        itertools.islice(
            examples(
                dataset,
                task,
                spec,
                split,
                vocabulary,
                alternatives=alternatives,
                in_batches=in_batches,
            ),
            key["num_examples"],
        ),
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


def _dataset(
    task: Any,
    spec: specs.TaskSpec | None,
    split: str,
    lengths: Mapping[str, int] | None,
    use_seqio_cached: bool,
    seed: int,
) -> Any:
    """SeqIO's data set of a task, in order."""
    masking = spec.masking if spec else None
    return task.get_dataset(
        sequence_length=dict(lengths) if lengths else None,
        split=split,
        use_cached=use_seqio_cached,
        shuffle=False,
        # Masks are part of the cache: another seed of the training does not change them.
        seed=masking.seed if masking else seed,
        num_epochs=masking.passes if masking else 1,
        try_in_mem_cache=False,
    )


def scoring(task_name: str) -> list[dict[str, Any]]:
    """Names in closedbook.eval.metrics and their options, of one of this package's tasks.

    Read from the task, not from its cache: another metric does not change the tokens.
    """
    spec = specs.SPECS[task_name]
    if spec.metric is None:
        return []
    options = {"non_null_threshold": spec.non_null} if spec.non_null else {}
    return [{"name": spec.metric, "options": options}]
