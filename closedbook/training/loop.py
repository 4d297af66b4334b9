"""The training loop: set up, step, log, evaluate, save, stop."""

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import SupportsFloat

import jax
import numpy as np

from closedbook.buckets import folder_at
from closedbook.checkpoints import newest_good
from closedbook.data.prefetch import Prefetch
from closedbook.errors import Stopped, UserError
from closedbook.parallel import Partitioner
from closedbook.parallel.processes import is_first, lost_peers_named
from closedbook.telemetry import MetricWriter, Progress, Throughput
from closedbook.training import checks, feeds, programs, report, startup
from closedbook.training.evaluators import Every
from closedbook.training.model import Sums, TransformerModel
from closedbook.training.run.interrupt import StopRequest
from closedbook.training.run.lock import only_writer
from closedbook.training.run.ongoing import Ongoing
from closedbook.training.run.parts import Parts
from closedbook.training.settings import (
    CheckpointConfig,
    DatasetConfig,
    Evaluator,
    SaveCheckpointConfig,
    Trainer,
)
from closedbook.training.state import TrainState, abstract_state, split_seed
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
    checks.check_run(**locals())  # which are the arguments, as they were given
    partitioner, trainer = partitioner or Partitioner(), trainer or Trainer()
    save = checkpoint_cfg.save or SaveCheckpointConfig(period=0)  # the first and the last state
    folder = folder_at(model_dir, "MODEL_DIR")
    checks.check_batches(train_dataset_cfg, trainer, partitioner)
    checks.check_vocabulary_ids(model)
    feeds.import_task_modules(train_dataset_cfg, train_eval_dataset_cfg, infer_eval_dataset_cfg)
    with contextlib.ExitStack() as stack:
        stack.enter_context(lost_peers_named())
        lock = stack.enter_context(only_writer(folder, "MODEL_DIR"))
        # Data that is missing is told before a folder is left.
        data = feeds.RunData(model.vocabulary, model.converter, partitioner.own_rows)
        record = data.record(train_dataset_cfg)
        held_out = data.possible(train_eval_dataset_cfg, scored=False)
        questions = data.possible(infer_eval_dataset_cfg, scored=True)
        lock.keep_folder()
        store = stack.enter_context(contextlib.closing(startup.open_store(folder, save)))
        stack.enter_context(partitioner.activate())
        start = startup.begin(
            model, partitioner, store, folder, checkpoint_cfg.restore, random_seed, record
        )
        last = start.last_step(
            total_steps, relative_steps, evaluated_first=run_eval_before_training
        )
        report.write_run_files(
            folder, model, abstract_state(model, partitioner), train_dataset_cfg, config_text
        )
        model = model.on(partitioner.platform)  # after its own number types are written
        start = start.computing_in(model.config.dtype)
        stop = StopRequest()
        parts = Parts(model, partitioner, folder, data, start, stack, check=stop.check)
        every = Every(eval_period or 0, last)
        evaluations = parts.evaluations(held_out, eval_steps, questions, inference_evaluator, every)
        checks.check_metric(save, [name for each in evaluations for name in each.names])
        run = Ongoing(
            folder=folder,
            start=start,
            store=store,
            partitioner=partitioner,
            evaluations=evaluations,
            total=last,
            saving=save,
            logs=Every(stats_period or 0, last),
            flops=report.flops_of_step(model, train_dataset_cfg),
            tokens=_tokens_of_all(model, partitioner, train_dataset_cfg),
            evaluated_first=run_eval_before_training and bool(evaluations),
            lock=lock,
        )
        step = programs.train_step(
            model, partitioner, train_dataset_cfg, trainer, use_hardware_rng=use_hardware_rng
        )
        _, key = split_seed(start.seed, hardware_rng=use_hardware_rng)
        batches = stack.enter_context(data.training(train_dataset_cfg, start.seed, start.position))
        data.warn_of_leakage(train_dataset_cfg, questions)
        writer = parts.writer("train", services=metric_services, run_name=folder.name)
        with stop:
            return _loop(run, start.state, step, key, batches, writer, stop)


def _tokens_of_all(
    model: TransformerModel, partitioner: Partitioner, cfg: DatasetConfig
) -> Callable[[Mapping[str, np.ndarray]], int]:
    """Tokens of a batch, reckoned from those of the rows that this process has."""
    share = len(partitioner.own_rows(cfg.batch_size)) / cfg.batch_size
    return lambda batch: round(model.converter.tokens(batch) / share)


def _loop(
    run: Ongoing,
    state: TrainState,
    step_fn: TrainStep,
    key: jax.Array,
    batches: Prefetch[dict[str, np.ndarray]],
    writer: MetricWriter,
    stop: StopRequest,
) -> Result:
    step, scores = run.start.step, {}
    try:
        scores = _before_first_step(run, state, batches.state())
    except Stopped:
        return _stopped_in_evaluation(step)
    waiting: list[Sums] = []  # of steps that are not looked at yet, and may not be done
    started = time.monotonic()
    throughput = Throughput(devices=jax.device_count())
    with Progress(run.total, step, description="train", enabled=is_first()) as progress:
        while step < run.total and not stop.requested():
            run.lock.check()
            batch = _next_batch(batches, waiting, throughput)
            placed = run.partitioner.put_batch(batch)
            with _compiling(progress, step == run.start.step, waiting):
                with jax.transfer_guard("disallow"):
                    state, sums = step_fn(state, placed, key)
                step += 1
                waiting.append(sums)
            if step == run.start.step + 1:
                throughput.restart()
            else:
                throughput.count(tokens=run.tokens(batch))
            done = step - _running(waiting)
            progress.update(done)
            due_save, due, due_log = run.due(step)
            if due_log:
                run.lock.confirm()
                _wait(waiting, step, done, progress)
                rows = _finite_rows(waiting, step, run)
                waiting.clear()
                metrics = report.means(rows) | report.timing(throughput, rows)
                metrics["timing/uptime"] = time.monotonic() - started
                rates = throughput.report()
                metrics |= rates | report.utilization(run.flops, rates)
                progress.update(step, report.shown(metrics))
                try:
                    with throughput.paused(), progress.paused():
                        if due_save or due:
                            writer.secure()  # a run that goes on from here needs the lines before
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
                except Stopped:
                    return _stopped_in_evaluation(step)
                finally:
                    writer.write(step, metrics)
                    if due_save or due:
                        writer.secure()
        if step < run.total:
            if waiting:
                writer.write(step, report.means(_finite_rows(waiting, step, run)))
                writer.secure()
            run.save(state, batches.state())
            run.store.wait()
            _log.warning("stopped as asked; checkpoint_%d is saved, run again to go on", step)
    run.store.wait()
    return Result(step=step, finished=step >= run.total, scores=scores)


def _before_first_step(
    run: Ongoing, state: TrainState, position: dict[str, int]
) -> dict[str, float]:
    """Saves a first state, as T5X does, and makes what evaluation it or a resumed one lacks."""
    if not run.start.resumed:
        run.save(state, position, evaluated=run.evaluated_first)
        due = run.evaluations if run.evaluated_first else ()
    else:
        due = run.due(run.start.step)[1] if run.start.unscored else ()
    return run.evaluate(due, state.params, run.start.step) if due else {}


def _stopped_in_evaluation(step: int) -> Result:
    _log.warning(
        "stopped as asked in the evaluation of step %d; checkpoint_%d is saved, run again to "
        "evaluate it and go on",
        step,
        step,
    )
    return Result(step=step, finished=False, scores={})


@contextlib.contextmanager
def _compiling(progress: Progress, first: bool, waiting: list[Sums]) -> Iterator[None]:
    """Tells that the first step compiles, and waits until it is done."""
    if not first:
        yield
        return
    with progress.compiling():
        yield
        jax.block_until_ready(waiting)


def _next_batch(
    batches: Prefetch[dict[str, np.ndarray]], waiting: Sequence[Sums], throughput: Throughput
) -> dict[str, np.ndarray]:
    """The next batch; counts the time that the devices had to wait for it.

    A batch for which only this thread waits, while steps before it are still being done, costs
    nothing.
    """
    began = time.perf_counter()
    batch = next(batches)
    if not _running(waiting[-1:]):
        throughput.waited(time.perf_counter() - began)
    return batch


def _running(waiting: Sequence[Sums]) -> int:
    """How many of the last steps the devices have not done yet; asks without waiting."""
    count = 0
    for sums in reversed(waiting):
        if sums["loss"].is_ready():  # type: ignore[attr-defined]
            break
        count += 1
    return count


def _wait(waiting: Sequence[Sums], step: int, done: int, progress: Progress) -> None:
    """Waits for all steps up to `step`, and shows each that is done after the first `done`."""
    for at, sums in enumerate(waiting[len(waiting) - (step - done) :], start=done + 1):
        jax.block_until_ready(sums["loss"])
        progress.update(at)


@contextlib.contextmanager
def _timed(metrics: dict[str, float], name: str) -> Iterator[None]:
    """Adds the seconds of the `with` to metrics."""
    began = time.monotonic()
    yield
    metrics[name] = time.monotonic() - began


def _finite_rows(
    waiting: list[Sums], step: int, run: Ongoing
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
