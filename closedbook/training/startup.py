"""How a run begins: resumed from its own folder, restored from another checkpoint, or fresh."""

import dataclasses
import json
import logging
import pathlib
import secrets
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from closedbook.checkpoints import (
    Checkpoint,
    CheckpointStore,
    Format,
    load_opt_state,
    load_params,
    open_checkpoint,
)
from closedbook.checkpoints.card import check_fits
from closedbook.errors import UserError
from closedbook.parallel import Partitioner
from closedbook.training.adafactor import AdafactorState
from closedbook.training.model import EncoderDecoderModel
from closedbook.training.settings import RestoreCheckpointConfig
from closedbook.training.state import TrainState, abstract_state, fresh_opt_state, fresh_state
from closedbook.vocabulary.sentencepiece import Vocabulary

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Start:
    """Where a run begins.

    Attributes:
        state: The first state.
        step: Steps done.
        seed: Of this run; drawn once if the user gave none, and kept over restarts.
        position: Of the data, or None for its beginning.
        initial: The checkpoint that the run once started from, or "".
        first_step: That checkpoint's step, or 0.
        data: What the training data is.
        resumed: Whether the run's own folder held a checkpoint.
    """

    state: TrainState
    step: int
    seed: int
    position: dict[str, int] | None
    initial: str
    first_step: int
    data: dict[str, Any]
    resumed: bool

    def run_record(self, position: dict[str, int]) -> dict[str, Any]:
        """What a checkpoint keeps beside parameters and optimiser state."""
        return {
            "seed": self.seed,
            "position": position,
            "initial_checkpoint": self.initial,
            "first_step": self.first_step,
            "data": self.data,
        }


def begin(
    model: EncoderDecoderModel,
    partitioner: Partitioner,
    store: CheckpointStore,
    folder: pathlib.Path,
    restore: RestoreCheckpointConfig | None,
    seed: int | None,
    data: dict[str, Any],
) -> Start:
    """The first state of a run.

    A checkpoint in MODEL_DIR wins over INITIAL_CHECKPOINT_PATH, as in T5X, but never silently:
    a run that once started from another checkpoint is not continued.

    Args:
        model: What is trained.
        partitioner: How arrays lie on the devices.
        store: Of the run's own checkpoints.
        folder: MODEL_DIR.
        restore: What a fresh run starts from.
        seed: RANDOM_SEED.
        data: What the training data is; a resumed run must have the same.

    Raises:
        UserError: The checkpoint does not fit the model or its vocabulary, or MODEL_DIR holds a
            run that started from another checkpoint or has other data.
    """
    path = restore.path if restore else None
    wanted = str(path or "")
    step = store.latest_step()
    abstract = abstract_state(model, partitioner)
    if step is not None:
        check_vocabulary(open_checkpoint(folder / f"checkpoint_{step}"), model)
        params, opt_state, run = store.restore(
            step, params=abstract.params, opt_state=abstract.opt_state
        )
        if run["initial_checkpoint"] != wanted:
            raise UserError(
                f"MODEL_DIR {folder} holds checkpoint_{step} of a run that started from "
                f"{run['initial_checkpoint'] or 'random parameters'}, but INITIAL_CHECKPOINT_PATH "
                f"is {wanted or 'not set'}; give a new MODEL_DIR, or the old checkpoint to resume"
            )
        if seed is not None and seed != run["seed"]:
            raise UserError(
                f"MODEL_DIR {folder} holds a run with RANDOM_SEED {run['seed']}, but RANDOM_SEED "
                f"is {seed}; give a new MODEL_DIR, or the old seed to resume"
            )
        changed = [
            f"{name} was {run['data'].get(name)}, is {value}"
            for name, value in data.items()
            if run["data"].get(name) != value
        ]
        if changed:
            raise UserError(
                f"MODEL_DIR {folder} holds a run with other training data: {'; '.join(changed)}; "
                "give a new MODEL_DIR (with INITIAL_CHECKPOINT_PATH to go on from its parameters)"
            )
        _log.info("resuming from %s/checkpoint_%d", folder, step)
        if wanted:
            _log.info("INITIAL_CHECKPOINT_PATH is not read again")
        state = TrainState(abstract.step, params, opt_state)
        return Start(
            state=_at(state, step, partitioner),
            step=step,
            seed=run["seed"],
            position=run["position"],
            initial=wanted,
            first_step=run["first_step"],
            data=data,
            resumed=True,
        )
    seed = _drawn_seed() if seed is None else seed
    if not path or restore is None:
        _log.info("starting from random parameters, seed %d", seed)
        state = fresh_state(model, partitioner, seed)
        return Start(
            state=state,
            step=0,
            seed=seed,
            position=None,
            initial="",
            first_step=0,
            data=data,
            resumed=False,
        )

    checkpoint = open_checkpoint(path)
    check_vocabulary(checkpoint, model)
    step = checkpoint.step or 0
    state = TrainState(abstract.step, load_params(checkpoint, abstract.params), abstract.opt_state)
    what = f"{wanted} ({checkpoint.format}, step {checkpoint.step})"
    why = _why_reset(checkpoint, restore, abstract.opt_state)
    if not why:
        opt_state = load_opt_state(checkpoint, abstract.opt_state)
        _log.info("starting from %s, optimiser state restored", what)
    else:
        opt_state = fresh_opt_state(model, state)
        _log.info("starting from %s, optimiser state reset (%s)", what, why)
    if model.loss_normalizing_factor is None and not why:
        _log.warning(
            "LOSS_NORMALIZING_FACTOR is None on a restored optimiser state: accumulators and new "
            "gradients may be of different sizes; T5 and T5.1.1 were pretrained with 233472"
        )
    state = _at(TrainState(abstract.step, state.params, opt_state), step, partitioner)
    return Start(
        state=state,
        step=step,
        seed=seed,
        position=None,
        initial=wanted,
        first_step=step,
        data=data,
        resumed=False,
    )


def _why_reset(checkpoint: Checkpoint, restore: RestoreCheckpointConfig, wanted: Any) -> str:
    """Why the optimiser state is not restored, or ""."""
    if restore.optimizer == "reset":
        return "as asked"
    if checkpoint.slots is None and not checkpoint.other_optimizer:
        return "the checkpoint has none"
    adafactor = isinstance(wanted, AdafactorState)
    if checkpoint.slots is not None and not adafactor:
        raise UserError(
            f"{checkpoint.path} holds an Adafactor state, the run's optimiser is another; set "
            "RestoreCheckpointConfig.optimizer = 'reset' to begin with an empty state"
        )
    if checkpoint.slots is None and (adafactor or checkpoint.format != Format.CLOSEDBOOK):
        raise UserError(
            f"{checkpoint.path} holds the state of another optimiser, "
            f"{checkpoint.other_optimizer}; set RestoreCheckpointConfig.optimizer = 'reset' to "
            "begin with an empty state"
        )
    return ""


def _drawn_seed() -> int:
    """A seed from the operating system, the same in all processes."""
    seed = secrets.randbits(31)
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        seed = int(multihost_utils.broadcast_one_to_all(np.int32(seed)))
    return seed


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


def describe(model: EncoderDecoderModel, abstract: TrainState) -> str:
    """`model-info.txt`: every parameter with shape and sharding, and the totals."""
    lines, total = [], 0
    for path, x in jax.tree_util.tree_leaves_with_path(abstract.params):
        name = "/".join(str(key.key) for key in path)
        total += int(np.prod(x.shape))
        lines.append(f"{name:80s} {x.shape!s:20s} {x.sharding.spec}")
    config = json.dumps(dataclasses.asdict(model.config), indent=2)
    return "\n".join([*lines, "", f"Total number of parameters: {total:,}", "", config, ""])


def _at(state: TrainState, step: int, partitioner: Partitioner) -> TrainState:
    return state.replace(step=jax.device_put(jnp.int32(step), partitioner.sharding()))
