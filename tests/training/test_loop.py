"""The loop: what it writes, how it goes on, and what it says when something is wrong."""

import dataclasses
import json
import logging
import os
import pathlib
import signal

import jax
import numpy as np
import pytest

from closedbook.checkpoints import (
    CheckpointStore,
    ModelCard,
    load_params,
    open_checkpoint,
    steps,
)
from closedbook.errors import UserError
from closedbook.eval import predictions
from closedbook.models import T5
from closedbook.parallel import Partitioner
from closedbook.training import loop, programs
from closedbook.training.settings import RestoreCheckpointConfig
from closedbook.training.state import abstract_state


def _params(model, folder):
    wanted = abstract_state(model, Partitioner(devices=tuple(jax.devices()[:1]))).params
    return jax.device_get(load_params(open_checkpoint(folder), wanted))


T5X_TAGS = {
    "accuracy",
    "loss",
    "cross_ent_loss",
    "z_loss",
    "loss_per_nonpadding_target_token",
    "loss_per_all_target_tokens",
    "effective_batch_size/encoder",
    "effective_batch_size/decoder",
    "non_padding_fraction/overall",
    "non_padding_fraction/loss_weights",
}
EVALUATED = ("training_eval/loop_quiz", "inference_eval/loop_quiz")


def _tags(folder):
    """The tags of all scalars in a folder's event files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return set(accumulator.Tags()["scalars"])


def _lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def _assert_identical(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_a_run_writes_the_files_of_t5x_and_learns(run, tiny, tmp_path):
    result = run(12, eval_period=6, config_text="# config")
    folder = tmp_path / "run"
    assert result.finished
    assert result.step == 12
    assert steps(folder) == [0, 4, 8, 12]
    lines = _lines(folder / "train/metrics.jsonl")
    assert [line["step"] for line in lines] == [2, 4, 6, 8, 10, 12]
    assert lines[-1]["loss_per_token"] < lines[0]["loss_per_token"]
    assert lines[0]["learning_rate"] == pytest.approx(0.01)
    assert (folder / "config.gin").read_text() == "# config"
    assert "Total number of parameters" in (folder / "model-info.txt").read_text()
    scores = _lines(folder / "inference_eval/loop_quiz-metrics.jsonl")
    assert [(s["step"], s["n"]) for s in scores] == [(6, 15), (12, 15)]
    rows = predictions.read(folder / "inference_eval/loop_quiz-000012.predictions.jsonl")
    assert len(rows) == 15
    assert rows[0].answers == ("city 3",)
    assert rows[0].step == 12
    upstream = _lines(folder / "inference_eval/loop_quiz-000012.jsonl")[0]
    assert set(upstream) == {"input", "target", "output", "prediction"}
    assert (
        upstream["input"]["inputs_pretokenized"] == "question: what is the capital of country 45?"
    )
    assert upstream["input"]["targets_pretokenized"] == "city 3"
    assert upstream["input"]["answers"] == upstream["target"] == ["city 3"]
    assert tiny.vocabulary.decode(upstream["input"]["targets"]) == "city 3"
    assert len(upstream["input"]["inputs"]) > 5
    tags = {name: _tags(folder / name) for name in ("train", *EVALUATED)}
    assert tags["train"] >= T5X_TAGS | {"learning_rate", "learning_rate/current"}
    assert tags["train"] >= {"timing/steps_per_second", "timing/evaluate_seconds"}
    assert tags["train"] >= {"loss_per_token", "gradient_norm", "tokens_per_second"}
    assert tags["training_eval/loop_quiz"] >= T5X_TAGS
    assert tags["inference_eval/loop_quiz"] >= {"eval/em", "eval/f1"}
    card = ModelCard.read(folder)
    assert card.prefix == "question: "
    assert card.config == tiny.config
    assert result.scores.keys() >= {"loop_quiz/em", "loop_quiz/f1", "eval/loss"}


def test_the_progress_moves_with_each_step_and_leaves_out_what_compiles(run, monkeypatch):
    shown = []

    class Seen(loop.Progress):
        def update(self, step, metrics=None):
            shown.append(step)

        def compiling(self):
            shown.append("compiling")
            return super().compiling()

    monkeypatch.setattr(loop, "Progress", Seen)
    run(5, stats_period=5, infer_eval_dataset_cfg=None, train_eval_dataset_cfg=None)
    run(8, stats_period=5, infer_eval_dataset_cfg=None, train_eval_dataset_cfg=None)
    assert shown.count("compiling") == 2
    assert shown[0] == "compiling"
    again = shown.index("compiling", 1)
    first, second = shown[1:again], shown[again + 1 :]
    assert (sorted(first), sorted(second)) == (first, second)
    # A step that is done while another is looked at is shown with it.
    assert (first[-1], second[-1]) == (5, 8)
    assert set(first) <= {1, 2, 3, 4, 5}
    assert set(second) <= {6, 7, 8}
    assert (len(first), len(second)) >= (5, 3)


def test_questions_that_stand_in_training_are_told(run, caplog):
    with caplog.at_level(logging.WARNING, logger="closedbook"):
        run(1)
    assert "5 of 15 evaluation questions (33.3%)" in caplog.text


def test_resumed_run_equals_an_uninterrupted_one(run, tiny, tmp_path, caplog):
    # Scanned: their parameters lie in another order than a checkpoint has them.
    config = dataclasses.replace(tiny.config, dropout_rate=0.1, scan_layers=True)
    model = dataclasses.replace(tiny, module=T5(config))
    run(11, "whole", model=model)
    run(4, "parts", model=model)
    run(8, "parts", model=model)
    with caplog.at_level(logging.WARNING, logger="closedbook"):
        run(11, "parts", model=model)
    assert "computed in" not in caplog.text
    _assert_identical(_params(model, tmp_path / "whole"), _params(model, tmp_path / "parts"))
    lines = _lines(tmp_path / "parts/train/metrics.jsonl")
    assert [line["step"] for line in lines] == sorted({line["step"] for line in lines})


def test_a_run_that_goes_on_in_other_number_types_is_told(run, tiny, monkeypatch, caplog):
    run(2)
    dtype = "bf16_bf16_f32"  # as on another machine, of a model whose dtype is "auto"
    config = dataclasses.replace(tiny.config, dtype=dtype)
    other = dataclasses.replace(tiny, module=T5(config))
    monkeypatch.setattr(type(tiny), "on", lambda model, platform: other)
    with caplog.at_level(logging.WARNING, logger="closedbook"):
        run(4)
    assert f"up to step 2 this run computed in float32, from here on in {dtype}" in caplog.text


def test_sigterm_saves_and_the_run_goes_on_exactly(run, tiny, tmp_path, monkeypatch):
    run(10, "whole", save={"period": 100})
    original = programs.make_train_step
    count = 0

    def stopping(*args):
        step = original(*args)

        def counted(state, batch, key):
            def tell():
                nonlocal count
                count += 1
                if count == 5:
                    os.kill(os.getpid(), signal.SIGTERM)

            jax.debug.callback(tell)
            return step(state, batch, key)

        return counted

    monkeypatch.setattr(programs, "make_train_step", stopping)
    stopped = run(10, "parts", save={"period": 100})
    assert not stopped.finished
    assert steps(tmp_path / "parts") == [0, stopped.step]
    monkeypatch.undo()
    assert run(10, "parts", save={"period": 100}).finished
    _assert_identical(_params(tiny, tmp_path / "whole"), _params(tiny, tmp_path / "parts"))


def test_infinite_loss_stops_with_its_step_and_the_last_good_checkpoint(run, tmp_path):
    with pytest.raises(UserError, match=r"is (nan|inf) at step \d+; .*checkpoint_0"):
        run(20, learning_rate=1e30)
    assert steps(tmp_path / "run") == [0]


def test_fine_tuning_counts_on_from_the_checkpoint(run, tiny, tmp_path, caplog):
    run(4, "first")
    restore = RestoreCheckpointConfig(path=str(tmp_path / "first"))
    with caplog.at_level(logging.INFO, logger="closedbook"):
        result = run(None, "second", restore=restore, relative_steps=3)
    assert result.step == 7
    assert "optimiser state restored" in caplog.text
    # Run again, it is finished: relative steps do not count from the newest checkpoint.
    assert run(None, "second", restore=restore, relative_steps=3).step == 7
    reset = dataclasses.replace(restore, optimizer="reset")
    with caplog.at_level(logging.INFO, logger="closedbook"):
        run(5, "third", restore=reset)
    assert "optimiser state reset (as asked)" in caplog.text


def test_restoring_with_a_raw_sum_as_loss_is_warned_of(run, tiny, tmp_path, caplog):
    run(4, "first")
    model = dataclasses.replace(tiny, loss_normalizing_factor=None)
    with caplog.at_level(logging.WARNING, logger="closedbook"):
        run(5, "second", model=model, restore=RestoreCheckpointConfig(path=str(tmp_path / "first")))
    assert "LOSS_NORMALIZING_FACTOR is None" in caplog.text


def test_a_used_folder_that_shadows_the_initial_checkpoint_is_refused(run, tmp_path):
    run(4, "first")
    run(4, "second")
    (tmp_path / "second_2").mkdir()
    with pytest.raises(
        UserError, match="started from random parameters, but INITIAL_CHECK"
    ) as told:
        run(8, "second", restore=RestoreCheckpointConfig(path=str(tmp_path / "first")))
    assert f"give --gin.MODEL_DIR=\"'{tmp_path / 'second_3'}'\"" in str(told.value)


def test_a_run_stopped_before_its_first_save_goes_on_in_its_own_metrics(run, tmp_path, caplog):
    with pytest.raises(UserError, match="checkpoint_0"):
        run(20, learning_rate=1e30, save={"period": 100})
    metrics = tmp_path / "run" / "train" / "metrics.jsonl"
    metrics.write_text('{"step": 1, "loss": 9.0}\n{"step": 2, "loss": 9.0}\n')
    with caplog.at_level(logging.WARNING, logger="closedbook"):
        run(4, save={"period": 100})
    assert "another run" not in caplog.text
    assert not list(metrics.parent.glob("metrics-*"))
    lines = _lines(metrics)
    assert [line["step"] for line in lines] == [2, 4]
    assert lines[0]["loss"] != 9.0


def test_a_checkpoint_of_another_model_is_refused_with_all_that_differs(run, tiny, tmp_path):
    run(2, "first")
    config = dataclasses.replace(
        tiny.config, mlp_activations=("gelu", "linear"), logits_via_embedding=False
    )
    model = dataclasses.replace(tiny, module=T5(config))
    with pytest.raises(UserError) as caught:
        run(4, "second", model=model, restore=RestoreCheckpointConfig(path=str(tmp_path / "first")))
    message = str(caught.value)
    gated = "mlp_activations is ('gelu', 'linear'), the checkpoint's is ('relu',)"
    assert f"T5Config.{gated}" in message
    assert "T5Config.logits_via_embedding is False, the checkpoint's is True" in message


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"mlp_activations": ("silu",)}, r"mlp_activations is \('silu',\), .* is \('relu',\)"),
        ({"relpos_max_distance": 64}, "relpos_max_distance is 64, the checkpoint's is 128"),
        ({"begin_id": 5}, "begin_id is 5, the checkpoint's is 0"),
    ],
    ids=str,
)
def test_a_run_does_not_go_on_as_another_model_of_the_same_shapes(
    run, tiny, tmp_path, setting, message
):
    run(1, infer_eval_dataset_cfg=None, train_eval_dataset_cfg=None)
    card = (tmp_path / "run" / "model.json").read_bytes()
    model = dataclasses.replace(tiny, module=T5(dataclasses.replace(tiny.config, **setting)))
    with pytest.raises(UserError, match=message):
        run(2, model=model)
    with pytest.raises(UserError, match=message):
        run(2, "second", model=model, restore=RestoreCheckpointConfig(path=str(tmp_path / "run")))
    assert (tmp_path / "run" / "model.json").read_bytes() == card
    # What a run may choose is no contradiction.
    config = dataclasses.replace(tiny.config, dropout_rate=0.1, remat_policy="full")
    assert run(2, model=dataclasses.replace(tiny, module=T5(config))).step == 2


def test_vocabularies_that_do_not_fit_are_refused(run, tiny, tmp_path):
    small = dataclasses.replace(tiny, module=T5(dataclasses.replace(tiny.config, vocab_size=128)))
    with pytest.raises(UserError, match=r"ids, extra ids included, but the\s+model has 128"):
        run(1, model=small)
    run(2, "first")
    card = ModelCard.read(tmp_path / "first")
    other = dataclasses.replace(card, vocabulary_sha256="0" * 64)
    other.write(tmp_path / "first", tiny.vocabulary.path)
    with pytest.raises(UserError, match="trained with another vocabulary"):
        run(4, "second", restore=RestoreCheckpointConfig(path=str(tmp_path / "first")))


def test_full_disk_names_the_last_good_checkpoint(run, tmp_path, monkeypatch):
    run(4, save={"asynchronous": False})
    manager = CheckpointStore(tmp_path / "run")._manager.__class__
    error = OSError(28, "No space left on device")
    monkeypatch.setattr(manager, "save", lambda *args, **kwargs: (_ for _ in ()).throw(error))
    with pytest.raises(
        UserError, match=r"disk .* is full; the last good checkpoint is checkpoint_4"
    ):
        run(8, save={"asynchronous": False})


def test_best_and_newest_checkpoints_are_kept(run, tmp_path):
    save = {"period": 2, "keep": 1, "keep_best": 1, "metric": "eval/loss", "best_mode": "min"}
    run(8, save=save, eval_period=2)
    lines = _lines(tmp_path / "run/training_eval/loop_quiz/metrics.jsonl")
    best = min(lines, key=lambda line: line["loss"])["step"]
    assert set(steps(tmp_path / "run")) == {best, 8}


def test_a_metric_that_does_not_exist_is_named(run):
    with pytest.raises(
        UserError, match=r"'loop_quiz/exact', but the evaluation gave .*loop_quiz/em"
    ):
        run(4, save={"keep_best": 1, "metric": "loop_quiz/exact"}, eval_period=4)


def test_a_metric_of_a_task_that_is_not_evaluated_is_told_before_training(run, tmp_path):
    save = {"keep_best": 1, "metric": "natural_questions_open/em"}
    with pytest.raises(UserError, match=r"'natural_questions_open/em', but .*loop_quiz/"):
        run(4, save=save, eval_period=4)
    assert steps(tmp_path / "run") == []


def test_data_that_is_missing_is_told_before_a_folder_is_made(run, tmp_path):
    with pytest.raises(UserError, match="unknown task or mixture"):
        run(4, data={"mixture_or_task_name": "loop_quizz"})
    assert not (tmp_path / "run").exists()


def test_batches_that_do_not_split_are_refused(run):
    from closedbook.training.settings import Trainer

    with pytest.raises(UserError, match="does not divide BATCH_SIZE 4"):
        run(1, trainer=Trainer(num_microbatches=3))


def test_resuming_with_other_data_is_refused_with_what_changed(run, tiny, tmp_path):
    run(4)
    data = {"batch_size": 2}
    with pytest.raises(UserError, match="batch_size was 4, is 2"):
        run(8, data=data)
    other = tmp_path / "other.model"
    other.write_bytes(_with_another_score(tiny.vocabulary.path))
    vocabulary = type(tiny.vocabulary)(other)
    before = (tmp_path / "run/vocabulary.model").read_bytes()
    with pytest.raises(UserError, match="trained with another vocabulary"):
        run(8, model=dataclasses.replace(tiny, vocabulary=vocabulary))
    assert (tmp_path / "run/vocabulary.model").read_bytes() == before


def _with_another_score(path):
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(pathlib.Path(path).read_bytes())
    model.pieces[100].score -= 1.0
    return model.SerializeToString()


def test_total_steps_that_lie_before_the_checkpoint_are_refused(run, tmp_path):
    run(4, "first")
    restore = RestoreCheckpointConfig(path=str(tmp_path / "first"))
    with pytest.raises(UserError, match=r"TRAIN_STEPS is 3, .* starts at step 4.*RELATIVE"):
        run(3, "second", restore=restore)
    assert run(4, "first").finished
    # As in T5X, where that is how a checkpoint is evaluated alone.
    given = {"restore": restore, "run_eval_before_training": True, "eval_period": 2}
    assert run(4, "third", **given).step == 4
    rows = (tmp_path / "third/inference_eval/loop_quiz-metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [4]


def test_no_relative_steps_are_as_none_at_all(run):
    assert run(2, relative_steps=0).step == 2


def test_best_needs_evaluations(run):
    with pytest.raises(UserError, match="keep_best needs evaluations"):
        run(4, save={"keep_best": 1, "metric": "eval/loss"})
    nothing = {"infer_eval_dataset_cfg": None, "train_eval_dataset_cfg": None}
    with pytest.raises(UserError, match="and a data set to evaluate on"):
        run(4, save={"keep_best": 1, "metric": "eval/loss"}, eval_period=2, **nothing)
