"""What is checked of a run's settings and of its first checkpoint before anything is done."""

from collections.abc import Sequence

from closedbook.checkpoints import Checkpoint
from closedbook.checkpoints.card import check_fits
from closedbook.checkpoints.vocabularies import open_vocabulary
from closedbook.errors import UserError, listed
from closedbook.models.families import differences
from closedbook.parallel import Partitioner
from closedbook.training.model import TransformerModel
from closedbook.training.settings import DatasetConfig, SaveCheckpointConfig, Trainer

_LARGEST_SEED = 2**31 - 1  # what processes tell each other has 32 bits


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


def check_numbers(
    total_steps: int | None = None,
    relative_steps: int | None = None,
    stats_period: int | None = None,
    eval_steps: int | None = None,
    random_seed: int | None = None,
) -> None:
    """Checks a run's plain numbers; None passes.

    Raises:
        UserError: Some are out of their range; all are named.
    """
    ranges = {
        "TRAIN_STEPS": (total_steps, 1, "1 or more"),
        "TRAIN_STEPS_RELATIVE": (relative_steps, 1, "1 or more"),
        "STATS_PERIOD": (stats_period, 0, "1 or more, or 0 for no lines between evaluations"),
        "EVAL_STEPS": (eval_steps, 1, "1 or more"),
        "RANDOM_SEED": (random_seed, 0, f"a number from 0 to {_LARGEST_SEED}"),
    }
    wrong = [
        f"{name} is {value}; give {remedy}"
        for name, (value, least, remedy) in ranges.items()
        if value is not None and value < least
    ]
    if random_seed is not None and random_seed > _LARGEST_SEED:
        wrong.append(f"RANDOM_SEED is {random_seed}; give {ranges['RANDOM_SEED'][2]}")
    if wrong:
        raise UserError("; ".join(wrong))


def check_microbatches(cfg: DatasetConfig, trainer: Trainer) -> None:
    """Checks that a batch splits into microbatches.

    Raises:
        UserError: It does not.
    """
    if cfg.batch_size % trainer.microbatches:
        divisors = [n for n in range(1, cfg.batch_size + 1) if cfg.batch_size % n == 0]
        raise UserError(
            f"Trainer.num_microbatches is {trainer.microbatches}, which does not divide "
            f"BATCH_SIZE {cfg.batch_size}; give one of {', '.join(map(str, divisors))}"
        )


def check_batches(cfg: DatasetConfig, trainer: Trainer, partitioner: Partitioner) -> None:
    """Checks that a batch splits into microbatches, and each of them over the devices.

    Raises:
        UserError: It does not.
    """
    check_microbatches(cfg, trainer)
    rows = cfg.batch_size // trainer.microbatches
    partitioner.check_batch(rows, "BATCH_SIZE / num_microbatches")


def check_vocabulary_ids(model: TransformerModel) -> None:
    """Checks that every id of the vocabulary has an embedding, and ends and padding are the same.

    Raises:
        UserError: There are more ids than rows, or network and vocabulary end texts differently.
    """
    ids, rows = model.vocabulary.vocab_size, model.config.vocab_size
    kind = type(model.config).__name__
    if ids > rows:
        raise UserError(
            f"the vocabulary {model.vocabulary.path} has {ids} ids, extra ids included, but the "
            f"model has {rows} embeddings; set {kind}.vocab_size to {-(-ids // 128) * 128}"
        )
    if model.module.eos_id != model.vocabulary.eos_id:
        raise UserError(
            f"the vocabulary {model.vocabulary.path} ends a text with id "
            f"{model.vocabulary.eos_id}, the model with {model.module.eos_id}; set {kind}.eos_id, "
            "and bos_id where they are one, to the vocabulary's"
        )
    if model.module.pad_id not in (-1, model.vocabulary.pad_id):
        raise UserError(
            f"the model takes id {model.module.pad_id} for padding, which is a piece of the "
            f"vocabulary {model.vocabulary.path}; set {kind}.pad_id to -1"
        )


def check_positions(model: TransformerModel, cfg: DatasetConfig) -> None:
    """Checks that the model has a position for every token of a row.

    Raises:
        UserError: It has not.
    """
    most = model.config.most_positions(after=1)
    longest = max(cfg.lengths_of(model.converter.features).values())
    if most is not None and longest > most:
        raise UserError(
            f"TASK_FEATURE_LENGTHS is {dict(cfg.task_feature_lengths or {})}, but the model has "
            f"{most} positions; give a smaller length, or set "
            f"{type(model.config).__name__}.max_positions"
        )


def check_checkpoint(checkpoint: Checkpoint, model: TransformerModel) -> None:
    """Checks that a checkpoint is of the model and of its vocabulary, where it tells.

    Raises:
        UserError: It is not; of the model's settings all that differ are named, with both values.
    """
    check_architecture(checkpoint, model)
    check_vocabulary(checkpoint, model)


def check_architecture(checkpoint: Checkpoint, model: TransformerModel) -> None:
    """Checks the settings of a model against those that a checkpoint comes with.

    Those are `config.json` of Hugging Face, or `model.json` of closedbook. Where there is
    neither, shapes alone are compared, when parameters are loaded.

    Raises:
        UserError: Some differ; all are named, with both values.
    """
    if checkpoint.config is None:
        return
    kind = type(model.config).__name__
    lines = [
        f"  {kind}.{name} is {ours!r}, the checkpoint's is {theirs!r}"
        for name, (ours, theirs) in differences(model.config, checkpoint.config).items()
    ]
    if lines:
        raise UserError(
            f"the checkpoint {checkpoint.path} is of another model than the gin file's; set what "
            "differs to the checkpoint's values, or give another checkpoint:\n" + listed(lines)
        )


def check_vocabulary(checkpoint: Checkpoint, model: TransformerModel) -> None:
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
    theirs = open_vocabulary(checkpoint.vocabulary, checkpoint.extra_ids)
    # Other tools write the same pieces into files that differ, so ids are compared, not bytes.
    named = card.vocabulary_sha256 if card else theirs.sha256
    if named != theirs.sha256 or not theirs.same_ids(ours):
        raise UserError(
            f"the checkpoint {checkpoint.path} was trained with another vocabulary (sha256 "
            f"{named[:12]}..., {theirs.extra_ids} extra ids) than {ours.path} (sha256 "
            f"{ours.sha256[:12]}..., {ours.extra_ids}); set VOCABULARY_FILE to "
            f"'{checkpoint.vocabulary}'"
        )
