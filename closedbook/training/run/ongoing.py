"""What stays the same through a run: what is due when, how a state is saved and evaluated."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from closedbook.checkpoints import CheckpointStore
from closedbook.errors import UserError
from closedbook.models.parameters import Params
from closedbook.parallel import Partitioner
from closedbook.training.evaluators import Evaluation, Every, evaluate
from closedbook.training.run.lock import AnyLock
from closedbook.training.settings import SaveCheckpointConfig
from closedbook.training.startup import Start
from closedbook.training.state import TrainState, converted


@dataclasses.dataclass(kw_only=True)
class Ongoing:
    """What stays the same through the loop."""

    folder: pathlib.Path
    start: Start
    store: CheckpointStore
    partitioner: Partitioner
    evaluations: Sequence[Evaluation]
    total: int
    saving: SaveCheckpointConfig
    logs: Every
    flops: int  # of a step
    tokens: Callable[[Mapping[str, np.ndarray]], int]  # of a batch, without padding
    evaluated_first: bool  # whether the state before the first step is evaluated too
    lock: AnyLock  # on the folder

    def due(self, step: int) -> tuple[bool, list[Evaluation], bool]:
        """Whether to save after a step, which evaluations to make, and whether to log."""
        evaluations = [each for each in self.evaluations if each.due(step)]
        regular = Every(self.saving.period or 0, self.total).due(step)
        besides = step in (self.saving.checkpoint_steps or ()) or step == self.total
        evaluated = self.saving.keep_best is not None and bool(evaluations)
        save = regular or besides or evaluated
        return save, evaluations, self.logs.due(step) or save or bool(evaluations)

    def save(
        self,
        state: TrainState,
        position: dict[str, int],
        *,
        evaluated: bool = False,
        passing: bool = False,
    ) -> None:
        """Saves a checkpoint of a state and of the data's position.

        Args:
            state: To save.
            position: Of the data.
            evaluated: Whether evaluations of the state follow.
            passing: Whether the checkpoint is kept only while they last.

        Raises:
            UserError: Another run has the folder now, or as `CheckpointStore.save`.
        """
        self.lock.confirm()
        self.store.save(
            int(state.step),
            params=converted(state.params, self.saving.dtype),
            opt_state=state.opt_state,
            run=self.start.run_record(position, evaluated=evaluated),
            passing=passing,
        )

    def evaluate(self, due: Sequence[Evaluation], params: Params, step: int) -> dict[str, float]:
        """The scores of a state, which is on the disk already: an error here loses no step.

        Raises:
            Stopped: A signal asks to, between two batches.
        """
        self.store.wait()
        try:
            scores = evaluate(due, params, step)
        except Exception as error:
            note = (
                f"in the evaluation of step {step}; checkpoint_{step} is saved: mend the task and "
                "run the same command again, it evaluates this step and goes on"
            )
            if isinstance(error, UserError):  # of which people see the message alone
                raise UserError(f"{error} ({note})") from error
            error.add_note(note)
            raise
        self.store.scored(step, scores)
        return scores
