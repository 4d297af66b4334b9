"""From DatasetConfigs to batches, for training and for the two evaluations."""

import contextlib
import importlib
import logging
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypedDict

import numpy as np

from closedbook.data import placing
from closedbook.data.batches import Batches
from closedbook.data.build import has_seqio_cache
from closedbook.data.cache import TokenCache
from closedbook.data.cache_lookup import evaluation_caches, token_cache, training_sources
from closedbook.data.converters import ENC_DEC, FeatureConverter
from closedbook.data.evaluation import EvaluationTask
from closedbook.data.evaluation_tasks import evaluation_task
from closedbook.data.leakage import leakage, repeated, training_keys
from closedbook.data.prefetch import Prefetch
from closedbook.data.stream import Stream
from closedbook.data.task_facts import task_features, task_rates, task_splits
from closedbook.errors import UserError
from closedbook.parallel.processes import is_alone, is_first
from closedbook.training.settings import DatasetConfig
from closedbook.vocabulary import Vocabulary
from closedbook.vocabulary.protocol import AnyVocabulary

_log = logging.getLogger(__name__)


def import_task_modules(*configs: DatasetConfig | None) -> None:
    """Imports users' modules, which register their tasks; call it before tasks are looked up.

    Args:
        *configs: Those of a run; None for a part that the run does not have.

    Raises:
        UserError: A module cannot be imported.
    """
    for module in dict.fromkeys(cfg.module for cfg in configs if cfg is not None and cfg.module):
        import_module(module, f"MIXTURE_OR_TASK_MODULE {module!r} cannot be imported")


def import_module(module: str, what: str) -> None:
    """Imports a user's module.

    Args:
        module: Its name.
        what: Who asks for it, for the message.

    Raises:
        UserError: There is no such module, or its code fails; the message has the line.
    """
    if module.endswith(".py") or not all(part.isidentifier() for part in module.split(".")):
        raise UserError(
            f"{what}: that is no name of a module; give one such as my_project.tasks, without .py"
        )
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UserError(
            f"{what}: {error}; it must be installed, or lie in the working directory"
        ) from error
    except Exception as error:
        raise UserError(f"{what}: its code failed{_failed_at(error)}") from error


def _failed_at(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f": {error.msg} ({error.filename}, line {error.lineno})"
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f": {type(error).__name__}: {error} ({frame.filename}, line {frame.lineno})"


class RunData:
    """The data of one run; a token cache is looked up once, however many parts of it ask.

    A lookup hashes local files and builds the cache where there is none.

    Args:
        vocabulary: The model's.
        converter: The model's: what its batches are made of.
        own_rows: Gives the rows of a batch of so many that this process needs.
    """

    def __init__(
        self,
        vocabulary: AnyVocabulary,
        converter: FeatureConverter = ENC_DEC,
        own_rows: Callable[[int], range] = range,
    ) -> None:
        self._vocabulary, self._converter, self._own_rows = vocabulary, converter, own_rows
        self._opened: dict[tuple[object, ...], TokenCache] = {}

    def record(self, cfg: DatasetConfig) -> dict[str, object]:
        """All that decides which examples stand at a position in the training data; JSON-able.

        A position that was saved under one record means other examples under another. (A token
        cache's folder is named after all that its tokens come from.)

        Raises:
            UserError: The task, its data or a length is missing.
        """
        record: dict[str, object] = {
            "task": cfg.mixture_or_task_name,
            "split": cfg.split,
            "batch_size": cfg.batch_size,
            "lengths": self._lengths(cfg),
            "pack": cfg.pack,
            "seed": cfg.seed,
            "stream": cfg.stream,
        }
        if not cfg.shuffle:
            record["shuffle"] = False
        if cfg.pack and not cfg.stream:
            record["packing"] = placing.WAY
        if not cfg.stream:
            record["caches"] = [[cache.folder.name, rate] for cache, rate in self._sources(cfg)]
        return record

    @contextlib.contextmanager
    def training(
        self, cfg: DatasetConfig, seed: int, position: dict[str, int] | None
    ) -> Iterator[Prefetch[dict[str, np.ndarray]]]:
        """Endless batches; `state()` is the position after the last taken.

        Args:
            cfg: What to read.
            seed: Of the order, where `cfg` has none.
            position: Where to go on; None for the beginning.

        Returns:
            Dicts of int32 arrays [batch, length] under SeqIO's names, of which this process's own
            rows are written.
        """
        seed = seed if cfg.seed is None else cfg.seed
        batches = self._stream(cfg, seed) if cfg.stream else self._batches(cfg, seed)
        if position is not None:
            batches.restore(position)
        with Prefetch(batches) as prefetched:
            yield prefetched

    def held_out(
        self, cfg: DatasetConfig, count: int
    ) -> Callable[[], Iterator[dict[str, np.ndarray]]]:
        """A function that gives the same `count` batches each time, at most one epoch of them."""
        batches = self._batches(cfg, cfg.seed or 0, where_present=True)

        def first() -> Iterator[dict[str, np.ndarray]]:
            for index in range(count):
                batch = batches.batch(0, index)
                if batch is None:
                    return
                yield batch

        return first

    def questions(self, cfg: DatasetConfig, *, scored: bool = True) -> list[TokenCache]:
        """Caches of the questions to answer, of every task that has the split.

        Args:
            cfg: The questions.
            scored: Leave out tasks without a metric.

        Raises:
            UserError: None is left, or a task is unknown or its data missing.
        """
        return evaluation_caches(
            cfg.mixture_or_task_name, scored=scored, opened=self._open, **self._arguments(cfg)
        )

    def possible(self, cfg: DatasetConfig | None, *, scored: bool) -> DatasetConfig | None:
        """What a run evaluates on; None, as in T5X, where no task has what that needs.

        Each task that is left out is named in the log.

        Args:
            cfg: Held-out data or questions.
            scored: Whether a task needs a metric, beside the split.
        """
        if cfg is None:
            return None
        tasks = {name: task_splits(name) for name in task_rates(cfg.mixture_or_task_name)}
        left_out = []
        for name, splits in tasks.items():
            if cfg.split not in splits.names:
                left_out.append(
                    f"{name} has no split {cfg.split!r}, only {', '.join(splits.names)}"
                )
            elif scored and not splits.evaluated:
                left_out.append(f"{name} has no metric")
        if left_out and is_first():
            kind = "answers" if scored else "the held-out loss"
            _log.warning("left out of the evaluation of %s: %s", kind, "; ".join(left_out))
        return cfg if len(left_out) < len(tasks) else None

    def evaluation_tasks(
        self, cfg: DatasetConfig, num_examples: int | None = None
    ) -> list[EvaluationTask]:
        """The tasks of `questions`, with their targets; what is odd about them is logged.

        Args:
            cfg: The questions.
            num_examples: First questions of each task only; None for all.

        Raises:
            UserError: A metric needs what no model here gives, or as `questions`.
        """
        tasks = [
            evaluation_task(cache, self._vocabulary, num_examples) for cache in self.questions(cfg)
        ]
        if is_first():
            for note in [note for task in tasks for note in task.notes()]:
                _log.warning("%s", note)
        return tasks

    def warn_of_leakage(self, training: DatasetConfig, questions: DatasetConfig | None) -> None:
        """Logs how many questions stand in training twice, or are evaluated and stand there too."""
        if training.stream or not is_first():
            return
        sources = [cache for cache, _ in self._sources(training)]
        known = training_keys(sources)
        if note := repeated(sources, known).note():
            _log.info("%s", note)
        for cache in self.questions(questions) if questions is not None else ():
            if warning := leakage(known, cache).warning():
                _log.warning("%s", warning)

    def _open(self, task: str, split: str, **arguments: Any) -> TokenCache:
        """`token_cache`, once for each task, split and set of arguments."""
        self._converter.check(task, task_features(task))
        lengths: Mapping[str, int] = arguments["lengths"] or {}
        others = (arguments[name] for name in ("cache_dir", "data_dir", "use_seqio_cached"))
        key = (task, split, *sorted(lengths.items()), *others)
        if key not in self._opened:
            self._opened[key] = token_cache(task, split, **arguments)
        return self._opened[key]

    def _arguments(self, cfg: DatasetConfig) -> "_CacheArguments":
        return {
            "split": cfg.split,
            "vocabulary": self._vocabulary,
            "lengths": cfg.task_feature_lengths,
            "cache_dir": cfg.cache_dir,
            "data_dir": cfg.data_dir,
            "use_seqio_cached": cfg.use_cached,
        }

    def _sources(
        self, cfg: DatasetConfig, *, where_present: bool = False
    ) -> list[tuple[TokenCache, float]]:
        return training_sources(
            cfg.mixture_or_task_name,
            where_present=where_present,
            opened=self._open,
            **self._arguments(cfg),
        )

    def _batches(self, cfg: DatasetConfig, seed: int, *, where_present: bool = False) -> Batches:
        sources = self._sources(cfg, where_present=where_present)
        return Batches(
            sources,
            cfg.batch_size,
            self._lengths(cfg),
            cfg.pack,
            seed,
            self._converter,
            shuffle=cfg.shuffle,
            own_rows=self._own_rows(cfg.batch_size),
        )

    def _lengths(self, cfg: DatasetConfig) -> dict[str, int]:
        return cfg.lengths_of(self._converter.features)

    def _stream(self, cfg: DatasetConfig, seed: int) -> Stream:
        if not is_alone():
            raise UserError(
                f"DatasetConfig.stream is set for {cfg.mixture_or_task_name}, but a stream feeds "
                "one process alone; let several processes read the token cache (stream = False)"
            )
        if not (self._converter.streams and isinstance(self._vocabulary, Vocabulary)):
            raise UserError(
                f"DatasetConfig.stream is set for {cfg.mixture_or_task_name}, but SeqIO's stream "
                "feeds a T5 alone; let the run read the token cache (stream = False)"
            )
        name = cfg.mixture_or_task_name
        cached = cfg.use_cached and all(has_seqio_cache(task) for task in task_rates(name))
        return Stream(
            name,
            cfg.batch_size,
            self._lengths(cfg),
            cfg.pack,
            seed,
            vocabulary=self._vocabulary,
            split=cfg.split,
            data_dir=cfg.data_dir,
            use_seqio_cached=cached,
            begin_id=self._converter.begin_id,
            shuffle=cfg.shuffle,
        )


class _CacheArguments(TypedDict):
    """What `token_cache` is given for a DatasetConfig, beside the task."""

    split: str
    vocabulary: AnyVocabulary
    lengths: Mapping[str, int] | None
    cache_dir: str | os.PathLike[str] | None
    data_dir: str | os.PathLike[str] | None
    use_seqio_cached: bool
