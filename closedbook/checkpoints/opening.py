"""Finds checkpoints by what lies in a folder, and opens them whatever their format."""

import dataclasses
import pathlib
import re

import numpy as np

from closedbook.buckets import path_at
from closedbook.checkpoints import soundness
from closedbook.checkpoints.card import CARD_FILE, ModelCard
from closedbook.checkpoints.files.orbax import read_arrays
from closedbook.checkpoints.formats import Format
from closedbook.checkpoints.gguf import open_gguf
from closedbook.checkpoints.huggingface.decoder_only import checkpoint_of as decoder_only_of
from closedbook.checkpoints.huggingface.folders import open_huggingface
from closedbook.checkpoints.layouts import UNUSED
from closedbook.checkpoints.locate import PACKAGED, STEP, is_finished, packaged_model, steps
from closedbook.checkpoints.mesh_tf import open_mesh_tf
from closedbook.checkpoints.places import other_files, remote
from closedbook.checkpoints.places.hub import HUB
from closedbook.checkpoints.places.storage import GCS, Storage
from closedbook.checkpoints.t5x.legacy import is_t5x_file, open_t5x_legacy
from closedbook.checkpoints.t5x.native import open_t5x
from closedbook.checkpoints.t5x.state import checkpoint_of, step_of
from closedbook.checkpoints.tensors import Checkpoint, Tensor, nest
from closedbook.checkpoints.vocabularies import VOCABULARY_FILE, all_files, main_file
from closedbook.errors import UserError, listed
from closedbook.vocabulary import EXTRA_IDS
from closedbook.vocabulary.text_bytes import BYTES

_PREFIXES = {"nq": "nq question: ", "wq": "wq question: ", "tqa": "trivia_qa question: "}
_MESH_TF = re.compile(r"^(model\.ckpt-(\d+))\.index$")
_WEIGHTS = re.compile(r"^(model|pytorch_model)(-\d+-of-\d+)?\.(safetensors|bin)(\.index\.json)?$")
_GGUF = ".gguf"
_HEAD = 64  # bytes of a file that tell whether it is T5X's


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """A checkpoint that is there, not opened yet.

    Attributes:
        format: Its format.
        storage: The folder that holds it.
        name: Its file in the folder, where the folder may hold several.
        step: The step that its name tells, or None.
    """

    format: Format
    storage: Storage
    name: str = ""
    step: int | None = None

    @property
    def path(self) -> str:
        """What a user can give to name just this one."""
        return f"{self.storage.root}/{self.name}" if self.name else self.storage.root


def open_checkpoint(path: str | pathlib.Path, *, newest: bool = True) -> Checkpoint:
    """Opens a checkpoint of any format; parameters are read later, one at a time.

    Files that closedbook wrote are first compared with their digests, but in a bucket.

    Args:
        path: A run's folder, a checkpoint in it, a file, "gs://...", "hf://organisation/name", or
            "closedbook://NAME" for a packaged model.
        newest: Whether the newest whole one is taken of a run that closedbook itself wrote, with
            a warning of each that is damaged; of anything else with several checkpoints, one has
            to be named.

    Raises:
        UserError: There is nothing, or several, or something that is damaged.
    """
    checkpoint = open_found(find(path, newest=newest))
    prefix = checkpoint.card.prefix if checkpoint.card else published_prefix(str(path))
    return dataclasses.replace(checkpoint, prefix=prefix)


def published_prefix(path: str) -> str | None:
    """The prefix that a published closed-book model was trained with, told by its name.

    Names such as "t5-11b-ssm-nqo" or "small_ssm_nq" (Roberts et al. 2020); the end is the task.
    """
    *_, folder, last = ["", "", *path.partition("@")[0].rstrip("/").split("/")]
    for name in (last, folder):
        match = re.search(r"[-_]ssm[-_](nq|wq|tqa)o?$", name.lower())
        if match:
            return _PREFIXES[match.group(1)]
    return None


def find(path: str | pathlib.Path, *, newest: bool = True) -> Found:
    """Finds the checkpoint at a path, not opening it; arguments and errors as `open_checkpoint`."""
    text = str(path)
    if text.startswith(HUB):
        path = remote.fetch(text)
    elif text.startswith(PACKAGED):
        path = packaged_model(text.removeprefix(PACKAGED))
    elif "://" in text and not text.startswith(GCS):
        raise UserError(
            f"{text} has an unknown scheme; give a local path, gs://bucket/folder, "
            "hf://organisation/name or closedbook://NAME"
        )
    place = Storage.at(path)
    names = place.names() if place.remote or place.local.is_dir() else []
    if reason := other_files.adapter(names):
        raise UserError(f"{text} {reason}")
    found = look(place)
    found = _whole(path_at(place.root), found, newest=newest)
    if not found and (reason := other_files.other_weights(names)):
        raise UserError(f"{text} {reason}")
    if not found:
        raise UserError(
            f"no checkpoint at {text}; known are folders of closedbook, T5X (checkpoint_<step>), "
            "Mesh TensorFlow (model.ckpt-<step>.index), Hugging Face (config.json with weights) "
            "and GGUF files"
        )
    own = {each.format for each in found} == {Format.CLOSEDBOOK}
    if len(found) > 1 and not (newest and own):
        raise UserError(
            f"{text} holds {len(found)} checkpoints; name one of them:\n"
            + listed(f"  {each.path} ({each.format})" for each in found)
        )
    return found[-1]


def _whole(folder: pathlib.Path, found: list[Found], *, newest: bool) -> list[Found]:
    """What was found in a folder, without a run's own checkpoints that are damaged.

    Raises:
        UserError: None of a run's is whole, or the folder itself is one that is not.
    """
    if not found and STEP.match(folder.name) and soundness.is_own(folder):
        raise UserError(soundness.refusal(folder, soundness.damage(folder)))
    inside = [folder / f"checkpoint_{step}" for step in reversed(steps(folder))]
    if any(each.format is not Format.CLOSEDBOOK for each in found) or not inside:
        return found
    known = {each.path: each for each in found}
    if not newest:
        unknown = [each for each in inside if str(each) not in known]
        soundness.warn({each: soundness.damage(each) for each in unknown})
        return found
    damaged: dict[pathlib.Path, str | None] = {}
    for each in inside:
        damaged[each] = soundness.damage(each)
        if not damaged[each] and str(each) in known:
            soundness.warn(damaged)
            return [known[str(each)]]
    first = inside[0]
    if not soundness.is_own(first):
        return found
    raise UserError(soundness.refusal(first, damaged[first]))


def whole_checkpoints(run: pathlib.Path) -> list[str]:
    """The paths of a run's checkpoints by step, without its own damaged ones, with a warning.

    Raises:
        UserError: All are damaged.
    """
    damaged: dict[pathlib.Path, str | None] = {}
    for each in (run / f"checkpoint_{step}" for step in steps(run)):
        formats = {found.format for found in look(Storage.at(each))}
        own = formats == {Format.CLOSEDBOOK} or (not formats and soundness.is_own(each))
        damaged[each] = soundness.damage(each) if own else None
    whole = [str(each) for each, why in damaged.items() if not why]
    if damaged and not whole:
        raise UserError(soundness.refusal(*list(damaged.items())[-1]))
    soundness.warn(damaged)
    return whole


def look(storage: Storage) -> list[Found]:
    """All checkpoints at a place, by step."""
    if not storage.remote and not storage.local.is_dir():
        return _file(storage)
    names = storage.names()
    if not names:
        return _file(storage)
    found = []
    for name in names:
        if match := STEP.match(name.removesuffix("/")):
            inside = storage / name.removesuffix("/")
            if not is_finished(inside):
                continue
            each = _checkpoint(inside) if name.endswith("/") else _file(inside)
            found += [dataclasses.replace(one, step=int(match.group(1))) for one in each]
        elif match := _MESH_TF.match(name):
            prefix, step = match.groups()
            found.append(Found(format=Format.MESH_TF, storage=storage, name=prefix, step=int(step)))
        elif name.endswith(_GGUF):
            found.append(Found(format=Format.GGUF, storage=storage, name=name))
    found += _checkpoint(storage)
    if "config.json" in names and any(_WEIGHTS.match(name) for name in names):
        found.append(Found(format=Format.HUGGINGFACE, storage=storage, name="config.json"))
    return sorted(found, key=lambda each: (each.step or 0, each.path))


def _checkpoint(storage: Storage) -> list[Found]:
    """The checkpoint in a folder's own files, not in folders inside it."""
    names = storage.names()
    match = STEP.match(storage.root.rpartition("/")[2])
    step = int(match.group(1)) if match else None
    if "params/" in names:
        return [Found(format=Format.CLOSEDBOOK, storage=storage, step=step)]
    if "checkpoint" in names and is_t5x_file(_head(storage, "checkpoint")):
        return [Found(format=Format.T5X, storage=storage, step=step)]
    if "state/" in names:
        return _checkpoint(storage / "state") or _orbax(storage / "state", step)
    if "_METADATA" in names or "manifest.ocdbt" in names:
        return _orbax(storage, step)
    return []


def _orbax(storage: Storage, step: int | None) -> list[Found]:
    names = storage.names()
    if "_METADATA" not in names and "manifest.ocdbt" not in names:
        return []
    return [Found(format=Format.T5X_ORBAX, storage=storage, step=step)]


def _file(path: Storage) -> list[Found]:
    """The checkpoint that a path names which is no folder.

    Either the path is a file that is a checkpoint, or the common beginning of several files'
    names (`model.ckpt-100` of `model.ckpt-100.index`), or a file in a folder that is a checkpoint.
    """
    root, _, name = path.root.rpartition("/")
    folder = Storage(root)
    prefix = re.match(r"^(model\.ckpt-(\d+))(\.index|\.meta|\.data-\d+-of-\d+)?$", name)
    siblings = folder.names()
    if prefix and f"{prefix.group(1)}.index" in siblings:
        step = int(prefix.group(2))
        return [Found(format=Format.MESH_TF, storage=folder, name=prefix.group(1), step=step)]
    if name not in siblings:
        return []
    if name.endswith(_GGUF):
        return [Found(format=Format.GGUF, storage=folder, name=name)]
    if _WEIGHTS.match(name) or name == "config.json":
        return [each for each in look(folder) if each.format is Format.HUGGINGFACE]
    if is_t5x_file(_head(folder, name)):
        if name == "checkpoint":
            return _checkpoint(folder)
        return [Found(format=Format.T5X_LEGACY, storage=folder, name=name)]
    return []


def _head(storage: Storage, name: str) -> bytes:
    if storage.remote:
        return storage.read(name, size=_HEAD)
    with (storage.local / name).open("rb") as file:
        return file.read(_HEAD)


def open_found(found: Found) -> Checkpoint:
    """Opens what `find` found."""
    storage = found.storage
    if found.format in (Format.T5X, Format.T5X_ORBAX):
        soundness.check_written(storage)
    match found.format:
        case Format.CLOSEDBOOK:
            return _open_own(found)
        case Format.T5X:
            checkpoint = open_t5x(storage)
        case Format.T5X_LEGACY:
            checkpoint = open_t5x_legacy(storage, found.name)
        case Format.T5X_ORBAX:
            arrays = nest(read_arrays(storage))
            checkpoint = checkpoint_of(arrays, format=Format.T5X_ORBAX, path=storage.root)
        case Format.MESH_TF:
            folder = storage.local if not storage.remote else remote.fetch(found.path).parent
            checkpoint = open_mesh_tf(folder / found.name)
        case Format.HUGGINGFACE:
            folder = storage.local if not storage.remote else remote.fetch(storage.root)
            soundness.check_written(Storage.at(folder))
            return open_huggingface(folder)
        case Format.GGUF:
            return _open_gguf(storage.local / found.name if not storage.remote else found.path)
    step = checkpoint.step
    if step is None:
        step = step_of(found.step, f"{found.path}: the step in the name")
    return _with_what_lies_beside(dataclasses.replace(checkpoint, step=step), storage)


def _open_gguf(path: pathlib.Path | str) -> Checkpoint:
    local = path if isinstance(path, pathlib.Path) else remote.fetch(path)
    model = open_gguf(local)
    return decoder_only_of(
        model.config,
        model.tensors,
        format=Format.GGUF,
        path=local,
        place=str(local),
        vocabulary=model.vocabulary,
    )


def _open_own(found: Found) -> Checkpoint:
    storage = found.storage
    soundness.check(path_at(storage.root))
    run = Storage(storage.root.rpartition("/")[0])
    card = ModelCard.load(run) if CARD_FILE in run.names() else None
    slots: dict[str, Tensor] | None = None
    other, updates = "", None
    if "optimizer/" in storage.names():
        arrays = read_arrays(storage / "optimizer")
        slots, other = _own_slots(arrays)
        updates = step_of(arrays["count"].read(), arrays["count"].place) if slots else None
    return Checkpoint(
        format=Format.CLOSEDBOOK,
        path=storage.root,
        params=read_arrays(storage / "params"),
        slots=slots,
        other_optimizer=other,
        step=step_of(found.step, f"{storage.root}: the step in the name"),
        updates=updates,
        config=card.config if card else None,
        card=card,
        vocabulary=_own_vocabulary(run, card),
        extra_ids=card.extra_ids if card else EXTRA_IDS,
    )


def _own_vocabulary(run: Storage, card: ModelCard | None) -> pathlib.Path | None:
    if card is not None and card.vocabulary_sha256 == BYTES:
        return pathlib.Path(BYTES)
    if card is None and run.remote:
        return None
    names = run.names()
    name = main_file(names)
    if name is None or not run.remote:
        return run.local / name if name else None
    local = {each: remote.fetch(f"{run.root}/{each}") for each in all_files(names)}
    return local[name]


def _own_slots(arrays: dict[str, Tensor]) -> tuple[dict[str, Tensor] | None, str]:
    """Adafactor's accumulators by "<parameter>/<slot>", or the name of another state."""
    kinds = {name.partition("/")[0] for name in arrays}
    if kinds != {"count", "v", "v_row", "v_col"}:
        return None, f"one that keeps {', '.join(sorted(kinds))}"
    slots = {}
    for name, tensor in arrays.items():
        slot, _, parameter = name.partition("/")
        if parameter:
            slots[f"{parameter}/{slot}"] = tensor
            # Momentum, which our Adafactor does not have and T5X's does not use.
            unused = Tensor.of(np.zeros(UNUSED, np.float32), f"{tensor.place}, momentum")
            slots[f"{parameter}/m"] = unused
    return slots, ""


def _with_what_lies_beside(checkpoint: Checkpoint, storage: Storage) -> Checkpoint:
    """With the model card or the vocabulary in the checkpoint's folder or around it.

    `convert` puts a card beside T5X's checkpoints too. Buckets of others hold neither.
    """
    if storage.remote:
        return checkpoint
    folder = storage.local
    folders = [folder, folder.parent]
    if folder.name == "state":  # of T5X's Orbax: the run's folder is one further up
        folders.append(folder.parent.parent)
    for each in folders:
        card = ModelCard.load(Storage.at(each)) if (each / CARD_FILE).is_file() else None
        found = _own_vocabulary(Storage.at(each), card) if card else None
        for name in (VOCABULARY_FILE, "sentencepiece.model", "spiece.model"):
            if found is None and (each / name).is_file():
                found = each / name
        if found is not None:
            return dataclasses.replace(
                checkpoint,
                card=card,
                config=card.config if card else None,
                vocabulary=found,
                extra_ids=card.extra_ids if card else EXTRA_IDS,
            )
    return checkpoint
