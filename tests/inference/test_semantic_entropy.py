"""Beams with their probabilities, against every answer that a tiny network can give."""

import collections
import itertools
import math

import numpy as np
import pytest

from closedbook.eval.abstention import semantic_entropy
from closedbook.eval.equivalence import judges
from closedbook.eval.predictions import Prediction
from closedbook.inference import DecodeSettings, Predictor

EOS, VOCAB = 1, 12


class Words:
    """A vocabulary of numbered words."""

    def encode_batch(self, texts):
        return [[int(word) for word in text.split()] for text in texts]

    def decode(self, ids):
        return " ".join(f"word{int(i)}" for i in ids)


def first_word(rows):
    """Two answers mean the same if they begin with the same word."""
    return [each.answers[0].split()[0] == each.prediction.split()[0] for each in rows]


JUDGE = judges.Scored(name="first word", probabilities=first_word)


def every_answer(tiny, tokens, length):
    """Text and probability of each sequence that ends, or is as long as may be."""
    whole = np.array(list(itertools.product(range(VOCAB), repeat=length)), np.int32)
    log_probs = tiny.log_probs(tokens, whole)
    taken = np.take_along_axis(log_probs, whole[..., None], axis=-1)[..., 0]
    found = {}
    for sequence, steps in zip(whole.tolist(), taken, strict=True):
        size = (sequence.index(EOS) + 1) if EOS in sequence else length
        found[tuple(sequence[:size])] = math.exp(steps[:size].sum())
    assert sum(found.values()) == pytest.approx(1, abs=1e-6)
    return found


def true_entropy(answers):
    meanings = collections.Counter()
    for sequence, probability in answers.items():
        words = [token for token in sequence if token not in (0, EOS)]
        meanings[words[0] if words else None] += probability
    return -sum(p * math.log(p) for p in meanings.values() if p)


def rows_of(tiny, **settings):
    predictor = Predictor(
        tiny.module, Words(), settings=DecodeSettings(method="beam", alpha=0.0, **settings)
    )
    inputs = [row[row != 0].tolist() for row in tiny.inputs]
    return [
        Prediction(
            question=str(place),
            answers=("x",),
            prediction=found.text,
            extra={"beams": found.beams()},
        )
        for place, found in enumerate(predictor.predict_tokens(tiny.params, inputs))
    ]


def test_the_entropy_of_all_answers_lies_within_the_bounds(tiny):
    length, beams = 3, 12
    rows = rows_of(tiny, num_beams=beams, max_decode_length=length)
    possible = 1 + 11 + 11**2 + 11**3
    assert rows[0].extra["beams"]["log_possible"] == pytest.approx(math.log(possible))
    for tokens, found in zip(tiny.inputs, semantic_entropy.all_of(rows, JUDGE), strict=True):
        answers = every_answer(tiny, tokens, length)
        assert len(answers) == possible
        assert 0 < found.covered < 1
        assert found.low < true_entropy(answers) < found.high
        assert found.low <= found.value <= found.high


def test_it_is_exact_where_the_beams_are_all_answers(tiny):
    length = 2
    everything = 1 + 11 + 11**2
    rows = rows_of(tiny, num_beams=everything, max_decode_length=length, beam_rules="huggingface")
    for row, tokens, found in zip(
        rows, tiny.inputs, semantic_entropy.all_of(rows, JUDGE), strict=True
    ):
        assert len(row.extra["beams"]["texts"]) == everything
        assert found.covered == pytest.approx(1, abs=1e-5)
        assert found.covered <= 1
        assert found.low == found.high == found.value
        assert found.value == pytest.approx(
            true_entropy(every_answer(tiny, tokens, length)), abs=1e-4
        )


def test_beams_are_different_answers_with_their_own_probabilities(tiny):
    length = 3
    rows = rows_of(tiny, num_beams=5, max_decode_length=length)
    for row, tokens in zip(rows, tiny.inputs, strict=True):
        by_text = collections.defaultdict(list)
        for sequence, probability in every_answer(tiny, tokens, length).items():
            text = Words().decode(token for token in sequence if token not in (0, EOS))
            by_text[text].append(probability)
        beams = row.extra["beams"]
        for text, score in zip(beams["texts"], beams["log_probs"], strict=True):
            near = min(by_text[text], key=lambda p: abs(p - math.exp(score)))
            assert math.exp(score) == pytest.approx(near, rel=1e-3)
            by_text[text].remove(near)


def test_other_ways_of_decoding_write_no_beams(tiny):
    predictor = Predictor(
        tiny.module, Words(), settings=DecodeSettings(method="sample", num_samples=4)
    )
    [found] = predictor.predict(tiny.params, ["2 3"])
    assert found.beams() is None
