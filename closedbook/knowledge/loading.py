"""A trained model by its path alone: parameters, vocabulary, habits."""

import dataclasses
import logging
import math
import pathlib

import jax

from closedbook.checkpoints import (
    Checkpoint,
    ModelCard,
    load_params,
    open_checkpoint,
    recognise,
)
from closedbook.checkpoints.architecture import parameter_shapes
from closedbook.checkpoints.card import GIVE_VOCABULARY, check_fits
from closedbook.checkpoints.ctranslate2_folders import check_held
from closedbook.checkpoints.tensors import nest
from closedbook.checkpoints.vocabularies import open_vocabulary
from closedbook.errors import UserError
from closedbook.inference.settings import ENGINES, check_engine
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.memory import check_size
from closedbook.vocabulary.protocol import AnyVocabulary

_log = logging.getLogger(__name__)
DEFAULT_MODEL = "closedbook://atlas_qa"  # the packaged model that answers questions


def load_model(
    path: str | pathlib.Path = DEFAULT_MODEL,
    *,
    vocabulary: str | pathlib.Path | None = None,
    extra_ids: int | None = None,
    prefix: str | None = None,
    engine: str = "jax",
) -> LoadedModel:
    """Loads a T5 of any format, a model that `t5x train` wrote, or a packaged one.

    GPT-2 and Llama are loaded from Hugging Face's folders, GGUF files and closedbook's own.

    Args:
        path: A folder or file, "gs://...", "hf://organisation/name" or "closedbook://NAME"; see
            `closedbook.checkpoints.open_checkpoint`.
        vocabulary: A SentencePiece model, a tokenizer.json or its folder, or "bytes", for
            checkpoints that come without one.
        extra_ids: Sentinels after the pieces of that file; 100 if None, and none after bytes.
        prefix: Text before each question; None for what the model was trained with, where its
            `model.json` or the name of a published model tells.
        engine: What answers: "jax", or "ctranslate2" or "ctranslate2-int8" on the CPU, with weights
            of 32 bits or of 8.

    Raises:
        UserError: There is no such model, its vocabulary is missing or another than the card's,
            or its parameters are not those of a model that closedbook knows, or that the engine
            can hold; or the engine is unknown or not installed.
    """
    check_engine(engine)
    checkpoint = open_checkpoint(path)
    config = recognise(checkpoint)
    if ENGINES[engine]:
        check_held(config)
    words = _vocabulary(checkpoint, vocabulary, extra_ids)
    check_fits(
        words.vocab_size,
        config.vocab_size,
        vocabulary=words.path,
        embedding=checkpoint.params["token_embedder/embedding"].place,
        known=vocabulary is None and checkpoint.names_vocabulary,
    )
    card = checkpoint.card or ModelCard(
        config=config, vocabulary_sha256=words.sha256, extra_ids=words.extra_ids
    )
    if prefix is None and checkpoint.prefix and not checkpoint.card:
        _log.info(
            "questions get the prefix %r, as the name of the model says; --prefix sets another",
            checkpoint.prefix,
        )
    prefix = checkpoint.prefix if prefix is None else prefix
    card = dataclasses.replace(card, prefix=prefix or "")
    config = dataclasses.replace(config, dropout_rate=0.0, remat_policy="none")
    if jax.default_backend() == "cpu":  # which has to emulate bfloat16 and is slower with it
        config = dataclasses.replace(config, dtype="float32")
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    # By arithmetic: tracing the network for them takes longer than reading a small model.
    dtype = config.precision.parameters
    wanted = nest(
        {
            name: jax.ShapeDtypeStruct(shape, dtype, sharding=device)
            for name, shape in parameter_shapes(config).items()
        }
    )
    sizes = (math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(wanted))
    check_size(f"the model {checkpoint.path}", sum(sizes))
    params = load_params(checkpoint, wanted)
    return LoadedModel(
        config=config,
        params=params,
        vocabulary=words,
        card=card,
        step=checkpoint.step or 0,
        engine=engine,
    )


def _vocabulary(
    checkpoint: Checkpoint, given: str | pathlib.Path | None, extra_ids: int | None
) -> AnyVocabulary:
    if given is not None:
        path = given if "://" in str(given) else pathlib.Path(given).expanduser()
        return open_vocabulary(path, extra_ids)
    if extra_ids is not None:
        raise UserError("extra ids belong to a vocabulary; give --vocabulary FILE with them")
    if checkpoint.vocabulary is None:
        raise UserError(f"{checkpoint.path} comes without a vocabulary; {GIVE_VOCABULARY}")
    vocabulary = open_vocabulary(checkpoint.vocabulary, checkpoint.extra_ids)
    card = checkpoint.card
    if card and vocabulary.sha256 != card.vocabulary_sha256:
        raise UserError(
            f"{checkpoint.vocabulary} is not the vocabulary that model.json names (sha256 "
            f"{card.vocabulary_sha256[:12]}...); restore the file of the training"
        )
    return vocabulary
