"""The training loop: set up, step, log, evaluate, save, stop."""

import contextlib
import dataclasses
import logging
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from closedbook.checkpoints import CheckpointStore, steps
from closedbook.data.prefetch import Prefetch
from closedbook.errors import UserError
from closedbook.parallel import Partitioner
from closedbook.telemetry import Progress, Throughput, open_writer
from closedbook.training import evaluation, feeds, report, startup
from closedbook.training.interrupt import StopRequest
from closedbook.training.model import EncoderDecoderModel
from closedbook.training.settings import (
    CheckpointConfig,
    DatasetConfig,
    Evaluator,
    SaveCheckpointConfig,
    Trainer,
)
from closedbook.training.state import TrainState, abstract_state, split_seed
from closedbook.training.step import make_eval_step, make_train_step

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
    model: EncoderDecoderModel,
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
    eval_period: int = 1000,
    stats_period: int = 100,
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
        eval_period: Steps between evaluations; 0 for none.
        stats_period: Steps between lines of metrics.
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
    if total_steps is None and relative_steps is None:
        raise UserError("how long to train is not given; set TRAIN_STEPS or TRAIN_STEPS_RELATIVE")
    if "://" in model_dir:
        raise UserError(f"MODEL_DIR is {model_dir}; give a local or mounted folder")
    folder = pathlib.Path(model_dir).expanduser().absolute()
    if train_dataset_cfg.batch_size % trainer.microbatches:
        raise UserError(
            f"Trainer.num_microbatches is {trainer.microbatches}, which does not divide "
            f"BATCH_SIZE {train_dataset_cfg.batch_size}"
        )
    rows = train_dataset_cfg.batch_size // trainer.microbatches
    partitioner.check_batch(rows, "BATCH_SIZE / num_microbatches")
    startup.check_vocabulary_size(model)
    save = checkpoint_cfg.save or SaveCheckpointConfig(period=0)  # the first and the last state
    if save.keep_best and not eval_period:
        raise UserError("SaveCheckpointConfig.keep_best needs evaluations; set EVAL_PERIOD")
    with contextlib.ExitStack() as stack:
        store = CheckpointStore(
            folder,
            keep=save.keep,
            keep_best=save.keep_best,
            metric=save.metric,
            best_mode=save.best_mode,
            asynchronous=save.asynchronous,
        )
        stack.callback(store.close)
        stack.enter_context(partitioner.activate())
        data = feeds.data_record(train_dataset_cfg, model.vocabulary)
        start = startup.begin(
            model, partitioner, store, folder, checkpoint_cfg.restore, random_seed, data
        )
        if relative_steps is not None:
            total_steps = start.first_step + relative_steps
        assert total_steps is not None
        _check_total(total_steps, start)
        report.write_run_files(
            folder, model, abstract_state(model, partitioner), train_dataset_cfg, config_text
        )
        evaluators = _evaluators(
            model,
            partitioner,
            folder,
            start,
            train_eval_dataset_cfg,
            infer_eval_dataset_cfg,
            inference_evaluator or Evaluator(),
            eval_steps,
            stack,
        )
        run = _Run(
            folder=folder,
            start=start,
            store=store,
            partitioner=partitioner,
            evaluate=evaluators,
            total=total_steps,
            periods=(save.period or 0, eval_period or 0, stats_period or 0),
            save_evaluated=save.keep_best is not None,
            flops=report.flops_of_step(model, train_dataset_cfg),
        )
        step_fn = jax.jit(
            make_train_step(model, trainer.learning_rate_fn, trainer.microbatches),
            donate_argnums=0,
        )
        _, key = split_seed(start.seed, hardware_rng=use_hardware_rng)
        batches = stack.enter_context(
            feeds.training_feed(train_dataset_cfg, model.vocabulary, start.seed, start.position)
        )
        feeds.warn_of_leakage(train_dataset_cfg, infer_eval_dataset_cfg, model.vocabulary)
        writer = stack.enter_context(
            open_writer(
                folder / "train",
                start_step=start.step,
                process_index=jax.process_index(),
                services=metric_services,
                run_name=folder.name,
            )
        )
        if run_eval_before_training and not start.resumed:
            run.evaluate(start.state.params, start.step)
        return _loop(run, start.state, step_fn, key, batches, writer)


@dataclasses.dataclass(kw_only=True)
class _Run:
    """What stays the same through the loop."""

    folder: pathlib.Path
    start: startup.Start
    store: CheckpointStore
    partitioner: Partitioner
    evaluate: Callable[[Any, int], dict[str, float]]
    total: int
    periods: tuple[int, int, int]  # save, evaluate, log
    save_evaluated: bool  # whether each evaluated state is saved
    flops: int  # of a step

    def due(self, step: int) -> tuple[bool, bool, bool]:
        """Whether to save, to evaluate and to log after a step."""
        last = step == self.total
        save, evaluate, log = ((p > 0 and step % p == 0) or (p > 0 and last) for p in self.periods)
        save = save or last or (evaluate and self.save_evaluated)
        return save, evaluate, log or save or evaluate

    def save(
        self, state: TrainState, position: dict[str, int], scores: dict[str, float] | None = None
    ) -> None:
        """Saves a checkpoint of a state and of the data's position."""
        self.store.save(
            int(state.step),
            params=state.params,
            opt_state=state.opt_state,
            run=self.start.run_record(position),
            metrics=scores,
        )


def _loop(
    run: _Run,
    state: TrainState,
    step_fn: Callable,
    key: jax.Array,
    batches: Prefetch[dict[str, np.ndarray]],
    writer: Any,
) -> Result:
    step, scores, waiting = run.start.step, {}, []
    if not run.start.resumed:
        run.save(state, batches.state())  # T5X too writes one before the first step
    throughput = Throughput(devices=jax.device_count())
    visible = jax.process_index() == 0
    with (
        StopRequest() as stop,
        Progress(run.total, step, description="train", enabled=visible) as progress,
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
                throughput.count(tokens=feeds.batch_tokens(batch))
            due_save, due_evaluate, due_log = run.due(step)
            if due_log:
                metrics = _finite_means(waiting, step, run)
                waiting.clear()
                rates = throughput.report()
                metrics |= rates | report.utilization(run.flops, rates)
                progress.update(step, report.shown(metrics))
                if due_evaluate:
                    with throughput.paused():
                        scores = run.evaluate(state.params, step)
                    metrics |= scores
                writer.write(step, metrics)
            if due_save:
                with throughput.paused():
                    run.save(state, batches.state(), scores if due_evaluate else None)
        if step < run.total:
            if waiting:
                writer.write(step, _finite_means(waiting, step, run))
            run.save(state, batches.state())
            run.store.wait()
            _log.warning("stopped as asked; checkpoint_%d is saved, run again to go on", step)
    run.store.wait()
    return Result(step=step, finished=step >= run.total, scores=scores)


def _finite_means(waiting: list[dict[str, Any]], step: int, run: _Run) -> dict:
    """Means over the steps since the last log, a target token.

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
                good = [saved for saved in steps(run.folder) if saved < at]
                last = f"{run.folder}/checkpoint_{good[-1]}" if good else "none"
                raise UserError(
                    f"the {word} is {float(row[name])} at step {at}; the last good checkpoint is "
                    f"{last}; lower the learning rate or look at the data there"
                )
    return report.means(rows)


def _check_total(total: int, start: startup.Start) -> None:
    """Checks that there is something left to train.

    Raises:
        UserError: The last step lies before the first.
    """
    if start.resumed and total == start.step:
        _log.info("nothing to do: the run has reached step %d", total)
    elif total <= start.step:
        raise UserError(
            f"TRAIN_STEPS is {total}, but the run starts at step {start.step}; TRAIN_STEPS counts "
            "the steps of the restored checkpoint: make it larger, or set TRAIN_STEPS_RELATIVE"
        )


def _evaluators(
    model: EncoderDecoderModel,
    partitioner: Partitioner,
    folder: pathlib.Path,
    start: startup.Start,
    held_out: DatasetConfig | None,
    questions: DatasetConfig | None,
    settings: Evaluator,
    eval_steps: int,
    stack: contextlib.ExitStack,
) -> Callable[[Any, int], dict[str, float]]:
    """The function (params, step) -> scores that runs both evaluations and writes their files."""
    loss_feed = feeds.held_out_feed(held_out, model.vocabulary, eval_steps) if held_out else None
    caches = feeds.question_caches(questions, model.vocabulary) if questions else []
    predictor = feeds.predictor(model, partitioner, questions, settings) if questions else None
    eval_step = jax.jit(make_eval_step(model))
    visible = jax.process_index() == 0

    def open_for(name: str, task: str) -> Any:
        return stack.enter_context(
            open_writer(
                folder / name / task, start_step=start.step, process_index=jax.process_index()
            )
        )

    writers = {cache.name: open_for("inference_eval", cache.name) for cache in caches}
    loss_writer = open_for("training_eval", held_out.mixture_or_task_name) if held_out else None

    def evaluate(params: Any, step: int) -> dict[str, float]:
        scores: dict[str, float] = {}
        if loss_feed is not None and loss_writer is not None:
            losses = evaluation.held_out_loss(eval_step, params, loss_feed(), partitioner.put_batch)
            loss_writer.write(step, losses)
            scores |= {f"eval/{name}": value for name, value in losses.items()}
        for cache in caches:
            assert predictor is not None
            answers = evaluation.answer(cache, predictor, params, settings.num_examples)
            if visible:
                writers[cache.name].write(step, answers.scores)
                report.append_scores(folder / "inference_eval", answers, step)
                evaluation.write_answers(
                    answers, folder / "inference_eval", step, settings.write_n_results
                )
                shown = "  ".join(f"{k} {v:.2f}" for k, v in answers.scores.items())
                n = len(answers.examples)
                _log.info("step %d  %s %s  n %d  %s", step, cache.name, cache.split, n, shown)
            scores |= {f"{cache.name}/{name}": value for name, value in answers.scores.items()}
        return scores

    return evaluate
