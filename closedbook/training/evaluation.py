"""Answers to a task's questions: made, scored by the task's metrics, written."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from closedbook import whole_files
from closedbook.data.cache import TokenCache
from closedbook.data.task_facts import registered_task, scoring
from closedbook.eval import metrics as metric_functions
from closedbook.eval import predictions
from closedbook.inference.predictor import Prediction, Predictor
from closedbook.training.model import Params

Scores = dict[str, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answers:
    """What a model answered to a task's questions, and its scores, by the metrics' names."""

    task: str
    split: str
    prefix: str
    examples: list[dict[str, Any]]  # rows of the cache's examples.jsonl
    predicted: list[Prediction]
    processed: list[Any]  # predictions as the metric sees them: of any type for others' tasks
    scores: Scores


def answer(
    cache: TokenCache, predictor: Predictor, params: Params, num_examples: int | None = None
) -> Answers:
    """Decodes an answer to every question of a cache and scores them all.

    Args:
        cache: Of an evaluation split.
        predictor: Of the model.
        params: The model's.
        num_examples: First examples only; None for all.
    """
    examples = list(cache.examples())[:num_examples]
    inputs = [cache.inputs(i).tolist() for i in range(len(examples))]
    predicted = predictor.predict_tokens(params, inputs)
    processed, scores = _scored(cache.manifest, examples, [p.text for p in predicted])
    return Answers(
        task=cache.name,
        split=cache.split,
        prefix=cache.manifest["prefix"],
        examples=examples,
        predicted=predicted,
        processed=processed,
        scores=scores,
    )


def _scored(
    manifest: Mapping[str, Any], examples: list[dict[str, Any]], texts: list[str]
) -> tuple[list[Any], Scores]:
    targets = [example["target"] for example in examples]
    if manifest["postprocessor"] == "task":  # another package's, scored by its own functions
        return _scored_by_seqio(manifest["task"], examples, targets, texts)
    sets = manifest["postprocessor"] == "answer_sets"
    processed: list[Any] = [metric_functions.split_answers(t) for t in texts] if sets else texts
    scores: Scores = {}
    for metric in scoring(manifest["task"]):
        function = getattr(metric_functions, metric["name"])
        scores |= function(targets, processed, **metric["options"])
    return processed, scores


def _scored_by_seqio(
    task_name: str, examples: list[dict[str, Any]], targets: list[Any], texts: list[str]
) -> tuple[list[Any], Scores]:
    """Scores of a task that another package registered, by its own functions."""
    task = registered_task(task_name)
    processed = [
        task.postprocess_fn(text, example=example, is_target=False)
        for text, example in zip(texts, examples, strict=True)
    ]
    scores: Scores = {}
    for function in task.predict_metric_fns:
        scores |= {name: float(value) for name, value in function(targets, processed).items()}
    return processed, scores


def write_answers(
    answers: Answers, folder: pathlib.Path, step: int, write_n_results: int | None = None
) -> pathlib.Path:
    """Writes T5X's files for one evaluation, and `predictions.jsonl` rows beside them.

    Args:
        answers: To write.
        folder: For example MODEL_DIR/inference_eval.
        step: Of the checkpoint.
        write_n_results: Rows of T5X's file; None for all.

    Returns:
        The path of the predictions that `closedbook analyze` reads.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = zip(answers.examples, answers.predicted, answers.processed, strict=True)
    lines = [
        {
            "input": {"inputs_pretokenized": answers.prefix + example["question"]},
            "target": example["target"],
            "output": predicted.text,
            "prediction": processed,
        }
        for example, predicted, processed in list(rows)[:write_n_results]
    ]
    stem = f"{answers.task}-{step:06d}"
    target = folder / f"{stem}.jsonl"
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    whole_files.write_text(target, text)
    path = folder / f"{stem}.predictions.jsonl"
    predictions.write(path, prediction_rows(answers, step))
    return path


def prediction_rows(answers: Answers, step: int) -> list[predictions.Prediction]:
    """Rows in the form of predictions.jsonl."""
    return [
        predictions.Prediction(
            id=example["id"],
            question=example["question"],
            answers=tuple(example["answers"]),
            prediction=predicted.text,
            score=_finite(predicted.log_prob),
            alternatives=tuple(
                predictions.Alternative(text=text, score=_finite(score))
                for text, score in predicted.alternatives
            ),
            task=answers.task,
            split=answers.split,
            step=step,
            extra={"beams": beams} if (beams := predicted.beams()) else {},
        )
        for example, predicted in zip(answers.examples, answers.predicted, strict=True)
    ]


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
