"""The training loop: set up, step, log, evaluate, save, stop."""

import contextlib
import dataclasses
import logging
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import SupportsFloat

import jax
import numpy as np

from closedbook.checkpoints import CheckpointStore, newest_good
from closedbook.data.prefetch import Prefetch
from closedbook.errors import UserError
from closedbook.models.parameters import Params
from closedbook.parallel import Partitioner
from closedbook.parallel.processes import is_first
from closedbook.telemetry import MetricWriter, Progress, Throughput, open_writer
from closedbook.training import checks, feeds, programs, report, startup
from closedbook.training.evaluators import Evaluation, Every, HeldOutLoss, QuestionScores, evaluate
from closedbook.training.interrupt import StopRequest
from closedbook.training.model import Sums, TransformerModel
from closedbook.training.settings import (
    CheckpointConfig,
    DatasetConfig,
    Evaluator,
    SaveCheckpointConfig,
    Trainer,
)
from closedbook.training.state import TrainState, abstract_state, converted, split_seed
from closedbook.training.step import TrainStep

_log = logging.getLogger(__name__)
_FINITE = {"loss": "loss", "gradient_norm": "gradient", "parameter_norm": "new parameter"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """How a run ended.

    Attributes:
        step: Steps done, all runs in this folder together.
        finished: Whether TRAIN_STEPS was reached; False after SIGTERM.
        scores: Of the last evaluation, "<task>/<metric>".
    """

    step: int
    finished: bool
    scores: dict[str, float]


def train(
    *,
    model: TransformerModel,
    model_dir: str,
    train_dataset_cfg: DatasetConfig,
    checkpoint_cfg: CheckpointConfig,
    total_steps: int | None = None,
    train_eval_dataset_cfg: DatasetConfig | None = None,
    infer_eval_dataset_cfg: DatasetConfig | None = None,
    partitioner: Partitioner | None = None,
    trainer: Trainer | None = None,
    inference_evaluator: Evaluator | None = None,
    relative_steps: int | None = None,
    eval_steps: int = 20,
    eval_period: int | None = 1000,
    stats_period: int | None = 100,
    random_seed: int | None = None,
    use_hardware_rng: bool = False,
    run_eval_before_training: bool = False,
    metric_services: Sequence[str] = (),
    config_text: str = "",
) -> Result:
    """Trains a model; run again with the same folder, it goes on where it stopped.

    Args:
        model: Network, vocabulary, optimiser, objective.
        model_dir: Folder of the run.
        train_dataset_cfg: What to train on.
        checkpoint_cfg: What to start from, what to save and when.
        total_steps: Last step; counts the steps of a restored checkpoint.
        train_eval_dataset_cfg: Held-out targets whose loss is measured; None for none.
        infer_eval_dataset_cfg: Questions that are answered and scored; None for none.
        partitioner: How arrays lie on the devices.
        trainer: Learning rate and microbatches.
        inference_evaluator: How questions are answered.
        relative_steps: Steps after the restored checkpoint, instead of `total_steps`.
        eval_steps: Batches of the held-out loss.
        eval_period: Steps between evaluations; 0 or None for none.
        stats_period: Steps between lines of metrics; 0 or None for those of evaluations alone.
        random_seed: Of initial parameters, order of examples and dropout; drawn once if None.
        use_hardware_rng: Draw dropout by the accelerator's generator.
        run_eval_before_training: Evaluate the first state too.
        metric_services: "wandb", "mlflow": metrics go there as well.
        config_text: The configuration, for `config.gin`.

    Raises:
        UserError: The settings, the data or a checkpoint are at fault, the loss is not finite, or
            the disk is full.
    """
    partitioner, trainer = partitioner or Partitioner(), trainer or Trainer()
    save = checkpoint_cfg.save or SaveCheckpointConfig(period=0)  # the first and the last state
    held_out, questions = train_eval_dataset_cfg, infer_eval_dataset_cfg
    evaluated = bool(eval_period) and bool(held_out or questions)
    checks.check_periods(total_steps, relative_steps, save, evaluated)
    folder = startup.run_folder(model_dir)
    checks.check_batches(train_dataset_cfg, trainer, partitioner)
    checks.check_vocabulary_ids(model)
    checks.check_positions(model, train_dataset_cfg)
    feeds.import_task_modules(train_dataset_cfg, held_out, questions)
    # Data that is missing is told before a folder is made.
    data = feeds.RunData(model.vocabulary, model.converter)
    record = data.record(train_dataset_cfg)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(contextlib.closing(startup.open_store(folder, save)))
        stack.enter_context(partitioner.activate())
        start = startup.begin(
            model, partitioner, store, folder, checkpoint_cfg.restore, random_seed, record
        )
        last = _last_step(total_steps, relative_steps, start)
        report.write_run_files(
            folder, model, abstract_state(model, partitioner), train_dataset_cfg, config_text
        )
        parts = _Parts(model, partitioner, folder, data, start.step, stack)
        every = Every(eval_period or 0, last)
        evaluations: list[Evaluation] = []
        if held_out:
            evaluations.append(parts.held_out_loss(held_out, eval_steps, every))
        if questions:
            evaluations.append(parts.questions(questions, inference_evaluator, every))
        checks.check_metric(save, [name for each in evaluations for name in each.names])
        run = _Run(
            folder=folder,
            start=start,
            store=store,
            partitioner=partitioner,
            evaluations=evaluations,
            total=last,
            saves=Every(save.period or 0, last),
            save_steps=frozenset(save.checkpoint_steps or ()),
            save_dtype=save.dtype,
            logs=Every(stats_period or 0, last),
            save_evaluated=save.keep_best is not None,
            flops=report.flops_of_step(model, train_dataset_cfg),
            tokens=model.converter.tokens,
        )
        step = programs.train_step(
            model, partitioner, train_dataset_cfg, trainer, use_hardware_rng=use_hardware_rng
        )
        _, key = split_seed(start.seed, hardware_rng=use_hardware_rng)
        batches = stack.enter_context(data.training(train_dataset_cfg, start.seed, start.position))
        data.warn_of_leakage(train_dataset_cfg, questions)
        writer = parts.writer("train", services=metric_services, run_name=folder.name)
        if run_eval_before_training and not start.resumed:
            evaluate(evaluations, start.state.params, start.step)
        return _loop(run, start.state, step, key, batches, writer)


@dataclasses.dataclass(frozen=True)
class _Parts:
    """Makes the parts of a run that write metrics; they are closed with `stack`."""

    model: TransformerModel
    partitioner: Partitioner
    folder: pathlib.Path
    data: feeds.RunData
    start_step: int
    stack: contextlib.ExitStack

    def writer(
        self, *place: str, services: Sequence[str] = (), run_name: str | None = None
    ) -> MetricWriter:
        """A writer of metrics to a folder of the run; it writes in the first process alone."""
        return self.stack.enter_context(
            open_writer(
                self.folder.joinpath(*place),
                start_step=self.start_step,
                process_index=jax.process_index(),
                services=services,
                run_name=run_name,
            )
        )

    def held_out_loss(self, cfg: DatasetConfig, count: int, every: Every) -> HeldOutLoss:
        """The loss on `count` batches."""
        return HeldOutLoss(
            program=programs.held_out_loss(self.model, self.partitioner, cfg),
            batches=self.data.held_out(cfg, count),
            put=self.partitioner.put_batch,
            writer=self.writer("training_eval", cfg.mixture_or_task_name),
            every=every,
        )

    def questions(
        self, cfg: DatasetConfig, settings: Evaluator | None, every: Every
    ) -> QuestionScores:
        """Answers to questions, and their scores."""
        settings = settings or Evaluator()
        tasks = self.data.evaluation_tasks(cfg, settings.num_examples)
        return QuestionScores(
            tasks=tasks,
            target_length=(cfg.task_feature_lengths or {}).get("targets"),
            predictor=programs.predictor(
                self.model, self.partitioner, cfg, settings, self.data.questions(cfg)
            ),
            folder=self.folder / "inference_eval",
            settings=settings,
            every=every,
            writers={task.name: self.writer("inference_eval", task.name) for task in tasks},
        )


@dataclasses.dataclass(kw_only=True)
class _Run:
    """What stays the same through the loop."""

    folder: pathlib.Path
    start: startup.Start
    store: CheckpointStore
    partitioner: Partitioner
    evaluations: Sequence[Evaluation]
    total: int
    saves: Every
    save_steps: frozenset[int]  # that are saved besides
    save_dtype: str | None  # of the parameters that are saved
    logs: Every
    save_evaluated: bool  # whether each evaluated state is saved
    flops: int  # of a step
    tokens: Callable[[Mapping[str, np.ndarray]], int]  # of a batch, without padding

    def due(self, step: int) -> tuple[bool, list[Evaluation], bool]:
        """Whether to save after a step, which evaluations to make, and whether to log."""
        evaluations = [each for each in self.evaluations if each.due(step)]
        save = self.saves.due(step) or step in self.save_steps or step == self.total
        save = save or (self.save_evaluated and bool(evaluations))
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
        """
        self.store.save(
            int(state.step),
            params=converted(state.params, self.save_dtype),
            opt_state=state.opt_state,
            run=self.start.run_record(position, evaluated=evaluated),
            passing=passing,
        )

    def evaluate(self, due: Sequence[Evaluation], params: Params, step: int) -> dict[str, float]:
        """The scores of a state, which is on the disk already: an error here loses no step."""
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


def _loop(
    run: _Run,
    state: TrainState,
    step_fn: TrainStep,
    key: jax.Array,
    batches: Prefetch[dict[str, np.ndarray]],
    writer: MetricWriter,
) -> Result:
    step, scores = run.start.step, {}
    waiting: list[Sums] = []
    if not run.start.resumed:
        run.save(state, batches.state())  # T5X too writes one before the first step
    elif run.start.unscored and (due := run.due(step)[1]):
        scores = run.evaluate(due, state.params, step)
    started = time.monotonic()
    throughput = Throughput(devices=jax.device_count())
    with (
        StopRequest() as stop,
        Progress(run.total, step, description="train", enabled=is_first()) as progress,
    ):
        while step < run.total and not stop.requested(step):
            batch = next(batches)
            placed = run.partitioner.put_batch(batch)
            with jax.transfer_guard("disallow"):
                state, sums = step_fn(state, placed, key)
            step += 1
            waiting.append(sums)
            if step == run.start.step + 1:
                jax.block_until_ready(sums)
                throughput.restart()  # the first step compiles
            else:
                throughput.count(tokens=run.tokens(batch))
            due_save, due, due_log = run.due(step)
            if due_log:
                rows = _finite_rows(waiting, step, run)
                waiting.clear()
                metrics = report.means(rows) | report.timing(throughput, rows)
                metrics["timing/uptime"] = time.monotonic() - started
                rates = throughput.report()
                metrics |= rates | report.utilization(run.flops, rates)
                progress.update(step, report.shown(metrics))
                try:
                    with throughput.paused():
                        if due_save or due:
                            with _timed(metrics, "timing/checkpoint_seconds"):
                                run.save(
                                    state,
                                    batches.state(),
                                    evaluated=bool(due),
                                    passing=not due_save,
                                )
                        if due:
                            with _timed(metrics, "timing/evaluate_seconds"):
                                scores = run.evaluate(due, state.params, step)
                            metrics |= scores
                finally:
                    writer.write(step, metrics)
        if step < run.total:
            if waiting:
                writer.write(step, report.means(_finite_rows(waiting, step, run)))
            run.save(state, batches.state())
            run.store.wait()
            _log.warning("stopped as asked; checkpoint_%d is saved, run again to go on", step)
    run.store.wait()
    return Result(step=step, finished=step >= run.total, scores=scores)


@contextlib.contextmanager
def _timed(metrics: dict[str, float], name: str) -> Iterator[None]:
    """Adds the seconds of the `with` to metrics."""
    began = time.monotonic()
    yield
    metrics[name] = time.monotonic() - began


def _finite_rows(
    waiting: list[Sums], step: int, run: _Run
) -> Sequence[Mapping[str, SupportsFloat]]:
    """The sums of the steps since the last log, on the host.

    Raises:
        UserError: A loss, a gradient or a parameter is not finite; names the step and the last
            good checkpoint. Nothing is saved before its steps have been looked at.
    """
    rows = jax.device_get(waiting)
    for i, row in enumerate(rows):
        at = step - len(rows) + i + 1
        for name, word in _FINITE.items():
            if not np.isfinite(row[name]):
                run.store.wait()
                good = newest_good(run.folder, before=at)
                last = "none" if good is None else f"{run.folder}/checkpoint_{good}"
                raise UserError(
                    f"the {word} is {float(row[name])} at step {at}; the last good checkpoint is "
                    f"{last}; lower the learning rate or look at the data there"
                )
    return rows


def _last_step(total: int | None, relative: int | None, start: startup.Start) -> int:
    """The last step of the run, which counts the steps of a restored checkpoint.

    Raises:
        UserError: It lies before the first.
    """
    last = start.first_step + relative if relative is not None else total
    assert last is not None  # checks.check_periods
    if start.resumed and last == start.step:
        _log.info("nothing to do: the run has reached step %d", last)
    elif last <= start.step:
        raise UserError(
            f"TRAIN_STEPS is {last}, but the run starts at step {start.step}; TRAIN_STEPS counts "
            "the steps of the restored checkpoint: make it larger, or set TRAIN_STEPS_RELATIVE"
        )
    return last
