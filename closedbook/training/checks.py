"""What is checked of a run's settings and of its first checkpoint before anything is done."""

from collections.abc import Sequence

from closedbook.checkpoints import Checkpoint
from closedbook.checkpoints.card import check_fits
from closedbook.checkpoints.vocabularies import open_vocabulary
from closedbook.errors import UserError, listed, unknown_name
from closedbook.models.families import differences
from closedbook.parallel import Partitioner
from closedbook.training.model import TransformerModel
from closedbook.training.settings import (
    CheckpointConfig,
    DatasetConfig,
    RestoreCheckpointConfig,
    SaveCheckpointConfig,
    Trainer,
    check_least,
)

_TRAIN = "train_script.train"
INFER_MODES = ("predict", "score", "predict_with_aux")


def check_run(
    *,
    model: TransformerModel,
    train_dataset_cfg: DatasetConfig,
    checkpoint_cfg: CheckpointConfig,
    total_steps: int | None = None,
    relative_steps: int | None = None,
    train_eval_dataset_cfg: DatasetConfig | None = None,
    infer_eval_dataset_cfg: DatasetConfig | None = None,
    trainer: Trainer | None = None,
    eval_period: int | None = 1000,
    eval_steps: int = 20,
    stats_period: int | None = None,
    **others: object,
) -> None:
    """Checks what the arguments of `train` tell alone, so that a dry run can do it.

    Args:
        model: As there, like all that follow.
        train_dataset_cfg: What to train on.
        checkpoint_cfg: What to save, and when.
        total_steps: Of the run.
        relative_steps: Of the run, without those of the checkpoint that it starts from.
        train_eval_dataset_cfg: Of the held-out loss.
        infer_eval_dataset_cfg: Of the questions.
        trainer: Its microbatches.
        eval_period: Steps; 0 or None for never.
        eval_steps: Batches of the held-out loss.
        stats_period: Steps; 0 or None for never.
        **others: Not looked at.

    Raises:
        UserError: Several checkpoints are to start from, a number is negative, the run has no end,
            the best state is to be kept and nothing is evaluated, microbatches do not divide a
            batch, or a row is longer than the model's positions.
    """
    if checkpoint_cfg.restore and checkpoint_cfg.restore.mode == "all":
        raise UserError(
            "RestoreCheckpointConfig.mode is 'all', which evaluates every checkpoint; training "
            "starts from one: set 'specific' or 'latest'"
        )
    periods = {"eval_period": eval_period, "eval_steps": eval_steps, "stats_period": stats_period}
    for name, steps in periods.items():
        if steps is not None and steps < 0:
            raise UserError(f"{_TRAIN}.{name} is {steps}; give 1 or more, or 0 for none")
    check_least(0, _TRAIN, total_steps=total_steps, relative_steps=relative_steps)
    if total_steps is None and not relative_steps:
        raise UserError(
            f"how long to train is not given: {_TRAIN}.total_steps is None, and relative_steps "
            f"{relative_steps}; set TRAIN_STEPS or TRAIN_STEPS_RELATIVE"
        )
    evaluated = eval_period and (train_eval_dataset_cfg or infer_eval_dataset_cfg)
    if checkpoint_cfg.save and checkpoint_cfg.save.keep_best and not evaluated:
        raise UserError(
            "SaveCheckpointConfig.keep_best needs evaluations; set EVAL_PERIOD, and a data set to "
            "evaluate on"
        )
    parts = trainer.microbatches if trainer else 1
    if train_dataset_cfg.batch_size % parts:
        raise UserError(
            f"Trainer.num_microbatches is {parts}, which does not divide BATCH_SIZE "
            f"{train_dataset_cfg.batch_size}"
        )
    check_positions(model, train_dataset_cfg)


def check_trained(restore: RestoreCheckpointConfig) -> None:
    """Checks that evaluation or inference takes all parameters from the checkpoint.

    Raises:
        UserError: Some are to begin at random.
    """
    if restore.fallback_to_scratch:
        raise UserError(
            "RestoreCheckpointConfig.fallback_to_scratch is True, but evaluation and inference "
            "answer with a checkpoint's parameters alone; leave it out"
        )


def check_shards(
    *,
    restore_checkpoint_cfg: RestoreCheckpointConfig,
    mode: str = "predict",
    shard_id: int = 0,
    num_shards: int = 1,
    checkpoint_period: int = 100,
    **others: object,
) -> None:
    """Checks what the arguments of `infer` tell alone, so that a dry run can do it.

    Args:
        restore_checkpoint_cfg: As there, like all that follow.
        mode: What is written.
        shard_id: Which part of the questions.
        num_shards: How many parts there are.
        checkpoint_period: Batches of a chunk.
        **others: Not looked at.

    Raises:
        UserError: The mode is unknown, a number has no meaning, or the answers are not to be of
            one checkpoint alone.
    """
    check_trained(restore_checkpoint_cfg)
    if restore_checkpoint_cfg.mode == "all":
        raise UserError(
            "RestoreCheckpointConfig.mode is 'all', but one checkpoint's answers are written; set "
            "'specific' or 'latest', or run t5x eval"
        )
    if mode not in INFER_MODES:
        raise unknown_name("infer mode", mode, INFER_MODES)
    if not 0 <= shard_id < num_shards:
        raise UserError(
            f"infer.shard_id is {shard_id} and infer.num_shards {num_shards}; give a shard from 0 "
            f"to num_shards - 1"
        )
    check_least(1, "infer_script.infer", checkpoint_period=checkpoint_period)


def check_metric(save: SaveCheckpointConfig, names: Sequence[str]) -> None:
    """Checks that some evaluation gives the metric by which the best state is kept.

    Args:
        save: Which metric that is, for example "natural_questions_open/em".
        names: What the names of the run's scores begin with, before the slash.

    Raises:
        UserError: None gives it.
    """
    given = (save.metric or "").partition("/")[0]
    if save.keep_best and not names:
        raise UserError(
            "SaveCheckpointConfig.keep_best needs evaluations, and no task has what they need (the "
            "log says what); give another data set to evaluate on"
        )
    if save.keep_best and given not in names:
        raise UserError(
            f"SaveCheckpointConfig.metric is {save.metric!r}, but the names of this run's scores "
            f"begin with {', '.join(f'{name}/' for name in names)}; set it to one of them"
        )


def check_batches(cfg: DatasetConfig, trainer: Trainer, partitioner: Partitioner) -> None:
    """Checks that a microbatch splits over the devices.

    Raises:
        UserError: It does not.
    """
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
