"""What gin files may bind, under the names that T5X's files use.

The real constructors are registered; there is no second class beside any of them.
"""

import functools
from collections.abc import Callable, Mapping, Sequence

import gin
import optax

from closedbook.checkpoints.vocabularies import open_vocabulary
from closedbook.cli.gin_files.numbers import checking
from closedbook.inference.settings import DecodeSettings
from closedbook.models import T5, DecoderOnly, DecoderOnlyConfig, T5Config, size
from closedbook.parallel import Partitioner, standard_logical_axis_rules
from closedbook.tasks import atlas
from closedbook.tasks.mixtures import mixture
from closedbook.tasks.own_files import qa_from_files
from closedbook.tasks.own_texts import language_model_from_files
from closedbook.tasks.spans.own_sentences import span_corruption_from_files, ssm_from_files
from closedbook.training import decoding, jobs, optimizers, settings
from closedbook.training.ahead.plan import precompile
from closedbook.training.loop import train
from closedbook.training.model import DecoderOnlyModel, EncoderDecoderModel
from closedbook.training.optimizers.adafactor import adafactor, standard_logical_factor_rules
from closedbook.training.schedules import create_learning_rate_scheduler
from closedbook.vocabulary import Vocabulary
from closedbook.vocabulary.protocol import AnyVocabulary
from closedbook.vocabulary.text_bytes import ByteVocabulary


def _sentence_piece_vocabulary(sentencepiece_model_file: str, extra_ids: int = 0) -> Vocabulary:
    """A vocabulary with as many extra ids as SeqIO's of this name."""
    return Vocabulary(sentencepiece_model_file, extra_ids)


def _encoder_decoder_model(
    *,
    module: T5,
    vocabulary: AnyVocabulary,
    optimizer: optax.GradientTransformation,
    decode_fn: Callable[..., decoding.Decoding] | None = None,
    z_loss: float = 0.0,
    label_smoothing: float = 0.0,
    loss_normalizing_factor: float | str | None = None,
) -> EncoderDecoderModel:
    """An `EncoderDecoderModel` with T5X's defaults, decoding among them."""
    options = gin.get_configurable("models.EncoderDecoderModel.predict_batch_with_aux")()
    decode_fn = decode_fn or gin.get_configurable("decoding.beam_search")
    return EncoderDecoderModel(
        module=module,
        vocabulary=vocabulary,
        optimizer=optimizer,
        decoding=decode_fn(**options),
        z_loss=z_loss,
        label_smoothing=label_smoothing,
        loss_normalizing_factor=loss_normalizing_factor,
    )


def _predict_batch_with_aux(*, num_decodes: int = 1) -> dict[str, int]:
    """How many hypotheses a model keeps."""
    return {"num_decodes": num_decodes}


def _atlas_vocabulary() -> Vocabulary:
    """The SentencePiece model that ships with the atlas."""
    return Vocabulary(_atlas_vocabulary_file())


def _atlas_vocabulary_file() -> str:
    """Its path."""
    return str(atlas.VOCABULARY)


_TABLE = (
    ("t5x.network", "T5Config", T5Config),
    ("t5x.network", "Transformer", T5),
    ("t5x.network", "size", size),
    ("t5x.network", "DecoderOnlyConfig", DecoderOnlyConfig),
    ("t5x.network", "DecoderOnly", DecoderOnly),
    ("t5x.models", "EncoderDecoderModel", _encoder_decoder_model),
    ("t5x.models.EncoderDecoderModel", "predict_batch_with_aux", _predict_batch_with_aux),
    ("t5x.models", "DecoderOnlyModel", DecoderOnlyModel),
    ("t5x.adafactor", "Adafactor", adafactor),
    ("t5x.adafactor", "standard_logical_factor_rules", standard_logical_factor_rules),
    ("t5x.optimizers", "chain", optimizers.chain),
    *(("optax", name, constructor) for name, constructor in optimizers.BY_NAME.items()),
    *(("optax", name, constructor) for name, constructor in optimizers.CLIPPING.items()),
    *(("t5x.optimizers", name, constructor) for name, constructor in optimizers.BY_NAME.items()),
    *(("optax", name, getattr(optax, name)) for name in optimizers.SCHEDULES),
    ("t5x.utils", "DatasetConfig", settings.DatasetConfig),
    ("t5x.utils", "CheckpointConfig", settings.CheckpointConfig),
    ("t5x.utils", "SaveCheckpointConfig", settings.SaveCheckpointConfig),
    ("t5x.utils", "RestoreCheckpointConfig", settings.RestoreCheckpointConfig),
    ("t5x.utils", "create_learning_rate_scheduler", create_learning_rate_scheduler),
    ("t5x.trainer", "Trainer", settings.Trainer),
    ("t5x.partitioning", "PjitPartitioner", Partitioner),
    ("t5x.partitioning", "standard_logical_axis_rules", standard_logical_axis_rules),
    ("t5x.decoding", "DecodeSettings", DecodeSettings),
    ("t5x.decoding", "beam_search", decoding.beam_search),
    ("t5x.decoding", "greedy", decoding.greedy),
    ("t5x.decoding", "temperature_sample", decoding.temperature_sample),
    ("seqio", "SentencePieceVocabulary", _sentence_piece_vocabulary),
    ("seqio", "ByteVocabulary", ByteVocabulary),
    ("seqio", "Evaluator", settings.Evaluator),
    ("closedbook.vocabulary", "open_vocabulary", open_vocabulary),
    ("closedbook.tasks", "qa_from_files", qa_from_files),
    ("closedbook.tasks", "language_model_from_files", language_model_from_files),
    ("closedbook.tasks", "ssm_from_files", ssm_from_files),
    ("closedbook.tasks", "span_corruption_from_files", span_corruption_from_files),
    ("closedbook.tasks", "mixture", mixture),
    ("closedbook.tasks", "atlas_vocabulary", _atlas_vocabulary),
    ("closedbook.tasks", "atlas_vocabulary_file", _atlas_vocabulary_file),
    ("train_script", "train", train),
    ("train_script", "precompile", precompile),
    ("eval_script", "evaluate", jobs.evaluate),
    ("infer_script", "infer", jobs.infer),
)

# Called once a file is read: their bindings make tasks of a user's own files. Mixtures come last.
TASK_MAKERS = (
    "qa_from_files",
    "language_model_from_files",
    "ssm_from_files",
    "span_corruption_from_files",
    "mixture",
)

MODES: Mapping[str, str] = {
    "train": "train_script.train",
    "precompile": "train_script.precompile",
    "eval": "eval_script.evaluate",
    "infer": "infer_script.infer",
}


@functools.cache
def register() -> Sequence[str]:
    """Registers everything once; returns the names."""
    names = []
    for module, name, constructor in _TABLE:
        full = f"{module}.{name}".removeprefix("t5x.")
        gin.external_configurable(checking(constructor, full), name=name, module=module)
        names.append(full)
    return names
