"""How a run begins: resumed from its own folder, restored from another checkpoint, or fresh."""

import dataclasses
import logging
import pathlib
import secrets
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from closedbook.checkpoints import (
    Checkpoint,
    CheckpointStore,
    Format,
    load_opt_state,
    load_params,
    open_checkpoint,
)
from closedbook.errors import UserError
from closedbook.models.parameters import Params
from closedbook.parallel import Partitioner
from closedbook.parallel.processes import of_first
from closedbook.parallel.programs_memory import check_arrays_fit
from closedbook.training import checks
from closedbook.training.assignment import taken
from closedbook.training.model import TransformerModel
from closedbook.training.optimizers.adafactor import AdafactorState
from closedbook.training.settings import RestoreCheckpointConfig, SaveCheckpointConfig
from closedbook.training.state import (
    TrainState,
    abstract_state,
    fresh_opt_state,
    fresh_state,
    laid_out,
    rounded,
)

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
        data: What the training data is, from `RunData.record`.
        resumed: Whether the run's own folder held a checkpoint.
        unscored: Whether that was saved before evaluations which did not end.
        dtype: The number types that the run has computed in so far; "" where nothing tells.
    """

    state: TrainState
    step: int
    seed: int
    position: dict[str, int] | None
    initial: str
    first_step: int
    data: dict[str, object]
    resumed: bool
    unscored: bool = False
    dtype: str = ""

    def computing_in(self, dtype: str) -> "Start":
        """The same with the number types of what follows; warns where they are others."""
        if self.dtype not in ("", dtype):
            _log.warning(
                "up to step %d this run computed in %s, from here on in %s: its numbers will not "
                "be those of one machine; name the former in the model's dtype to keep to it",
                self.step,
                self.dtype,
                dtype,
            )
        return dataclasses.replace(self, dtype=dtype)

    def last_step(
        self, total: int | None, relative: int | None, *, evaluated_first: bool = False
    ) -> int:
        """The last step of the run, which counts the steps of a restored checkpoint.

        Args:
            total: Steps in all.
            relative: Steps after the restored checkpoint; counts before `total`.
            evaluated_first: Whether the first state is evaluated, so that a run without a step
                does something.

        Raises:
            UserError: It lies before the first.
        """
        last = self.first_step + relative if relative else total
        assert last is not None  # checks.check_periods
        if last == self.step and (self.resumed or evaluated_first):
            _log.info("no step to train: the run is at step %d", last)
        elif last <= self.step:
            raise UserError(
                f"TRAIN_STEPS is {last}, but the run starts at step {self.step}; TRAIN_STEPS "
                "counts the steps of the restored checkpoint: make it larger, or set "
                "TRAIN_STEPS_RELATIVE"
            )
        return last

    def run_record(self, position: dict[str, int], *, evaluated: bool) -> dict[str, object]:
        """What a checkpoint keeps beside parameters and optimiser state.

        Args:
            position: Of the data.
            evaluated: Whether the state is about to be evaluated.
        """
        return {
            "evaluated": evaluated,
            "seed": self.seed,
            "position": position,
            "initial_checkpoint": self.initial,
            "first_step": self.first_step,
            "data": self.data,
            "dtype": self.dtype,
        }


def begin(
    model: TransformerModel,
    partitioner: Partitioner,
    store: CheckpointStore,
    folder: pathlib.Path,
    restore: RestoreCheckpointConfig | None,
    seed: int | None,
    data: dict[str, object],
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
    wanted = str((restore.path if restore else None) or "")
    check_arrays_fit(abstract_state(model, partitioner), "the state (parameters and optimiser)")
    step = store.latest_step()
    if step is not None:
        return _resumed(model, partitioner, store, folder, step, wanted, seed, data)
    # All processes must begin with the same parameters: they take the seed that the first drew.
    seed = of_first(secrets.randbits(31)) if seed is None else seed
    if restore is None or not wanted:
        return _random(model, partitioner, seed, data)
    return _restored(model, partitioner, restore, seed, data)


def _resumed(
    model: TransformerModel,
    partitioner: Partitioner,
    store: CheckpointStore,
    folder: pathlib.Path,
    step: int,
    initial: str,
    seed: int | None,
    data: dict[str, object],
) -> Start:
    """The state of the run's own newest checkpoint, that of a step."""
    newest = folder / f"checkpoint_{step}"
    checks.check_checkpoint(open_checkpoint(newest), model)
    abstract = abstract_state(model, partitioner)
    params, opt_state, run = store.restore(
        step, params=abstract.params, opt_state=abstract.opt_state
    )
    _check_same_run(newest, run, initial, seed, data)
    _log.info("resuming from %s", newest)
    if initial:
        _log.info("INITIAL_CHECKPOINT_PATH is not read again")
    return Start(
        state=_state(step, params, opt_state, partitioner, abstract),
        step=step,
        seed=run["seed"],
        position=run["position"],
        initial=initial,
        first_step=run["first_step"],
        data=data,
        resumed=True,
        unscored=bool(run.get("evaluated")) and not store.has_scores(step),
        dtype=run.get("dtype", ""),
    )


def _check_same_run(
    newest: pathlib.Path,
    run: Mapping[str, Any],
    initial: str,
    seed: int | None,
    data: Mapping[str, object],
) -> None:
    """Checks that MODEL_DIR's checkpoint is of the run that is asked for.

    Raises:
        UserError: It started from another checkpoint, with another seed, or has other data.
    """
    folder = newest.parent
    if run["initial_checkpoint"] != initial:
        raise UserError(
            f"MODEL_DIR {folder} holds {newest.name} of a run that started from "
            f"{run['initial_checkpoint'] or 'random parameters'}, but INITIAL_CHECKPOINT_PATH "
            f"is {initial or 'not set'}; give {_another(folder)}, or the old checkpoint to resume"
        )
    if seed is not None and seed != run["seed"]:
        raise UserError(
            f"MODEL_DIR {folder} holds a run with RANDOM_SEED {run['seed']}, but RANDOM_SEED "
            f"is {seed}; give {_another(folder)}, or the old seed to resume"
        )
    changed = [
        f"{name} was {run['data'].get(name)}, is {data.get(name)}"
        for name in run["data"] | data
        if run["data"].get(name) != data.get(name)
    ]
    if changed:
        raise UserError(
            f"MODEL_DIR {folder} holds a run with other training data: {'; '.join(changed)}; "
            f"give {_another(folder)} (with INITIAL_CHECKPOINT_PATH to go on from its parameters)"
        )


def _another(folder: pathlib.Path) -> str:
    """The binding that gives a run a folder of its own, beside one that another run has."""
    number = 2
    while (free := folder.with_name(f"{folder.name}_{number}")).exists():
        number += 1
    here = pathlib.Path.cwd()
    shown = free.relative_to(here) if free.is_relative_to(here) else free
    return f"--gin.MODEL_DIR=\"'{shown}'\""


def _random(
    model: TransformerModel, partitioner: Partitioner, seed: int, data: dict[str, object]
) -> Start:
    """Random parameters at step 0."""
    _log.info("starting from random parameters, seed %d", seed)
    return Start(
        state=fresh_state(model, partitioner, seed),
        step=0,
        seed=seed,
        position=None,
        initial="",
        first_step=0,
        data=data,
        resumed=False,
    )


def _restored(
    model: TransformerModel,
    partitioner: Partitioner,
    restore: RestoreCheckpointConfig,
    seed: int,
    data: dict[str, object],
) -> Start:
    """The state of another run's or tool's checkpoint, whose steps count on."""
    path = str(restore.path)
    checkpoint = open_checkpoint(path)
    checks.check_checkpoint(checkpoint, model)
    step = checkpoint.step or 0
    abstract = abstract_state(model, partitioner)
    checkpoint = taken(checkpoint, abstract, restore, lambda: fresh_state(model, partitioner, seed))
    params = rounded(load_params(checkpoint, abstract.params), restore.dtype)
    what = f"{path} ({checkpoint.format}, step {checkpoint.step})"
    why = _why_reset(checkpoint, restore, abstract.opt_state)
    if not why:
        opt_state = load_opt_state(checkpoint, abstract.opt_state)
        _log.info("starting from %s, optimiser state restored", what)
    else:
        opt_state = fresh_opt_state(model, params, abstract.opt_state)
        _log.info("starting from %s, optimiser state reset (%s)", what, why)
    if model.loss_normalizing_factor is None and not why:
        _log.warning(
            "LOSS_NORMALIZING_FACTOR is None on a restored optimiser state: accumulators and new "
            "gradients may be of different sizes; T5 and T5.1.1 were pretrained with 233472"
        )
    return Start(
        state=_state(step, params, opt_state, partitioner, abstract),
        step=step,
        seed=seed,
        position=None,
        initial=path,
        first_step=step,
        data=data,
        resumed=False,
    )


def _why_reset(
    checkpoint: Checkpoint, restore: RestoreCheckpointConfig, wanted: optax.OptState
) -> str:
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


def open_store(folder: pathlib.Path, save: SaveCheckpointConfig) -> CheckpointStore:
    """The run's own checkpoints, kept as the settings say."""
    return CheckpointStore(
        folder,
        keep=save.keep,
        keep_best=save.keep_best,
        metric=save.metric,
        best_mode=save.best_mode,
        asynchronous=save.asynchronous,
    )


def _state(
    step: int,
    params: Params,
    opt_state: optax.OptState,
    partitioner: Partitioner,
    abstract: TrainState,
) -> TrainState:
    placed = jax.device_put(jnp.int32(step), partitioner.sharding())
    return laid_out(TrainState(placed, params, opt_state), abstract)
