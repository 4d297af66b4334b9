"""Evaluations: when they are due, and the held-out loss by hand."""

import doctest

import numpy as np
import pytest

from closedbook.telemetry import MetricWriter
from closedbook.training import evaluators
from closedbook.training.evaluators import Every, HeldOutLoss, QuestionScores, evaluate
from closedbook.training.settings import Evaluator


class _Kept(MetricWriter):
    def __init__(self):
        self.written = []

    def write(self, step, metrics):
        self.written.append((step, dict(metrics)))

    def close(self):
        pass


def _held_out(every, writer):
    """Of two batches; the sums are the batch's own numbers."""

    def program(params, batch):
        return {name: np.float32(value * params["scale"]) for name, value in batch.items()}

    filled = {"loss_divisor": 2.0, "positions/loss_weights": 4.0}
    batches = [
        {"loss": 6.0, "cross_ent_loss": 4.0, "correct": 1.0, "target_tokens": 2.0},
        {"loss": 3.0, "cross_ent_loss": 2.0, "correct": 1.0, "target_tokens": 1.0},
    ]
    batches = [b | filled | {"z_loss": 1.0, "loss_weights": b["target_tokens"]} for b in batches]
    return HeldOutLoss(
        program=program, batches=lambda: batches, put=dict, writer=writer, every=every
    )


def test_doctests():
    assert doctest.testmod(evaluators).attempted >= 3
    assert doctest.testmod(evaluators).failed == 0


def test_held_out_loss_is_per_batch_and_per_target_token_of_all_batches():
    writer = _Kept()
    scores = _held_out(Every(1, 10), writer)({"scale": 1.0}, 7)
    # 9 of loss, 6 of cross-entropy and 2 right answers over 3 tokens; losses are divided by 2.
    expected = {
        "loss": 2.25,
        "loss_per_token": 3.0,
        "cross_ent_loss": 1.5,
        "accuracy": pytest.approx(2 / 3),
    }
    assert scores == {f"eval/{name}": value for name, value in expected.items()}
    [(step, written)] = writer.written
    assert step == 7
    assert written.items() >= expected.items()
    assert written["loss_per_nonpadding_target_token"] == 1.5
    assert written["loss_per_all_target_tokens"] == 4.5 / 8
    assert "learning_rate" not in written


def test_each_evaluation_says_itself_when_it_is_due(tmp_path):
    often, seldom = _held_out(Every(2, 5), _Kept()), _held_out(Every(4, 5), _Kept())
    assert [step for step in range(1, 6) if often.due(step)] == [2, 4, 5]
    assert [step for step in range(1, 6) if seldom.due(step)] == [4, 5]
    by_hand = QuestionScores(tasks=[], predictor=None, folder=tmp_path, settings=Evaluator())
    assert not any(by_hand.due(step) for step in range(6))


def test_scores_of_several_evaluations_stand_together(tmp_path):
    questions = QuestionScores(tasks=[], predictor=None, folder=tmp_path, settings=Evaluator())
    scores = evaluate([questions, _held_out(Every(1, 1), _Kept())], {"scale": 2.0}, 1)
    names = ("loss", "loss_per_token", "cross_ent_loss", "accuracy")
    assert scores.keys() == {f"eval/{name}" for name in names}
