"""Greedy decoding with a cache against decoding the whole answer anew for every token."""

import jax
import jax.numpy as jnp
import numpy as np

from closedbook.inference.protocol import start, step
from closedbook.inference.steps import argmax, lengths


def _slow_greedy(tiny, row, length):
    """[tokens], log-probability; no cache, one token at a time."""
    tokens = np.zeros((1, length), np.int32)
    total = 0.0
    for i in range(length):
        log_probs = tiny.log_probs(row, tokens)[0, i]
        tokens[0, i] = log_probs.argmax()
        total += log_probs.max()
        if tokens[0, i] == 1:
            break
    return tokens[0], total


def test_cached_decoding_equals_decoding_anew(tiny):
    found = tiny.decode()
    for i, row in enumerate(tiny.inputs):
        tokens, total = _slow_greedy(tiny, row, 6)
        np.testing.assert_array_equal(found.tokens[i, 0], tokens)
        np.testing.assert_allclose(found.log_probs[i, 0], total, atol=1e-4)


def test_cached_logits_equal_teacher_forced_logits(tiny):
    answers = tiny.decode().tokens[:, 0]

    @jax.jit
    def cached(params, inputs, tokens):
        first, state = start(tiny.module, params, inputs, 1, 6)
        given = jnp.concatenate([first[:, None], tokens[:, :-1]], axis=1)
        steps = []
        for i in range(6):
            logits, state = step(tiny.module, params, given[:, i : i + 1], jnp.int32(i), state)
            steps.append(logits)
        return jax.nn.log_softmax(jnp.concatenate(steps, axis=1))

    found = cached(tiny.params, tiny.inputs, answers)
    for i, row in enumerate(tiny.inputs):
        np.testing.assert_allclose(found[i], tiny.log_probs(row, answers[i : i + 1])[0], atol=1e-5)


def test_model_of_the_fixture_ends_early_late_and_never(tiny):
    ends = lengths(tiny.decode().tokens[:, 0], 1).tolist()
    assert 1 in ends
    assert len(set(ends)) >= 4
    assert not (tiny.decode().tokens[:, 0] == 1).any(axis=1).all()


def test_only_zeros_stand_after_the_end(tiny):
    for tokens in tiny.decode().tokens[:, 0]:
        ended = np.flatnonzero(tokens == 1)
        if len(ended):
            assert not tokens[ended[0] + 1 :].any()


def test_answer_is_cut_at_the_maximal_length(tiny):
    long, short = tiny.decode().tokens, tiny.decode(max_decode_length=2).tokens
    assert short.shape == (8, 1, 2)
    np.testing.assert_array_equal(long[:, :, :2], short)


def test_score_is_the_log_probability_over_the_brevity_penalty(tiny):
    found = tiny.decode()
    # ((5 + length) / 6) ** 0.6
    by_length = {1: 1.0, 2: 1.0969, 3: 1.1884, 4: 1.2754, 5: 1.3587, 6: 1.4387}
    penalty = np.vectorize(by_length.get)(np.asarray(lengths(found.tokens, 1)))
    np.testing.assert_allclose(found.scores, found.log_probs / penalty, rtol=1e-4)


def test_argmax_takes_the_first_of_equals():
    x = jnp.array([[1.0, 3.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0], [-1.0, -2.0, -jnp.inf, -1.0]])
    assert argmax(x).tolist() == [1, 0, 0]
    wide = np.random.default_rng(0).integers(0, 9, (6, 3000)).astype(np.float32)
    np.testing.assert_array_equal(argmax(wide), wide.argmax(axis=1))
