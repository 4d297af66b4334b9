"""Our own checkpoints: Orbax folders `checkpoint_<step>` with `params`, `optimizer` and `run`.

Orbax writes each under a temporary name and renames it, or in a bucket marks it as whole in the
end, so a killed save leaves nothing that looks like a checkpoint (`sealing.py`).
"""

import contextlib
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from closedbook.checkpoints import sealing, soundness
from closedbook.checkpoints.restoring import check_item
from closedbook.checkpoints.retention import Retention
from closedbook.errors import UserError
from closedbook.file_faults import file_fault

Params = TypeVar("Params")  # trees, as `restoring.Tree`
OptState = TypeVar("OptState")


class CheckpointStore:
    """Saves and restores the checkpoints of one run.

    Args:
        folder: MODEL_DIR.
        keep: Newest checkpoints to keep; None keeps all, or one where `keep_best` is set.
        keep_best: Best checkpoints to keep as well, by `metric`.
        metric: Name of the metric that says which is best, for example "nq_open/em".
        best_mode: "max" or "min".
        asynchronous: Write in the background while training goes on.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        *,
        keep: int | None = None,
        keep_best: int | None = None,
        metric: str | None = None,
        best_mode: str = "max",
        asynchronous: bool = True,
    ) -> None:
        if keep_best and not metric:
            raise UserError(
                "SaveCheckpointConfig.keep_best needs SaveCheckpointConfig.metric, the name of "
                "the metric that says which checkpoint is best"
            )
        self._folder = folder
        self._metric = metric
        self._retention = Retention(
            folder, keep=keep, keep_best=keep_best, metric=metric, best_mode=best_mode
        )
        self._manager = ocp.CheckpointManager(
            folder,
            options=ocp.CheckpointManagerOptions(
                step_prefix="checkpoint",
                preservation_policy=self._retention,
                cleanup_tmp_directories=True,
                enable_async_checkpointing=asynchronous,
                save_decision_policy=checkpoint_managers.FixedIntervalPolicy(1),
                temporary_path_class=sealing.temporary_path_class(folder),
            ),
            item_names=("params", "optimizer", "run"),
        )

    def latest_step(self) -> int | None:
        """Step of the newest finished checkpoint, or None."""
        return self._manager.latest_step()

    def save(
        self,
        step: int,
        *,
        params: object,
        opt_state: object,
        run: Mapping[str, Any],
        passing: bool = False,
    ) -> None:
        """Saves a checkpoint; an existing one of the same step stays.

        Args:
            step: Training steps done.
            params: The parameters, a tree of arrays.
            opt_state: The optimiser's state, a tree of arrays.
            run: The rest, which JSON can hold: seed, position in the data, origin.
            passing: Keep it only until `scored` is called: an evaluation comes that must not lose
                the state.

        Raises:
            UserError: The disk is full, or the folder cannot be written to.
        """
        if step in self._manager.all_steps():
            if not passing:
                self._retention.passing.discard(step)
            return
        if passing:
            self._retention.passing.add(step)
        args = ocp.args.Composite(
            params=ocp.args.StandardSave(params),
            optimizer=ocp.args.StandardSave(opt_state),
            run=ocp.args.JsonSave(dict(run)),
        )
        with self._disk():
            self._manager.save(step, args=args)

    def scored(self, step: int, scores: Mapping[str, float]) -> None:
        """Takes the scores of a saved checkpoint; what need not be kept is removed.

        Args:
            step: The checkpoint's.
            scores: Of all evaluations at this step.

        Raises:
            UserError: The metric of `keep_best` is not among the scores, or the disk is full.
        """
        self.wait()
        if step in self._retention.passing:
            self._retention.passing.discard(step)
            self._manager.delete(step)
            return
        if self._metric and self._metric not in scores:
            raise UserError(
                f"SaveCheckpointConfig.metric is {self._metric!r}, but the evaluation gave "
                f"{', '.join(sorted(scores))}"
            )
        with self._disk():
            self._retention.keep_scores(step, scores)
        existing = sorted(self._manager.all_steps())
        for other in set(existing) - self._retention.kept(existing):
            self._manager.delete(other)

    def has_scores(self, step: int) -> bool:
        """Whether `scored` was called for a checkpoint."""
        return self._retention.scores(step) is not None

    def restore(
        self, step: int, *, params: Params, opt_state: OptState
    ) -> tuple[Params, OptState, dict[str, Any]]:
        """Parameters, optimiser state and the rest of a checkpoint.

        Args:
            step: The checkpoint's step.
            params: Shapes, types and shardings that the parameters are to have.
            opt_state: The same of the optimiser's state.

        Raises:
            UserError: The checkpoint is damaged, or holds other parameters; the message lists
                what differs.
        """
        folder = self._folder / f"checkpoint_{step}"
        soundness.check(folder, soundness.RUN)
        check_item(folder / "params", params)
        check_item(folder / "optimizer", opt_state)
        args = ocp.args.Composite(
            params=ocp.args.StandardRestore(params),
            optimizer=ocp.args.StandardRestore(opt_state),
            run=ocp.args.JsonRestore(),
        )
        try:
            restored = self._manager.restore(step, args=args)
        except (ValueError, OSError, KeyError) as error:  # of one without digests
            why = " ".join(str(error).split())[:300]
            raise UserError(soundness.refusal(folder, f"it cannot be read: {why}")) from error
        return restored["params"], restored["optimizer"], restored["run"]

    def wait(self) -> None:
        """Blocks until everything saved so far is on disk."""
        with self._disk():
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits for the last save and ends."""
        with self._disk():
            self._manager.close()

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            fault = file_fault(error, contexts=True)
            if isinstance(error, UserError | RuntimeError | MemoryError) and fault is None:
                raise
            try:
                good = soundness.newest_good(self._folder)
                last = "none" if good is None else f"checkpoint_{good}"
            except UserError:  # a bucket that does not answer now
                last = "the newest that is there"
            what = f"the disk of {self._folder} is full"
            if fault is None:  # for example a file that was taken away while it was written
                reason = " ".join(str(error).split())[:300]
                what = f"no checkpoint can be saved in {self._folder}: {reason}"
            elif not fault.is_full:
                place = f" ({fault.path})" if fault.path else ""
                what = f"no checkpoint can be saved in {self._folder}: {fault.reason}{place}"
            remedy = (fault and fault.remedy) or "look at the folder"
            raise UserError(
                f"{what}; the last good checkpoint is {last}; {remedy} and run the same command "
                "again to go on from it"
            ) from error
