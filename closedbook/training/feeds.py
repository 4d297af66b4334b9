"""From a DatasetConfig to batches, for training and for the two evaluations."""

import contextlib
import importlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from closedbook.data.batches import Batches
from closedbook.data.build import evaluation_caches, training_sources
from closedbook.data.cache import TokenCache
from closedbook.data.leakage import leakage
from closedbook.data.prefetch import Prefetch
from closedbook.data.stream import Stream
from closedbook.errors import UserError
from closedbook.inference.predictor import Predictor
from closedbook.inference.settings import DecodeSettings
from closedbook.parallel import Partitioner
from closedbook.parallel.processes import gather
from closedbook.training.model import EncoderDecoderModel
from closedbook.training.settings import DatasetConfig, Evaluator

_log = logging.getLogger(__name__)
_LONGEST_ANSWER = 114  # target tokens of the paper; answers are cut there without lengths


def _arguments(cfg: DatasetConfig, vocabulary: Any) -> dict[str, Any]:
    if cfg.module:
        try:
            importlib.import_module(cfg.module)
        except ImportError as error:
            raise UserError(
                f"MIXTURE_OR_TASK_MODULE {cfg.module!r} cannot be imported: {error}; it must be "
                "installed, or lie in the working directory"
            ) from error
    return {
        "split": cfg.split,
        "vocabulary": vocabulary,
        "lengths": cfg.task_feature_lengths,
        "cache_dir": cfg.cache_dir,
        "data_dir": cfg.data_dir,
        "use_seqio_cached": cfg.use_cached,
    }


def _lengths(cfg: DatasetConfig) -> dict[str, int]:
    if not cfg.task_feature_lengths or set(cfg.task_feature_lengths) != {"inputs", "targets"}:
        raise UserError(
            f"TASK_FEATURE_LENGTHS is {cfg.task_feature_lengths}; give both lengths, for example "
            '{"inputs": 512, "targets": 128}'
        )
    return dict(cfg.task_feature_lengths)


@contextlib.contextmanager
def training_feed(
    cfg: DatasetConfig, vocabulary: Any, seed: int, position: dict[str, int] | None
) -> Iterator[Prefetch[dict[str, np.ndarray]]]:
    """Endless batches of all processes' rows; `state()` is the position after the last one taken.

    Args:
        cfg: What to read.
        vocabulary: The model's.
        seed: Of the order, where `cfg` has none.
        position: Where to go on.
    """
    seed = seed if cfg.seed is None else cfg.seed
    batches = (_stream if cfg.stream else _batches)(cfg, vocabulary, seed)
    if position is not None:
        batches.restore(position)
    with Prefetch(batches) as prefetched:
        yield prefetched


def data_record(cfg: DatasetConfig, vocabulary: Any) -> dict[str, Any]:
    """What the position in the data means something for; JSON-able.

    A token cache's folder is named after all that its tokens come from.
    """
    record: dict[str, Any] = {
        "task": cfg.mixture_or_task_name,
        "split": cfg.split,
        "batch_size": cfg.batch_size,
        "lengths": _lengths(cfg),
        "pack": cfg.pack,
        "seed": cfg.seed,
        "stream": cfg.stream,
    }
    if not cfg.stream:
        sources = training_sources(cfg.mixture_or_task_name, **_arguments(cfg, vocabulary))
        record["caches"] = [[cache.folder.name, rate] for cache, rate in sources]
    return record


def _batches(
    cfg: DatasetConfig, vocabulary: Any, seed: int, *, where_present: bool = False
) -> Batches:
    # Every process makes the whole batch, which costs little, and lays down what its devices
    # hold: with a model split over hosts several of them hold the same rows.
    return Batches(
        training_sources(
            cfg.mixture_or_task_name, where_present=where_present, **_arguments(cfg, vocabulary)
        ),
        cfg.batch_size,
        _lengths(cfg),
        cfg.pack,
        seed,
    )


def _stream(cfg: DatasetConfig, vocabulary: Any, seed: int) -> Stream:
    if jax.process_count() > 1:
        raise UserError(
            f"DatasetConfig.stream is set for {cfg.mixture_or_task_name}, but a stream feeds one "
            "process alone; let several processes read the token cache (stream = False)"
        )
    arguments = _arguments(cfg, vocabulary)
    return Stream(
        cfg.mixture_or_task_name,
        cfg.batch_size,
        _lengths(cfg),
        cfg.pack,
        seed,
        vocabulary=vocabulary,
        split=cfg.split,
        data_dir=arguments["data_dir"],
        use_seqio_cached=cfg.use_cached,
    )


def held_out_feed(
    cfg: DatasetConfig, vocabulary: Any, count: int
) -> Callable[[], Iterator[dict[str, np.ndarray]]]:
    """A function that gives the same `count` batches each time, at most one epoch of them."""
    batches = _batches(cfg, vocabulary, cfg.seed or 0, where_present=True)

    def first() -> Iterator[dict[str, np.ndarray]]:
        for index in range(count):
            batch = batches.batch(0, index)
            if batch is None:
                return
            yield batch

    return first


def question_caches(cfg: DatasetConfig, vocabulary: Any) -> list[TokenCache]:
    """Caches of the questions to answer, of every task that has the split and a metric."""
    return evaluation_caches(cfg.mixture_or_task_name, **_arguments(cfg, vocabulary))


def predictor(
    model: EncoderDecoderModel,
    partitioner: Partitioner,
    cfg: DatasetConfig,
    settings: Evaluator,
) -> Predictor:
    """A predictor on the mesh."""
    lengths = cfg.task_feature_lengths or {}
    default = DecodeSettings(max_decode_length=lengths.get("targets", _LONGEST_ANSWER))
    ways = partitioner.mesh.shape["data"]
    return Predictor(
        model.module,
        model.vocabulary,
        settings=settings.decode or default,
        max_input_length=lengths.get("inputs", 512),
        batch_size=-(-cfg.batch_size // ways) * ways,
        batch_multiple=ways,
        place=partitioner.put_rows,
        fetch=gather,
    )


def warn_of_leakage(
    training: DatasetConfig, questions: DatasetConfig | None, vocabulary: Any
) -> None:
    """Logs how many evaluation questions also stand in training."""
    if questions is None or training.stream or jax.process_index() != 0:
        return
    known = [
        cache
        for cache, _ in training_sources(
            training.mixture_or_task_name, **_arguments(training, vocabulary)
        )
    ]
    for cache in question_caches(questions, vocabulary):
        found = leakage(known, cache)
        if warning := found.warning():
            _log.warning("%s", warning)


def batch_tokens(batch: dict[str, np.ndarray]) -> int:
    """Tokens other than padding in a batch."""
    names = ("encoder_input_tokens", "decoder_target_tokens")
    return sum(int(np.count_nonzero(batch[name])) for name in names)
