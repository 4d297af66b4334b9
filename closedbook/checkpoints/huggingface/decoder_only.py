"""Checkpoints out of the tensors and settings of Hugging Face's GPT-2 and Llama, and back."""

import pathlib
from collections.abc import Mapping
from typing import Any

from closedbook.checkpoints.formats import Format
from closedbook.checkpoints.huggingface.decoder_only_config import (
    architecture,
    model_type,
    write_decoder_only_config,
)
from closedbook.checkpoints.huggingface.decoder_only_names import (
    EMBEDDING,
    HEAD,
    to_ours,
    to_theirs,
)
from closedbook.checkpoints.huggingface.matrices import (
    check_floats,
    common_type,
    same,
    transposed,
    write_weights,
)
from closedbook.checkpoints.huggingface.tokenizer_files import write_vocabulary
from closedbook.checkpoints.tensors import Checkpoint, Tensor
from closedbook.errors import UserError, listed
from closedbook.models import DecoderOnlyConfig
from closedbook.vocabulary.pipelines import PipelineVocabulary


def checkpoint_of(
    fields: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    *,
    format: Format,
    path: pathlib.Path,
    place: str,
    vocabulary: PipelineVocabulary | None,
) -> Checkpoint:
    """A checkpoint of a GPT-2 or a Llama; nothing is read yet.

    Args:
        fields: Of its GPT2Config or LlamaConfig.
        weights: By the names of GPT2LMHeadModel or LlamaForCausalLM.
        format: What it was found as.
        path: Where it was found.
        place: Where the fields stand, for messages.
        vocabulary: What came with it.

    Raises:
        UserError: A field or a tensor is none that our network has, or the output matrix does
            not fit the settings.
    """
    config = architecture(fields, place, vocabulary)
    params, unknown = to_ours(str(fields["model_type"]), weights, transposed)
    if unknown:
        raise UserError(
            f"{path} has {len(unknown)} tensors that are not a {fields['model_type']}'s:\n"
            + listed(f"  {name[:100]}" for name in sorted(unknown))
        )
    check_floats(params)
    if EMBEDDING in params:
        _resolve_head(params, config, place)
    return Checkpoint(
        format=format,
        path=str(path),
        params=params,
        config=config,
        vocabulary=pathlib.Path(vocabulary.local_path) if vocabulary else None,
        extra_ids=0,
    )


def _resolve_head(params: dict[str, Tensor], config: DecoderOnlyConfig, place: str) -> None:
    """Leaves an output matrix where the model has its own, and none where it is the embedding."""
    head = params.pop(HEAD) if config.logits_via_embedding and HEAD in params else None
    if head is not None and not same(params[EMBEDDING], transposed(head)):
        raise UserError(
            f"{place}: tie_word_embeddings is true, but the output matrix is not the embedding; "
            "if it is the model's own, set tie_word_embeddings to false"
        )
    if not config.logits_via_embedding and HEAD not in params:
        raise UserError(
            f"{place}: tie_word_embeddings is false, but there is no lm_head.weight; the weights "
            "are incomplete, or the setting is wrong"
        )


def write_decoder_only(
    folder: pathlib.Path,
    checkpoint: Checkpoint,
    config: DecoderOnlyConfig,
    *,
    max_shard_bytes: int,
) -> None:
    """Writes a model that transformers loads; arguments and errors as `write_huggingface`."""
    weights, unknown = to_theirs(model_type(config), checkpoint.params, transposed)
    if unknown:
        raise UserError(
            f"{checkpoint.path} has {len(unknown)} parameters without a name in Hugging Face's "
            f"{model_type(config)}: {', '.join(sorted(unknown)[:20])}"
        )
    write_decoder_only_config(folder, config, common_type(weights))
    write_weights(folder, weights, max_shard_bytes)
    if checkpoint.vocabulary is not None:
        write_vocabulary(folder, checkpoint.vocabulary, checkpoint.extra_ids)
