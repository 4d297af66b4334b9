"""Evaluations inside a run: of any SeqIO task, and never at the cost of a step."""

import dataclasses
import json
import logging

import jax
import numpy as np
import pytest

from closedbook.checkpoints import load_params, open_checkpoint, steps
from closedbook.errors import UserError
from closedbook.eval import predictions
from closedbook.parallel import Partitioner
from closedbook.training import evaluators
from closedbook.training.settings import DatasetConfig
from closedbook.training.state import abstract_state

LENGTHS = {"inputs": 32, "targets": 16}


def _params(model, folder):
    wanted = abstract_state(model, Partitioner(devices=tuple(jax.devices()[:1]))).params
    return load_params(open_checkpoint(folder), wanted)


def _lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_evaluation_that_fails_costs_no_step_and_is_made_up_for(run, tmp_path, monkeypatch):
    given = {"eval_period": 2, "save": {"period": 100}, "train_eval_dataset_cfg": None}

    def broken(*args, **kwargs):
        assert steps(tmp_path / "run") == [0, 2]  # on the disk before anything is asked
        raise KeyError("choices")

    with monkeypatch.context() as patched:
        patched.setattr(evaluators, "answer", broken)
        with pytest.raises(KeyError) as caught:
            run(3, **given)
    assert "checkpoint_2 is saved" in caught.value.__notes__[-1]
    folder = tmp_path / "run"
    assert [line["step"] for line in _lines(folder / "train/metrics.jsonl")] == [2]
    assert run(3, **given).finished
    scores = _lines(folder / "inference_eval/loop_quiz-metrics.jsonl")
    assert [row["step"] for row in scores] == [2, 3]

    # The last state's evaluation fails too, when nothing is left to train.
    def refused(*args, **kwargs):
        raise UserError("no such metric")

    with monkeypatch.context() as patched:
        patched.setattr(evaluators, "answer", refused)
        with pytest.raises(UserError, match=r"no such metric \(.*checkpoint_4 is saved"):
            run(4, **given)
    assert run(4, **given).scores.keys() == {"loop_quiz/em", "loop_quiz/f1"}


def test_a_state_that_is_only_evaluated_is_not_kept(run, tmp_path):
    given = {"eval_period": 2, "train_eval_dataset_cfg": None}
    run(5, save={"period": 3}, **given)
    assert steps(tmp_path / "run") == [0, 3, 5]


@pytest.fixture
def their_quiz(tiny):
    """A task of another package: a row without answers, an id twice, two kinds of metrics."""
    import seqio
    import tensorflow as tf

    rows = [
        {"inputs": "who is 1?", "targets": "city 1", "answers": ["city 1", "1"], "id": 7},
        {"inputs": "who is 2?", "targets": "", "answers": [], "id": 7},
        {"inputs": "who is 3?", "targets": "city 3", "answers": ["city 3"], "id": 8},
    ]
    signature = {
        "inputs": tf.TensorSpec([], tf.string),
        "targets": tf.TensorSpec([], tf.string),
        "answers": tf.TensorSpec([None], tf.string),
        "id": tf.TensorSpec([], tf.int64),
    }

    def dataset(split, shuffle_files=False, seed=None):
        return tf.data.Dataset.from_generator(lambda: iter(rows), output_signature=signature)

    def answers(output, example=None, is_target=False):
        return [a.decode() for a in example["answers"]] if is_target else output

    def counted(targets, predictions):
        return {"answers": sum(map(len, targets)), "told": seqio.metrics.Text(predictions[0])}

    def scored(targets, scores):
        return {"first_score": scores[0], "scored": len(scores)}

    feature = seqio.Feature(seqio.SentencePieceVocabulary(tiny.vocabulary.path))
    seqio.TaskRegistry.add(
        "their_quiz",
        source=seqio.FunctionDataSource(dataset, splits=["validation"]),
        preprocessors=[seqio.preprocessors.tokenize, seqio.preprocessors.append_eos_after_trim],
        output_features={"inputs": feature, "targets": feature},
        postprocess_fn=answers,
        metric_fns=[counted, scored],
    )
    yield "their_quiz"
    seqio.TaskRegistry.remove("their_quiz")


@pytest.fixture
def unscored_quiz(their_quiz):
    """A task of one split and without a metric."""
    import seqio

    task = seqio.TaskRegistry.get(their_quiz)
    seqio.TaskRegistry.add(
        "unscored_quiz",
        source=task.source,
        preprocessors=task.preprocessors,
        output_features=task.output_features,
    )
    yield "unscored_quiz"
    seqio.TaskRegistry.remove("unscored_quiz")


def test_what_cannot_be_evaluated_is_left_out_with_a_word(run, unscored_quiz, quiz, caplog):
    """T5X skips tasks without the split, and tasks without a metric where answers are scored."""
    data = {"split": "validation", "cache_dir": str(quiz / "cache"), "batch_size": 4}
    without_metric = DatasetConfig(
        mixture_or_task_name=unscored_quiz, task_feature_lengths=LENGTHS, **data
    )
    without_split = dataclasses.replace(without_metric, split="test")
    given = {"infer_eval_dataset_cfg": without_metric, "train_eval_dataset_cfg": without_split}
    result = run(2, eval_period=1, **given)
    assert (result.finished, result.scores) == (True, {})
    answers, loss = [line for line in caplog.messages if line.startswith("left out of")][::-1]
    assert answers == f"left out of the evaluation of answers: {unscored_quiz} has no metric"
    assert f"{unscored_quiz} has no split 'test', only validation" in loss
    with pytest.raises(UserError, match="no task has what they need"):
        run(2, "b", eval_period=1, save={"keep_best": 1, "metric": "eval/loss"}, **given)


def test_a_task_of_another_package_is_evaluated_and_told_of_first(
    run, tiny, their_quiz, tmp_path, caplog
):
    questions = DatasetConfig(
        mixture_or_task_name=their_quiz,
        split="validation",
        task_feature_lengths=LENGTHS,
        batch_size=8,
        cache_dir=str(tmp_path / "cache"),
    )
    with caplog.at_level(logging.INFO, logger="closedbook"):
        result = run(1, infer_eval_dataset_cfg=questions, eval_period=1)
    told = [record.message for record in caplog.records]
    notes = [i for i, text in enumerate(told) if "have no answer" in text or "several rows" in text]
    assert len(notes) == 2
    assert max(notes) < next(i for i, text in enumerate(told) if text.startswith("step 1 "))
    assert result.scores["their_quiz/answers"] == 3
    assert result.scores["their_quiz/scored"] == 3
    # The score is the target's log-probability under the state that was saved.
    given, target = ([*tiny.vocabulary.encode(text), 1] for text in ("who is 1?", "city 1"))
    read, shifted = np.zeros((1, 32), np.int32), np.zeros((1, 16), np.int32)
    read[0, : len(given)], shifted[0, 1 : len(target)] = given, target[:-1]
    params = {"params": _params(tiny, tmp_path / "run")}
    log_probs = jax.nn.log_softmax(jax.jit(tiny.module.apply)(params, read, shifted)[0])
    expected = float(log_probs[np.arange(len(target)), np.array(target)].sum())
    assert result.scores["their_quiz/first_score"] == pytest.approx(expected, abs=1e-3)
    folder = tmp_path / "run/inference_eval"
    (row,) = _lines(folder / "their_quiz-metrics.jsonl")
    assert isinstance(row["told"], str)
    results = _lines(folder / "their_quiz-000001.jsonl")
    assert set(results[0]) == {"input", "target", "output", "prediction", "score"}
    assert results[1]["target"] == []
    found = predictions.read(folder / "their_quiz-000001.predictions.jsonl")
    assert [(row.id, dict(row.meta)) for row in found] == [
        ("validation-0", {"given_id": "7"}),
        ("8", {}),
    ]
    assert found[0].question == "who is 1?"
