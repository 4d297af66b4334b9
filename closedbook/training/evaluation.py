"""Answers to a task's questions: made, scored by the task's metrics, written."""

import dataclasses
import itertools
import json
import logging
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from closedbook import whole_files
from closedbook.data.evaluation import (
    PREDICTION,
    PREDICTION_WITH_AUX,
    SCORE,
    EvaluationTask,
    Outputs,
    Scored,
)
from closedbook.data.example_features import plain
from closedbook.eval import predictions
from closedbook.inference.predictor import Prediction, Predictor
from closedbook.training.model import Params

_log = logging.getLogger(__name__)

Scores = dict[str, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answers:
    """What a model answered to a task's questions, and what the metrics make of it.

    Attributes:
        task: Whose questions.
        predicted: In their order; empty for a task whose metrics take scores of targets alone.
        scored: By the task's metrics.
    """

    task: EvaluationTask
    predicted: Sequence[Prediction]
    scored: Scored

    @property
    def scores(self) -> Scores:
        """The numbers, by the metrics' names."""
        return dict(self.scored.scores)


def answer(
    task: EvaluationTask,
    predictor: Predictor,
    params: Params,
    target_length: int | None = None,
) -> Answers:
    """Lets a model answer a task's questions, or score their targets, and scores what it gives.

    Args:
        task: Its metrics say what is asked of the model.
        predictor: Of the model.
        params: The model's.
        target_length: Tokens of a target that is scored; longer ones are cut. None for all.
    """
    inputs = task.inputs()
    predicted: list[Prediction] = []
    if task.needs & {PREDICTION, PREDICTION_WITH_AUX}:
        predicted = predictor.predict_tokens(params, inputs)
    target_scores: list[float] = []
    if SCORE in task.needs:
        targets = [[ids] for ids in task.targets(target_length)]
        target_scores = [score for (score,) in predictor.score_tokens(params, inputs, targets)]
    outputs = Outputs(
        texts=[each.text for each in predicted],
        tokens=predictor.token_rows(predicted),
        prediction_scores=[each.decoder_score for each in predicted],
        target_scores=target_scores,
    )
    return Answers(task=task, predicted=predicted, scored=task.score(outputs))


def write_answers(
    answers: Answers, folder: pathlib.Path, step: int, write_n_results: int | None = None
) -> pathlib.Path | None:
    """Writes T5X's file of one evaluation, and `predictions.jsonl` rows beside it.

    Args:
        answers: To write.
        folder: For example MODEL_DIR/inference_eval.
        step: Of the checkpoint.
        write_n_results: Rows of T5X's file; None for all, 0 for no file.

    Returns:
        The path of the predictions that `closedbook analyze` reads; None without predictions.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{answers.task.name}-{step:06d}"
    if write_n_results != 0:
        lines = itertools.islice(result_rows(answers), write_n_results)
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        whole_files.write_text(folder / f"{stem}.jsonl", text)
    rows = prediction_rows(answers, step)
    if not rows:
        return None
    path = folder / f"{stem}.predictions.jsonl"
    predictions.write(path, rows)
    return path


def result_rows(answers: Answers) -> Iterator[dict[str, Any]]:
    """Rows of T5X's file: `{"input", "target", "output", "prediction"}`, "score" and "aux_..." too.

    "input" has all features of the example. Keys are left out where no metric needed them, or
    where JSON cannot hold the value.
    """
    scored = answers.scored
    columns = {"target": scored.targets, **scored.columns}
    refused: set[str] = set()
    for index, question in enumerate(answers.task.questions):
        row = {"input": plain(dict(question.features))}
        for name, column in columns.items():
            try:
                row[name] = plain(column[index])
            except TypeError as error:
                if name not in refused:
                    _log.warning("%s: no %r in the results: %s", answers.task.name, name, error)
                refused.add(name)
        yield row


def prediction_rows(answers: Answers, step: int) -> list[predictions.Prediction]:
    """Rows in the form of predictions.jsonl, of all questions that have an answer."""
    found = zip(answers.task.questions, answers.predicted, strict=bool(answers.predicted))
    return [
        predictions.Prediction(
            id=question.id,
            question=question.text,
            answers=question.answers,
            prediction=predicted.text,
            score=_finite(predicted.log_prob),
            alternatives=tuple(
                predictions.Alternative(text=text, score=_finite(score))
                for text, score in predicted.alternatives
            ),
            task=answers.task.name,
            split=answers.task.split,
            step=step,
            meta={} if question.given_id is None else {"given_id": question.given_id},
            extra={"beams": beams} if (beams := predicted.beams()) else {},
        )
        for question, predicted in found
        if question.answers
    ]


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
