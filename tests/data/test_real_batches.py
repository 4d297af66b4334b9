"""50,000 questions in the form of the real ones through cache and packing."""

import collections
import itertools

import numpy as np
import pytest

from closedbook.data import cache
from closedbook.data.batches import Batches

LENGTHS = {"inputs": 512, "targets": 114}


@pytest.fixture(scope="module")
def tokens(nq_rows, vocabulary, tmp_path_factory):
    questions = vocabulary.encode_batch([f"nq question: {row['question']}" for row in nq_rows])
    answers = vocabulary.encode_batch([row["answer"][0] for row in nq_rows])
    return cache.write(
        tmp_path_factory.mktemp("real") / "nq",
        (
            ({"inputs": [[*question, 1]], "targets": [[*answer, 1]]}, None)
            for question, answer in zip(questions, answers, strict=True)
        ),
        manifest={"task": "nq", "split": "train"},
        vocab_size=vocabulary.vocab_size,
    )


def sequences(batch, side, tokens):
    """Every segment's tokens, in order of rows and segments."""
    inside = batch[f"{side}_segment_ids"] > 0
    flat, positions = batch[tokens][inside], batch[f"{side}_positions"][inside]
    return [tuple(part.tolist()) for part in np.split(flat, np.flatnonzero(positions == 0)[1:])]


def epoch(batches):
    each = (batches.batch(0, index) for index in itertools.count())
    return list(itertools.takewhile(lambda batch: batch is not None, each))


def test_an_epoch_holds_every_question_with_its_answer_once(tokens, nq_rows, vocabulary):
    batches = Batches([(tokens, 1.0)], 384, LENGTHS, pack=True, seed=0)
    found: collections.Counter = collections.Counter()
    for batch in epoch(batches):
        found.update(
            zip(
                sequences(batch, "encoder", "encoder_input_tokens"),
                sequences(batch, "decoder", "decoder_target_tokens"),
                strict=True,
            )
        )
    expected = collections.Counter(
        (tuple(tokens.inputs(i).tolist()), tuple(tokens.targets(i).tolist()))
        for i in range(len(tokens))
    )
    assert found == expected
    assert found.total() == len(nq_rows) == 50_000
    question = vocabulary.encode(f"nq question: {nq_rows[7]['question']}")
    answer = vocabulary.encode(nq_rows[7]["answer"][0])
    assert found[(*question, 1), (*answer, 1)] >= 1


def test_rows_are_nearly_full(tokens):
    batches = Batches([(tokens, 1.0)], 384, LENGTHS, pack=True, seed=0)
    *whole, _ = epoch(batches)
    assert min(batch["decoder_loss_weights"].mean() for batch in whole) > 0.98
