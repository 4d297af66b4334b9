"""What is checked of a run's settings and of its first checkpoint before anything is done."""

from collections.abc import Sequence

from closedbook.checkpoints import Checkpoint
from closedbook.checkpoints.card import check_fits
from closedbook.errors import UserError
from closedbook.parallel import Partitioner
from closedbook.training.model import EncoderDecoderModel
from closedbook.training.settings import DatasetConfig, SaveCheckpointConfig, Trainer
from closedbook.vocabulary import Vocabulary


def check_periods(
    total: int | None, relative: int | None, save: SaveCheckpointConfig, evaluated: bool
) -> None:
    """Checks that the run has an end, and evaluations where the best state is to be kept.

    Raises:
        UserError: It has not.
    """
    if total is None and relative is None:
        raise UserError("how long to train is not given; set TRAIN_STEPS or TRAIN_STEPS_RELATIVE")
    if save.keep_best and not evaluated:
        raise UserError(
            "SaveCheckpointConfig.keep_best needs evaluations; set EVAL_PERIOD, and a data set to "
            "evaluate on"
        )


def check_metric(save: SaveCheckpointConfig, names: Sequence[str]) -> None:
    """Checks that some evaluation gives the metric by which the best state is kept.

    Args:
        save: Which metric that is, for example "natural_questions_open/em".
        names: What the names of the run's scores begin with, before the slash.

    Raises:
        UserError: None gives it.
    """
    given = (save.metric or "").partition("/")[0]
    if save.keep_best and given not in names:
        raise UserError(
            f"SaveCheckpointConfig.metric is {save.metric!r}, but the names of this run's scores "
            f"begin with {', '.join(f'{name}/' for name in names)}; set it to one of them"
        )


def check_batches(cfg: DatasetConfig, trainer: Trainer, partitioner: Partitioner) -> None:
    """Checks that a batch splits into microbatches, and each of them over the devices.

    Raises:
        UserError: It does not.
    """
    if cfg.batch_size % trainer.microbatches:
        raise UserError(
            f"Trainer.num_microbatches is {trainer.microbatches}, which does not divide "
            f"BATCH_SIZE {cfg.batch_size}"
        )
    rows = cfg.batch_size // trainer.microbatches
    partitioner.check_batch(rows, "BATCH_SIZE / num_microbatches")


def check_vocabulary_size(model: EncoderDecoderModel) -> None:
    """Checks that every id of the vocabulary has an embedding.

    Raises:
        UserError: There are more ids than rows.
    """
    ids, rows = model.vocabulary.vocab_size, model.config.vocab_size
    if ids > rows:
        raise UserError(
            f"the vocabulary {model.vocabulary.path} has {ids} ids, extra ids included, but the "
            f"model has {rows} embeddings; set T5Config.vocab_size to {-(-ids // 128) * 128}"
        )


def check_vocabulary(checkpoint: Checkpoint, model: EncoderDecoderModel) -> None:
    """Checks that a checkpoint was trained with the model's vocabulary, where it tells.

    Raises:
        UserError: It was not.
    """
    ours, card = model.vocabulary, checkpoint.card
    if card and (card.vocabulary_sha256, card.extra_ids) == (ours.sha256, ours.extra_ids):
        return
    if checkpoint.vocabulary is None:
        embedding = checkpoint.params["token_embedder/embedding"]
        rows = embedding.shape[0]
        check_fits(ours.vocab_size, rows, vocabulary=ours.path, embedding=embedding.place)
        return
    theirs = Vocabulary(checkpoint.vocabulary, checkpoint.extra_ids)
    # Other tools write the same pieces into files that differ, so ids are compared, not bytes.
    named = card.vocabulary_sha256 if card else theirs.sha256
    if named != theirs.sha256 or not theirs.same_ids(ours):
        raise UserError(
            f"the checkpoint {checkpoint.path} was trained with another vocabulary (sha256 "
            f"{named[:12]}..., {theirs.extra_ids} extra ids) than {ours.path} (sha256 "
            f"{ours.sha256[:12]}..., {ours.extra_ids}); set VOCABULARY_FILE to "
            f"'{checkpoint.vocabulary}'"
        )
