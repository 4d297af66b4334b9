"""Reads and writes folders of Hugging Face's T5, mT5, umT5, GPT-2 and Llama."""

import dataclasses
import logging
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from closedbook.checkpoints.files.file_arrays import check_name
from closedbook.checkpoints.files.safetensors import open_safetensors
from closedbook.checkpoints.files.torch import open_torch
from closedbook.checkpoints.formats import Format
from closedbook.checkpoints.huggingface import names
from closedbook.checkpoints.huggingface.config import (
    CONFIG_FILE,
    HuggingFaceConfig,
    fields_of,
    read_json,
    write_config,
)
from closedbook.checkpoints.huggingface.decoder_only import checkpoint_of, write_decoder_only
from closedbook.checkpoints.huggingface.decoder_only_config import MODEL_TYPES
from closedbook.checkpoints.huggingface.matrices import (
    INDEX,
    SAFETENSORS,
    check_floats,
    common_type,
    same,
    transposed,
    write_weights,
)
from closedbook.checkpoints.huggingface.tokenizer_choice import (
    check_ends,
    find_vocabulary,
    sentencepiece_file,
)
from closedbook.checkpoints.huggingface.tokenizer_files import write_vocabulary
from closedbook.checkpoints.tensors import Checkpoint, Tensor
from closedbook.checkpoints.vocabularies import is_pipeline, pipeline_in
from closedbook.errors import UserError
from closedbook.models import DecoderOnlyConfig, T5Config
from closedbook.models.families import Config
from closedbook.vocabulary.pipelines import PipelineVocabulary

# In the order in which transformers looks for them.
_WEIGHTS: dict[str, Callable[[pathlib.Path], dict[str, Tensor]]] = {
    SAFETENSORS: open_safetensors,
    SAFETENSORS + INDEX: open_safetensors,
    "pytorch_model.bin": open_torch,
    "pytorch_model.bin" + INDEX: open_torch,
}
_log = logging.getLogger(__name__)


def open_huggingface(folder: pathlib.Path) -> Checkpoint:
    """Opens a folder with config.json and weights in safetensors or torch files.

    Raises:
        UserError: Something is absent, damaged, of another architecture, or ambiguous.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise UserError(f"{folder} has no {CONFIG_FILE}; it is no Hugging Face model")
    data = read_json(path)
    if data.get("model_type") in MODEL_TYPES:
        return _open_decoder_only(folder, data)
    fields = HuggingFaceConfig(path, data)
    config = fields.architecture()
    weights = _open_weights(folder)
    _resolve_embeddings(folder, weights, fields)
    vocabulary, extra_ids = find_vocabulary(folder)
    if vocabulary is not None and is_pipeline(vocabulary):
        check_ends(vocabulary)
    return Checkpoint(
        format=Format.HUGGINGFACE,
        path=str(folder),
        params=_renamed(folder, weights, config),
        config=config,
        vocabulary=vocabulary,
        extra_ids=extra_ids,
    )


def _open_decoder_only(folder: pathlib.Path, fields: Mapping[str, Any]) -> Checkpoint:
    # A model that was trained on SentencePiece's pieces has that file, beside what is made of it.
    own = sentencepiece_file(folder) is not None
    path = None if own else pipeline_in(folder)
    opened = checkpoint_of(
        fields,
        _open_weights(folder),
        format=Format.HUGGINGFACE,
        path=folder,
        place=str(folder / CONFIG_FILE),
        vocabulary=None if path is None else PipelineVocabulary(path),
    )
    if not own:
        return opened
    vocabulary, extra_ids = find_vocabulary(folder)
    return dataclasses.replace(opened, vocabulary=vocabulary, extra_ids=extra_ids)


def _open_weights(folder: pathlib.Path) -> dict[str, Tensor]:
    """All tensors of the preferred weight files by their names there."""
    found = [name for name in _WEIGHTS if (folder / name).is_file()]
    if not found:
        raise UserError(
            f"{folder} has no weights that can be read ({', '.join(_WEIGHTS)}); weights of "
            "TensorFlow or Flax alone must first be saved by transformers as safetensors"
        )
    name, *others = found
    if others:
        _log.info("%s: reading %s, not %s", folder, name, ", ".join(others))
    if not name.endswith(INDEX):
        return _WEIGHTS[name](folder / name)
    return _open_shards(folder / name, _WEIGHTS[name])


def _open_shards(
    index: pathlib.Path, open_file: Callable[[pathlib.Path], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """The tensors that an index names, each from its file."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError(f"{index} has no weight_map; it is no index of weights")
    files: dict[str, dict[str, Tensor]] = {}
    tensors = {}
    for name, file in weight_map.items():
        check_name(index, name)
        if not _plain(file):
            raise UserError(
                f"{index}: {name} is said to be in {ascii(file)[:200]}; it must be a file's name, "
                "without a folder"
            )
        if file not in files:
            if not (index.parent / file).is_file():
                raise UserError(f"{index} names {file}, which is absent; download it")
            files[file] = open_file(index.parent / file)
        if name not in files[file]:
            raise UserError(f"{index}: {name} is not in {file}; the two are of different models")
        tensors[name] = files[file][name]
    return tensors


def _plain(name: object) -> bool:
    """Whether a name stays in its folder, on any system."""
    if not isinstance(name, str) or name in ("", ".", ".."):
        return False
    return name.isprintable() and len(name) <= 255 and not set(name) & set("/\\:")


def _resolve_embeddings(
    folder: pathlib.Path, weights: dict[str, Tensor], fields: HuggingFaceConfig
) -> None:
    """Leaves one embedding in `weights`, and an output matrix where the model has one."""
    scaled = fields.scaled_logits
    aliases = [*names.ALIASES, names.HEAD] if scaled else list(names.ALIASES)
    present = [name for name in (names.EMBEDDING, *aliases) if name in weights]
    if not present:
        raise UserError(f"{folder} has no {names.EMBEDDING}, the embedding of the tokens")
    embedding = weights[present[0]]
    for name in present:
        if not same(embedding, weights.pop(name)):
            raise UserError(
                f"{folder}: {present[0]} and {name} differ, but {CONFIG_FILE} says that they are "
                "one matrix; if the output matrix is the model's own, set tie_word_embeddings and "
                "scale_decoder_outputs to false there"
            )
    weights[names.EMBEDDING] = embedding
    if scaled or names.HEAD in weights:
        return
    if not fields.tied_unscaled:
        raise UserError(
            f"{folder} has no {names.HEAD}, though tie_word_embeddings is false in {CONFIG_FILE}; "
            "the weights are incomplete, or the setting is wrong"
        )
    weights[names.HEAD] = embedding


def _renamed(
    folder: pathlib.Path, weights: Mapping[str, Tensor], config: T5Config
) -> dict[str, Tensor]:
    """By our names, transposed."""
    params, unknown = {}, []
    for name, tensor in weights.items():
        ours = names.to_ours(name, biases_per_layer=config.relpos_per_layer)
        if ours is None:
            if name not in names.UNUSED:
                unknown.append(name)
            continue
        if len(tensor.shape) != (1 if ours.endswith("/scale") else 2):
            raise UserError(f"{tensor.place} has the shape {list(tensor.shape)}, not a T5's")
        params[ours] = _oriented(ours, tensor)
    check_floats(params)
    if any(".lora_" in name or ".base_layer." in name for name in unknown):
        raise UserError(
            f"{folder} holds a model with LoRA's matrices beside its own; merge the adapter first: "
            "model.merge_and_unload().save_pretrained(NEW)"
        )
    if unknown:
        raise UserError(
            f"{folder} has {len(unknown)} tensors that are not a T5's: "
            f"{', '.join(each[:100] for each in sorted(unknown)[:20])}"
        )
    return params


def _oriented(ours: str, tensor: Tensor) -> Tensor:
    """Theirs as ours, or ours as theirs: transposed, but for the embedding and the norms."""
    if len(tensor.shape) != 2 or ours == names.OUR_EMBEDDING:
        return tensor
    return transposed(tensor)


def write_huggingface(
    folder: pathlib.Path,
    checkpoint: Checkpoint,
    config: Config,
    *,
    max_shard_bytes: int = 5 * 10**9,
) -> None:
    """Writes a model that transformers loads, one tensor in memory at a time.

    Args:
        folder: An empty folder.
        checkpoint: Its parameters, unrolled.
        config: Its architecture.
        max_shard_bytes: Most bytes of tensors per file; a larger tensor has a file of its own.

    Raises:
        UserError: A parameter or the architecture cannot be expressed.
    """
    if isinstance(config, DecoderOnlyConfig):
        write_decoder_only(folder, checkpoint, config, max_shard_bytes=max_shard_bytes)
        return
    unknown = [name for name in checkpoint.params if names.to_theirs(name) is None]
    if unknown:
        raise UserError(
            f"{checkpoint.path} has {len(unknown)} parameters without a name in Hugging Face's T5: "
            f"{', '.join(sorted(unknown)[:20])}"
        )
    if config.logits_via_embedding == (names.OUR_HEAD in checkpoint.params):
        raise UserError(
            f"{checkpoint.path}: {names.OUR_HEAD} must be there if and only if "
            f"T5Config.logits_via_embedding is false; it is {config.logits_via_embedding}"
        )
    tensors = {
        str(names.to_theirs(name)): _oriented(name, tensor)
        for name, tensor in checkpoint.params.items()
    }
    fields = fields_of(config, common_type(tensors))
    if checkpoint.vocabulary is not None:
        write_vocabulary(folder, checkpoint.vocabulary, checkpoint.extra_ids)
    write_config(folder, fields)
    write_weights(folder, tensors, max_shard_bytes)
