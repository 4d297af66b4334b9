"""Settings of a run that gin binds; names and fields are those of T5X's `utils` and `trainer`."""

import dataclasses
from collections.abc import Mapping, Sequence

from closedbook.errors import UserError, unknown_name
from closedbook.inference.settings import DecodeSettings
from closedbook.training.schedules import Schedule, constant


def check_least(least: int, owner: str, **numbers: int | None) -> None:
    """Checks numbers of an object's, None among them.

    Raises:
        UserError: One is smaller.
    """
    for name, number in numbers.items():
        if number is not None and number < least:
            raise UserError(f"{owner}.{name} is {number}; give {least} or more")


_DTYPES = ("float32", "bfloat16", "float16")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetConfig:
    """One split of a task or mixture, and how its batches are made."""

    mixture_or_task_name: str
    split: str
    task_feature_lengths: Mapping[str, int] | None  # None: as long as the examples are
    batch_size: int  # rows (packs) of a batch, all hosts
    shuffle: bool = True  # whether examples come in a seeded order, or in the data's
    seed: int | None = None  # of the order; the run's if None
    use_cached: bool = False  # read SeqIO's offline cache; the token cache is always used
    pack: bool = False  # several examples per row
    data_dir: str | None = None  # folder with the data set's own files, instead of TFDS
    cache_dir: str | None = None  # of token caches; ~/.cache/closedbook/tokens if None
    module: str | None = None  # imported first, to register a user's tasks
    stream: bool = False  # straight from SeqIO, for tasks too large for a token cache

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UserError(f"DatasetConfig.batch_size is {self.batch_size}; use 1 or more")
        for name, length in (self.task_feature_lengths or {}).items():
            if name not in ("inputs", "targets") or length < 1:
                raise UserError(
                    f"TASK_FEATURE_LENGTHS is {dict(self.task_feature_lengths or {})}; give "
                    'positive lengths for "inputs" and "targets"'
                )

    def lengths_of(self, features: Sequence[str]) -> dict[str, int]:
        """Tokens of a row of each of a model's features.

        Raises:
            UserError: One of them is not given, or another one is.
        """
        given = dict(self.task_feature_lengths or {})
        if set(given) != set(features):
            wanted = "both lengths" if len(features) > 1 else f"the length of {features[0]} alone"
            example = {name: 128 if name == "targets" else 512 for name in features}
            raise UserError(
                f"TASK_FEATURE_LENGTHS is {self.task_feature_lengths}; give {wanted}, for "
                f"example {example}"
            )
        return given


@dataclasses.dataclass(frozen=True, kw_only=True)
class RestoreCheckpointConfig:
    """What a fresh run starts from."""

    # Any T5 checkpoint, or a run's folder: its newest; None (T5X: []): random parameters.
    path: str | Sequence[str] | None = None
    mode: str = "latest"  # T5X's names; "all" evaluates every checkpoint of a run
    optimizer: str = "restore"  # "restore" the accumulators where there are some, or "reset"
    dtype: str | None = None  # parameters are rounded to it; None: as they are
    # Pairs (pattern of a parameter's name, name in the checkpoint or None), as T5X has them.
    assignment_map: Sequence[tuple[str, str | None]] | None = None
    fallback_to_scratch: bool = False  # whether what the checkpoint lacks begins at random
    strict: bool = True  # False: what the checkpoint has and the model lacks is left out

    def __post_init__(self) -> None:
        if isinstance(self.path, list | tuple):
            if len(self.path) > 1:
                raise UserError(
                    f"RestoreCheckpointConfig.path has {len(self.path)} paths; give one"
                )
            object.__setattr__(self, "path", self.path[0] if self.path else None)
        if self.mode not in ("specific", "latest", "all"):
            raise unknown_name(
                "RestoreCheckpointConfig.mode", self.mode, ("specific", "latest", "all")
            )
        if self.dtype is not None and self.dtype not in _DTYPES:
            raise unknown_name("RestoreCheckpointConfig.dtype", self.dtype, _DTYPES)
        if self.optimizer not in ("restore", "reset"):
            raise unknown_name(
                "RestoreCheckpointConfig.optimizer", self.optimizer, ("restore", "reset")
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SaveCheckpointConfig:
    """When checkpoints are written and which are kept."""

    period: int | None = 5000  # steps; None or 0: no regular ones
    checkpoint_steps: Sequence[int] | None = None  # steps that are saved besides
    dtype: str | None = "float32"  # of the parameters that are written
    keep: int | None = None  # newest to keep; None: all, but one where `keep_best` is set
    keep_best: int | None = None  # best to keep too, by `metric`; saves at every evaluation
    metric: str | None = None  # for example "natural_questions_open/em"
    best_mode: str = "max"
    asynchronous: bool = True  # write while training goes on

    def __post_init__(self) -> None:
        if self.dtype is not None and self.dtype not in _DTYPES:
            raise unknown_name("SaveCheckpointConfig.dtype", self.dtype, _DTYPES)
        if self.best_mode not in ("max", "min"):
            raise unknown_name("SaveCheckpointConfig.best_mode", self.best_mode, ("max", "min"))
        kind = type(self).__name__
        check_least(1, kind, keep=self.keep, keep_best=self.keep_best)
        check_least(0, kind, period=self.period)
        for step in self.checkpoint_steps or ():
            check_least(0, kind, checkpoint_steps=step)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """Restoring and saving."""

    restore: RestoreCheckpointConfig | None = None
    save: SaveCheckpointConfig | None = dataclasses.field(default_factory=SaveCheckpointConfig)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trainer:
    """How a batch becomes an update."""

    learning_rate_fn: Schedule = dataclasses.field(default_factory=constant)
    num_microbatches: int | None = None  # parts of a batch, for memory; None or 0: one

    def __post_init__(self) -> None:
        check_least(0, type(self).__name__, num_microbatches=self.num_microbatches)

    @property
    def microbatches(self) -> int:
        """The number of parts, 1 if unset."""
        return self.num_microbatches or 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluator:
    """How predictions are made and written during training."""

    decode: DecodeSettings | None = None  # the model's own way up to the targets' length if None
    num_examples: int | None = None  # first examples only; None (SeqIO: 0 and -1 too): all
    write_n_results: int | None = None  # rows of the files of predictions; None: all

    def __post_init__(self) -> None:
        if self.num_examples in (0, -1):
            object.__setattr__(self, "num_examples", None)
        check_least(1, "Evaluator", num_examples=self.num_examples)
        check_least(0, "Evaluator", write_n_results=self.write_n_results)
