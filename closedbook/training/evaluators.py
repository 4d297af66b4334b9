"""The evaluations of a run: the loss on held-out targets, and answers to questions.

Each says itself when it is due; the training loop and `t5x eval` ask and call.
"""

import dataclasses
import logging
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import jax
import numpy as np

from closedbook.data.evaluation import EvaluationTask
from closedbook.inference.predictor import Predictor
from closedbook.models.parameters import Params
from closedbook.parallel.processes import is_first
from closedbook.telemetry import MetricWriter
from closedbook.training import report
from closedbook.training.evaluation import Answers, Scores, answer, write_answers
from closedbook.training.model import Batch, Sums
from closedbook.training.settings import Evaluator

_log = logging.getLogger(__name__)
# Scores of the held-out loss; all that `report.means` gives is written.
_SHOWN = ("loss", "loss_per_token", "cross_ent_loss", "accuracy")


@dataclasses.dataclass(frozen=True)
class Every:
    """When something is due: every `period` steps and after the last one; 0 is never.

    >>> every = Every(period=4, last=10)
    >>> [step for step in range(1, 11) if every.due(step)]
    [4, 8, 10]
    >>> Every(period=0, last=10).due(10)
    False
    """

    period: int
    last: int

    def due(self, step: int) -> bool:
        """Whether it is, after so many steps."""
        return self.period > 0 and (step % self.period == 0 or step == self.last)


class Evaluation(Protocol):
    """Scores the parameters of a step, and writes its own files."""

    @property
    def names(self) -> Sequence[str]:
        """What the names of its scores begin with, before a slash."""

    def due(self, step: int) -> bool:
        """Whether to evaluate after so many steps."""

    def __call__(self, params: Params, step: int) -> Scores:
        """Scores by name; those of different evaluations have different names."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeldOutLoss:
    """Loss and accuracy on held-out targets, as in training; its scores are "eval/<name>".

    Attributes:
        program: (parameters, batch) -> sums, without dropout.
        batches: Gives the same batches of NumPy arrays [batch, length] each time.
        put: Lays a batch on the devices.
        writer: Takes the losses of each step.
        every: When it is due.
        check: Called before each batch; raises where the evaluation is to stop.
    """

    program: Callable[[Params, Batch], Sums]
    batches: Callable[[], Iterable[dict[str, np.ndarray]]]
    put: Callable[[dict[str, np.ndarray]], Batch]
    writer: MetricWriter
    every: Every
    check: Callable[[], None] = lambda: None

    @property
    def names(self) -> tuple[str, ...]:
        """What the names of its scores begin with, before a slash."""
        return ("eval",)

    def due(self, step: int) -> bool:
        """Whether to evaluate after so many steps."""
        return self.every.due(step)

    def __call__(self, params: Params, step: int) -> Scores:
        """Measures and writes the losses."""
        rows = []
        for batch in self.batches():
            self.check()
            rows.append(jax.device_get(self.program(params, self.put(batch))))
        losses = report.means(rows)
        self.writer.write(step, losses)
        self.writer.secure()
        return {f"eval/{name}": losses[name] for name in _SHOWN}


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuestionScores:
    """Answers to the questions of some tasks, scored; its scores are "<task>/<metric>".

    Attributes:
        tasks: The questions, and how they are scored.
        predictor: Of the model.
        target_length: Tokens of a target that is scored; None for all.
        folder: Where T5X's files and the predictions are written.
        settings: How many questions are answered, and how many answers written.
        every: When it is due; None for never, where only a caller says when.
        writers: Take the scores of each step, by task; none for a task that is missing.
    """

    tasks: Sequence[EvaluationTask]
    predictor: Predictor
    target_length: int | None = None
    folder: pathlib.Path
    settings: Evaluator
    every: Every | None = None
    writers: Mapping[str, MetricWriter] = dataclasses.field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """What the names of its scores begin with, before a slash: the tasks."""
        return tuple(task.name for task in self.tasks)

    def due(self, step: int) -> bool:
        """Whether to evaluate after so many steps."""
        return self.every is not None and self.every.due(step)

    def __call__(self, params: Params, step: int) -> Scores:
        """Answers and scores every task's questions, and writes the files."""
        scores: Scores = {}
        for task in self.tasks:
            answers = answer(task, self.predictor, params, self.target_length)
            if is_first():
                self._write(answers, step)
            scores |= {f"{task.name}/{name}": value for name, value in answers.scores.items()}
        return scores

    def _write(self, answers: Answers, step: int) -> None:
        task = answers.task
        if writer := self.writers.get(task.name):
            writer.write(step, {f"eval/{name}": value for name, value in answers.scores.items()})
            writer.write_summaries(step, answers.scored.summaries)
            writer.secure()
        report.append_scores(self.folder, answers, step)
        path = write_answers(answers, self.folder, step, self.settings.write_n_results)
        shown = "  ".join(f"{name} {value:.2f}" for name, value in answers.scores.items())
        n = len(task.questions)
        _log.info("step %d  %s %s  n %d  %s", step, task.name, task.split, n, shown)
        if path is not None:
            _log.info("predictions: %s", path)


def evaluate(evaluations: Iterable[Evaluation], params: Params, step: int) -> Scores:
    """The scores of several evaluations together."""
    scores: Scores = {}
    for evaluation in evaluations:
        scores |= evaluation(params, step)
    return scores
