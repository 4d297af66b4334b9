"""The parts of a run that write metrics, made from its settings."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import jax

from closedbook.parallel import Partitioner
from closedbook.telemetry import MetricWriter, open_writer
from closedbook.training import feeds, programs, startup
from closedbook.training.evaluators import Evaluation, Every, HeldOutLoss, QuestionScores
from closedbook.training.model import TransformerModel
from closedbook.training.settings import DatasetConfig, Evaluator


@dataclasses.dataclass(frozen=True)
class Parts:
    """Makes the parts of a run that write metrics.

    Attributes:
        model: What is trained.
        partitioner: How arrays lie on the devices.
        folder: MODEL_DIR.
        data: Of the run.
        start: Where it begins.
        stack: Closes the parts.
        check: Called between batches; raises where the evaluation is to stop.
    """

    model: TransformerModel
    partitioner: Partitioner
    folder: pathlib.Path
    data: feeds.RunData
    start: startup.Start
    stack: contextlib.ExitStack
    check: Callable[[], None]

    def writer(
        self, *place: str, services: Sequence[str] = (), run_name: str | None = None
    ) -> MetricWriter:
        """A writer of metrics to a folder of the run; it writes in the first process alone."""
        return self.stack.enter_context(
            open_writer(
                self.folder.joinpath(*place),
                start_step=self.start.step,
                resumed=self.start.resumed,
                process_index=jax.process_index(),
                services=services,
                run_name=run_name,
            )
        )

    def evaluations(
        self,
        held_out: DatasetConfig | None,
        count: int,
        questions: DatasetConfig | None,
        settings: Evaluator | None,
        every: Every,
    ) -> list[Evaluation]:
        """Those that a run makes: of the held-out loss on `count` batches, and by answers."""
        found: list[Evaluation] = []
        if held_out:
            found.append(self.held_out_loss(held_out, count, every))
        if questions:
            found.append(self.questions(questions, settings, every))
        return found

    def held_out_loss(self, cfg: DatasetConfig, count: int, every: Every) -> HeldOutLoss:
        """The loss on `count` batches.

        Raises:
            UserError: The devices cannot share a batch.
        """
        self.partitioner.check_batch(cfg.batch_size, "train_eval/utils.DatasetConfig.batch_size")
        return HeldOutLoss(
            program=programs.held_out_loss(self.model, self.partitioner, cfg),
            batches=self.data.held_out(cfg, count),
            put=self.partitioner.put_batch,
            check=self.check,
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
                self.model,
                self.partitioner,
                cfg,
                settings,
                self.data.questions(cfg),
                between=self.check,
            ),
            folder=self.folder / "inference_eval",
            settings=settings,
            every=every,
            writers={task.name: self.writer("inference_eval", task.name) for task in tasks},
        )
