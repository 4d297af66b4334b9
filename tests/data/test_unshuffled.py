"""Training data in its own order, and padding among targets."""

import numpy as np
import pytest

from closedbook.data.batches import Batches

LENGTHS = {"inputs": 32, "targets": 8}


@pytest.fixture
def questions(made):
    return made(600)


def test_examples_come_in_their_own_order_in_every_epoch(questions):
    batches = Batches([(questions, 1.0)], 100, LENGTHS, False, 7, shuffle=False)
    for epoch in (0, 1):
        for index in (0, 5):
            batch = batches.batch(epoch, index)
            for row in (0, 99):
                inputs = questions.inputs(100 * index + row)[:32]
                np.testing.assert_array_equal(
                    batch["encoder_input_tokens"][row][: len(inputs)], inputs
                )
    shuffled = Batches([(questions, 1.0)], 100, LENGTHS, False, 7).batch(0, 0)
    first = batches.batch(0, 0)["encoder_input_tokens"]
    assert not np.array_equal(shuffled["encoder_input_tokens"], first)


def test_padding_among_targets_is_not_learnt(questions, monkeypatch):
    batches = Batches([(questions, 1.0)], 8, LENGTHS, False, 7)
    tokens, offsets = batches._sources[0].targets
    holed = np.array(tokens)
    holed[offsets[:-1]] = 0
    batches._sources[0].targets = (holed, offsets)
    batch = batches.batch(0, 0)
    assert (batch["decoder_target_tokens"][:, 0] == 0).all()
    assert (batch["decoder_loss_weights"][:, 0] == 0).all()
    assert (batch["decoder_loss_weights"][:, 1] == 1).all()
