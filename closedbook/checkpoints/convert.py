"""From one checkpoint format to another, one tensor in memory at a time."""

import dataclasses
import json
import pathlib
import shutil
import time
from collections.abc import Callable, Mapping
from typing import Any

import ml_dtypes
import numpy as np

from closedbook.checkpoints.architecture import recognise
from closedbook.checkpoints.card import ModelCard, sha256_of, vocabulary_size
from closedbook.checkpoints.formats import WRITABLE, Format
from closedbook.checkpoints.huggingface import write_huggingface
from closedbook.checkpoints.layouts import arranged, converted
from closedbook.checkpoints.opening import look, open_checkpoint
from closedbook.checkpoints.orbax_files import write_arrays
from closedbook.checkpoints.storage import Storage
from closedbook.checkpoints.t5x_native import write_t5x
from closedbook.checkpoints.t5x_state import state_of
from closedbook.checkpoints.tensors import Checkpoint, Index, Tensor
from closedbook.errors import UserError, unknown_name
from closedbook.models import T5Config

DTYPES = {
    "float32": np.dtype(np.float32),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float16": np.dtype(np.float16),
}
LAYERS = ("auto", "unrolled", "scanned")
OPTIMIZER = ("keep", "drop")
_PADDING = 1024  # rows that an embedding may have beyond its vocabulary's ids
_HANDLERS = "orbax.checkpoint._src.handlers"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What a conversion changes beside the format."""

    to: str  # a format of `WRITABLE`
    dtype: str | None = None  # of the parameters; None: as they are. Accumulators stay float32
    # "unrolled", "scanned", or "auto": as they are for closedbook, unrolled for the others, whose
    # own code knows no other layout of a T5 (T5X's scalable_t5 has other names and shapes).
    layers: str = "auto"
    optimizer: str = "keep"  # "keep" Adafactor's state where there is one, or "drop" it
    vocabulary: pathlib.Path | None = None  # SentencePiece model, if none comes with the source
    extra_ids: int = 100  # sentinels after the pieces of that file
    prefix: str | None = None  # text before each question, for closedbook's model.json
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
        if self.step is not None and self.step < 0:
            raise UserError(f"step is {self.step}; it must be 0 or more")
        if self.to == Format.HUGGINGFACE and self.layers == "scanned":
            raise UserError("Hugging Face's format has no scanned layers; use --layers unrolled")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """A source that was recognised and what will be written of it.

    Attributes:
        source: As opened.
        config: Its architecture.
        result: The checkpoint as it will be written; nothing is read yet.
        nbytes: Bytes of all its arrays.
        notes: What is left out or was added, for the user.
    """

    source: Checkpoint
    config: T5Config
    result: Checkpoint
    nbytes: int
    notes: tuple[str, ...]


def plan(source: str | pathlib.Path, options: Options) -> Plan:
    """Opens a source, checks it and says what will be written.

    Raises:
        UserError: The source is not a whole T5, or it cannot be written as asked.
    """
    opened = open_checkpoint(source, newest=False)
    config = recognise(opened)
    as_is = options.layers == "auto" and options.to == Format.CLOSEDBOOK
    scanned = config.scan_layers if as_is else options.layers == "scanned"
    result = arranged(opened, scanned=scanned)
    notes = []
    slots = result.slots
    if opened.other_optimizer and options.optimizer == "keep" and _keeps_state(options):
        raise UserError(
            f"{opened.path} holds the state of another optimiser than Adafactor, "
            f"{opened.other_optimizer}; leave it out with --optimizer drop"
        )
    if (slots is not None or opened.other_optimizer) and (
        options.optimizer == "drop" or not _keeps_state(options)
    ):
        slots = None
        asked = options.optimizer == "drop"
        notes.append(
            "optimiser state: dropped "
            + ("as asked" if asked else f"({options.to} has no place for it)")
        )
    elif slots is not None:
        notes.append("optimiser state: kept")
    else:
        notes.append("optimiser state: the source has none")
    params = dict(result.params)
    if options.dtype:
        params = converted(params, DTYPES[options.dtype])
    vocabulary = options.vocabulary or opened.vocabulary
    extra_ids = options.extra_ids if options.vocabulary else opened.extra_ids
    if vocabulary is not None:
        _check_vocabulary(vocabulary, extra_ids, config, opened)
    elif options.to == Format.CLOSEDBOOK:
        raise UserError(
            f"{opened.path} comes without a vocabulary, which closedbook keeps beside the "
            "parameters; give its SentencePiece model with --vocabulary FILE (the public T5s use "
            "gs://t5-data/vocabs/cc_all.32000.100extra/sentencepiece.model)"
        )
    else:
        notes.append("vocabulary: none (give --vocabulary FILE to put one beside the parameters)")
    result = dataclasses.replace(
        result,
        params=params,
        slots=slots,
        vocabulary=vocabulary,
        extra_ids=extra_ids,
        step=options.step if options.step is not None else (opened.step or 0),
    )
    tensors = [*params.values(), *(slots or {}).values()]
    return Plan(
        source=opened,
        config=dataclasses.replace(config, scan_layers=scanned),
        result=result,
        nbytes=sum(tensor.nbytes for tensor in tensors),
        notes=tuple(notes),
    )


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
    folder = pathlib.Path(target).expanduser().absolute()
    if "://" in str(target):
        raise UserError(f"{target} is not a local folder; convert to one and copy it there")
    work = planned or plan(source, options)
    _check_target(folder, work, force=force)
    partial = folder.with_name(folder.name + ".partial")
    if partial.exists():  # of a conversion that was killed
        shutil.rmtree(partial)
    try:
        partial.mkdir(parents=True)
        inside = _write(partial, _counted(work.result, progress), work, options)
        if folder.exists():
            replaced = folder.with_name(folder.name + ".replaced")
            folder.rename(replaced)
            partial.rename(folder)
            shutil.rmtree(replaced)
        else:
            partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return folder / inside


def _keeps_state(options: Options) -> bool:
    return options.to != Format.HUGGINGFACE


def _check_vocabulary(
    path: pathlib.Path, extra_ids: int, config: T5Config, source: Checkpoint
) -> None:
    ids = vocabulary_size(path, extra_ids)
    if not config.vocab_size - _PADDING < ids <= config.vocab_size:
        embedding = source.params["token_embedder/embedding"].place
        raise UserError(
            f"the vocabulary {path} has {ids} ids with {extra_ids} extra ids, but the embedding "
            f"has {config.vocab_size} rows ({embedding}); it is another model's vocabulary"
        )


def _check_target(folder: pathlib.Path, work: Plan, *, force: bool) -> None:
    source = work.source.path
    if not source.startswith("gs://"):
        origin = pathlib.Path(source).resolve()
        resolved = folder.resolve()
        if resolved == origin or resolved in origin.parents or origin in resolved.parents:
            raise UserError(f"{folder} and the source {source} lie in one another; give another")
    if folder.exists():
        if not force:
            raise UserError(f"{folder} exists; give another folder, or --force to replace it")
        if not folder.is_dir() or (any(folder.iterdir()) and not look(Storage.at(folder))):
            raise UserError(
                f"{folder} is not a checkpoint, so --force does not replace it; move it away"
            )
    parent = next(each for each in folder.parents if each.exists())
    free = shutil.disk_usage(parent).free
    if free < work.nbytes:
        raise UserError(
            f"{folder} needs {work.nbytes / 1e9:.1f} GB, its disk has {free / 1e9:.1f} GB free"
        )


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
            _write_own(inside, checkpoint, work, options)
    if options.to != Format.CLOSEDBOOK and checkpoint.vocabulary is not None:
        shutil.copyfile(checkpoint.vocabulary, folder / "sentencepiece.model")
    return step


def _write_own(inside: pathlib.Path, checkpoint: Checkpoint, work: Plan, options: Options) -> None:
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
    assert checkpoint.vocabulary is not None
    card = checkpoint.card or ModelCard(
        config=work.config, vocabulary_sha256=sha256_of(checkpoint.vocabulary)
    )
    card = dataclasses.replace(
        card,
        config=work.config,
        vocabulary_sha256=sha256_of(checkpoint.vocabulary),
        extra_ids=checkpoint.extra_ids,
        prefix=card.prefix if options.prefix is None else options.prefix,
    )
    card.write(inside.parent, checkpoint.vocabulary)


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
