"""From one checkpoint format to another, one tensor in memory at a time."""

import contextlib
import ctypes
import dataclasses
import json
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import ml_dtypes
import numpy as np

from closedbook import whole_files
from closedbook.buckets import path_at
from closedbook.checkpoints import soundness
from closedbook.checkpoints.architecture import recognise
from closedbook.checkpoints.card import (
    GIVE_VOCABULARY,
    ModelCard,
    check_fits,
)
from closedbook.checkpoints.files.orbax import write_arrays
from closedbook.checkpoints.formats import WRITABLE, Format
from closedbook.checkpoints.huggingface.folders import write_huggingface
from closedbook.checkpoints.layouts import arranged, converted, is_scanned
from closedbook.checkpoints.opening import open_checkpoint
from closedbook.checkpoints.places.targets import check_target
from closedbook.checkpoints.t5x.native import write_t5x
from closedbook.checkpoints.t5x.state import MOST_STEPS, state_of
from closedbook.checkpoints.tensors import Checkpoint, Index, Tensor
from closedbook.checkpoints.vocabularies import open_vocabulary
from closedbook.errors import UserError, unknown_name
from closedbook.models import T5Config
from closedbook.models.families import Config, differences

DTYPES = {
    "float32": np.dtype(np.float32),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float16": np.dtype(np.float16),
}
_T5X = (Format.T5X, Format.T5X_ORBAX)
LAYERS = ("auto", "unrolled", "scanned")
OPTIMIZER = ("keep", "drop")
_HANDLERS = "orbax.checkpoint._src.handlers"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What a conversion changes beside the format."""

    to: str  # a format of `WRITABLE`
    dtype: str | None = None  # of the parameters; None: as they are. Accumulators stay float32
    # "unrolled", "scanned", or "auto": as they are for closedbook, scanned for a umT5 in T5X's
    # format, and else unrolled, as the own code of the other formats wants them.
    layers: str = "auto"
    optimizer: str = "keep"  # "keep" Adafactor's state where there is one, or "drop" it
    # SentencePiece model, tokenizer.json or "bytes", if none comes with the source
    vocabulary: pathlib.Path | None = None
    extra_ids: int | None = None  # sentinels after the pieces of that file; None: as usual, 100
    prefix: str | None = None  # text before each question; None: the source's
    step: int | None = None  # of the written checkpoint; None: the source's, or 0
    max_shard_bytes: int = 5 * 10**9  # of Hugging Face's files

    def __post_init__(self) -> None:
        if self.to not in WRITABLE:
            raise unknown_name("format to convert to", self.to, WRITABLE)
        if self.dtype is not None and self.dtype not in DTYPES:
            raise unknown_name("dtype", self.dtype, DTYPES)
        if self.layers not in LAYERS:
            raise unknown_name("layers", self.layers, LAYERS)
        if self.optimizer not in OPTIMIZER:
            raise unknown_name("optimizer", self.optimizer, OPTIMIZER)
        if self.step is not None and not 0 <= self.step <= MOST_STEPS:
            raise UserError(f"step is {self.step}; it must be from 0 to {MOST_STEPS}")
        if self.extra_ids is not None and not self.vocabulary:
            raise UserError("extra ids belong to a vocabulary; give --vocabulary FILE with them")
        if self.extra_ids is not None and self.extra_ids < 0:
            raise UserError(f"extra ids are {self.extra_ids}; give 0 or more")
        if self.max_shard_bytes < 10**6:
            raise UserError(
                f"a shard of {self.max_shard_bytes} bytes is too small; give 1 MB or more"
            )
        if self.to == Format.HUGGINGFACE and self.layers == "scanned":
            raise UserError("Hugging Face's format has no scanned layers; use --layers unrolled")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """A source whose model was recognised, and what will be written of it.

    Attributes:
        source: The opened checkpoint.
        config: The model's architecture.
        result: The checkpoint as it will be written; nothing is read yet.
        nbytes: Bytes of all its arrays.
        notes: What is left out or was added, for the user.
    """

    source: Checkpoint
    config: Config
    result: Checkpoint
    nbytes: int
    notes: tuple[str, ...]


def plan(source: str | pathlib.Path, options: Options) -> Plan:
    """Opens a source, checks it and says what will be written.

    Raises:
        UserError: The source is not a whole model, or it cannot be written as asked.
    """
    opened = open_checkpoint(source, newest=False)
    config = recognise(opened)
    if options.to in _T5X and not isinstance(config, T5Config):
        raise UserError(
            f"{opened.path} is no T5, and T5X has no such model; convert it to "
            f"{Format.CLOSEDBOOK} or {Format.HUGGINGFACE}"
        )
    scalable = isinstance(config, T5Config) and config.relpos_per_layer and options.to in _T5X
    scanned = scalable or options.layers == "scanned"
    if options.layers == "auto" and options.to == Format.CLOSEDBOOK:
        scanned = is_scanned(opened.params)
    elif options.layers == "unrolled":
        scanned = False
    result = arranged(opened, scanned=scanned)
    params = dict(result.params)
    if options.dtype:
        params = converted(params, DTYPES[options.dtype])
    keeps, state = _state(opened, options, scalable=scalable)
    vocabulary, extra_ids, words = _vocabulary(opened, options, config)
    prefix = options.prefix if options.prefix is not None else opened.prefix
    result = dataclasses.replace(
        result,
        params=params,
        slots=result.slots if keeps else None,
        vocabulary=vocabulary,
        extra_ids=extra_ids,
        prefix=prefix,
        step=options.step if options.step is not None else (opened.step or 0),
    )
    notes = [state, words]
    if prefix and (options.to == Format.HUGGINGFACE or vocabulary is None):
        notes.append(f"prefix of questions: {prefix!r}, for which there is no place")
    elif prefix:
        notes.append(f"prefix of questions: {prefix!r}")
    if keeps and options.to != Format.CLOSEDBOOK and opened.updates not in (None, opened.step):
        notes.append(f"Adafactor's updates: {opened.updates}; T5X takes the step for them")
    tensors = [*params.values(), *(result.slots or {}).values()]
    return Plan(
        source=opened,
        config=dataclasses.replace(config, scan_layers=scanned),
        result=result,
        nbytes=sum(tensor.nbytes for tensor in tensors),
        notes=tuple(note for note in notes if note),
    )


def keep_freed_memory() -> None:
    """Lets this process take the memory of one array for the next.

    glibc gives large blocks back to the system at once, and fetching the pages anew takes longer
    than converting what is in them. Other C libraries are left as they are.
    """
    mmap_threshold, trim_threshold = -3, -1  # of glibc's mallopt
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(mmap_threshold, 2**31 - 1)
        mallopt(trim_threshold, 2**31 - 1)


def _state(opened: Checkpoint, options: Options, *, scalable: bool) -> tuple[bool, str]:
    """Whether the optimiser's state is written, and what to tell the user of it.

    Args:
        opened: The source.
        options: What is asked for.
        scalable: Whether T5X's scalable network is written, whose kernels have other axes.
    """
    if opened.slots is None and not opened.other_optimizer:
        return False, "optimiser state: the source has none"
    if options.optimizer == "drop":
        return False, "optimiser state: dropped as asked"
    if options.to == Format.HUGGINGFACE:
        return False, f"optimiser state: dropped ({options.to} has no place for it)"
    if opened.slots is None:
        raise UserError(
            f"{opened.path} holds the state of another optimiser than Adafactor, "
            f"{opened.other_optimizer}; leave it out with --optimizer drop"
        )
    if scalable:
        raise UserError(
            f"{opened.path} holds an Adafactor state, whose factors T5X's scalable network does "
            "not have; leave it out with --optimizer drop"
        )
    if opened.format == Format.CLOSEDBOOK:
        soundness.check(path_at(opened.path), soundness.STATE)
    return True, "optimiser state: kept"


def _vocabulary(
    opened: Checkpoint, options: Options, config: Config
) -> tuple[pathlib.Path | None, int, str]:
    """The vocabulary to write, its extra ids, and what to tell the user of it."""
    path = options.vocabulary or opened.vocabulary
    extra_ids = opened.extra_ids
    if options.vocabulary:
        extra_ids = open_vocabulary(options.vocabulary, options.extra_ids).extra_ids
    if path is not None:
        embedding = opened.params["token_embedder/embedding"].place
        ids = open_vocabulary(path, extra_ids).vocab_size
        known = opened.names_vocabulary and not options.vocabulary
        check_fits(ids, config.vocab_size, vocabulary=str(path), embedding=embedding, known=known)
        return path, extra_ids, ""
    if options.to == Format.CLOSEDBOOK:
        raise UserError(
            f"{opened.path} comes without a vocabulary, which closedbook keeps beside the "
            f"parameters; {GIVE_VOCABULARY}"
        )
    if options.to != Format.HUGGINGFACE:
        shapes = recognise(dataclasses.replace(opened, config=None))
        untold = [
            f"{name} {own} (would be read as {told})"
            for name, (own, told) in differences(config, shapes).items()
        ]
        if untold:
            raise UserError(
                f"{opened.path} has {', '.join(untold)}, which {options.to} does not tell; with "
                "--vocabulary FILE a model.json is put beside it"
            )
    return None, extra_ids, "vocabulary: none (--vocabulary FILE puts one beside the parameters)"


def convert(
    source: str | pathlib.Path,
    target: str | pathlib.Path,
    options: Options,
    *,
    force: bool = False,
    planned: Plan | None = None,
    progress: Callable[[int], None] = lambda nbytes: None,
) -> pathlib.Path:
    """Converts a checkpoint; the target appears whole or not at all.

    Args:
        source: Any checkpoint, see `open_checkpoint`; of several, one has to be named.
        target: A folder to make.
        options: The format and what changes.
        force: Replace a target that is a checkpoint already.
        planned: The source's plan, if it was made before.
        progress: Called with the bytes of each array once it is read.

    Returns:
        The written checkpoint: `target`, or `target/checkpoint_<step>`.

    Raises:
        UserError: The source is damaged or incomplete, the target exists, or the disk is too
            small. Nothing is left behind.
    """
    if "://" in str(target):
        raise UserError(f"{target} is not a local folder; convert to one and copy it there")
    folder = pathlib.Path(target).expanduser().absolute()
    work = planned or plan(source, options)
    check_target(folder, work.source.path, work.nbytes, force=force)
    new: pathlib.Path | None = None
    try:
        with whole_files.folder(folder, replace=folder.exists(), to_disk=True) as new:
            inside = _write(new, _counted(work.result, progress), work, options)
    except OSError as error:
        raise UserError(_fault(error, folder, new)) from error
    return folder / inside


def _fault(error: OSError, folder: pathlib.Path, new: pathlib.Path | None) -> str:
    """A message that names the file of the error, which may be one that was read.

    Args:
        error: What went wrong.
        folder: The target.
        new: Where it is written until it is whole, if that was made.
    """
    reason = error.strerror or str(error)
    if error.filename is None:  # a full disk
        return f"{folder} cannot be made: {reason}"
    if error.filename2 is not None:  # a rename or a copy
        return f"{folder} cannot be made: {reason} (while {error.filename} was copied into it)"
    file = pathlib.Path(str(error.filename))
    if new is None or file == folder or file.is_relative_to(new):
        return f"{folder} cannot be made: {file}: {error.strerror}"
    return f"{file} cannot be read: {error.strerror}; {folder} is not made"


def _counted(checkpoint: Checkpoint, progress: Callable[[int], None]) -> Checkpoint:
    def count(tensor: Tensor) -> Tensor:
        def load(index: Index) -> np.ndarray:
            array = tensor.read(index)
            progress(array.nbytes)
            return array

        return dataclasses.replace(tensor, load=load)

    def all_of(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: count(tensor) for name, tensor in tensors.items()}

    slots = None if checkpoint.slots is None else all_of(checkpoint.slots)
    return dataclasses.replace(checkpoint, params=all_of(checkpoint.params), slots=slots)


def _write(folder: pathlib.Path, checkpoint: Checkpoint, work: Plan, options: Options) -> str:
    """Writes the result into an empty folder; returns the checkpoint's place in it."""
    if options.to == Format.HUGGINGFACE:
        write_huggingface(folder, checkpoint, work.config, max_shard_bytes=options.max_shard_bytes)
        soundness.seal(folder)
        return ""
    step = f"checkpoint_{checkpoint.step}"
    inside = folder / step
    inside.mkdir()
    match options.to:
        case Format.T5X:
            write_t5x(inside, checkpoint)
        case Format.T5X_ORBAX:
            write_arrays(inside / "state", state_of(checkpoint))
            _orbax_metadata(inside, {"state": "pytree"})
        case Format.CLOSEDBOOK:
            _write_own(inside, checkpoint)
    soundness.seal(inside)
    if checkpoint.vocabulary is not None:
        _card(checkpoint, work.config).write(folder, checkpoint.vocabulary)
    return step


def _write_own(inside: pathlib.Path, checkpoint: Checkpoint) -> None:
    write_arrays(inside / "params", checkpoint.params)
    items = {"params": "standard"}
    if checkpoint.slots is not None:
        updates = checkpoint.updates if checkpoint.updates is not None else checkpoint.step
        place = f"{checkpoint.path}: count"
        state = {"count": Tensor.of(np.asarray(updates, np.int32), place)}
        for name, tensor in checkpoint.slots.items():
            parameter, _, slot = name.rpartition("/")
            if slot != "m":  # momentum, which our Adafactor does not have
                state[f"{slot}/{parameter}"] = tensor
        write_arrays(inside / "optimizer", state)
        items["optimizer"] = "standard"
    _orbax_metadata(inside, items)


def _card(checkpoint: Checkpoint, config: Config) -> ModelCard:
    """`model.json`, which stands beside T5X's checkpoints too: shapes do not tell everything."""
    assert checkpoint.vocabulary is not None
    digest = open_vocabulary(checkpoint.vocabulary, checkpoint.extra_ids).sha256
    card = checkpoint.card or ModelCard(config=config, vocabulary_sha256=digest)
    return dataclasses.replace(
        card,
        config=config,
        vocabulary_sha256=digest,
        extra_ids=checkpoint.extra_ids,
        prefix=checkpoint.prefix or "",
    )


def _orbax_metadata(folder: pathlib.Path, items: Mapping[str, str]) -> None:
    names = {"pytree": "PyTreeCheckpointHandler", "standard": "StandardCheckpointHandler"}
    now = time.time_ns()
    content: dict[str, Any] = {
        "item_handlers": {
            item: f"{_HANDLERS}.{kind}_checkpoint_handler.{names[kind]}"
            for item, kind in items.items()
        },
        "metrics": {},
        "performance_metrics": {},
        "init_timestamp_nsecs": now,
        "commit_timestamp_nsecs": now,
        "custom_metadata": {},
    }
    (folder / "_CHECKPOINT_METADATA").write_text(json.dumps(content), encoding="utf-8")
