"""Samples follow the distribution that they claim to follow."""

import jax
import numpy as np
import pytest

from closedbook.inference.sampling import draw

N = 20_000
# Critical values of chi-square at 1 in 10,000 by degrees of freedom (tables).
CHI_SQUARE = {2: 18.42, 3: 21.11, 4: 23.51, 5: 25.74}


def _counts(logits, **settings):
    options = {"temperature": 1.0, "top_k": 0, "top_p": 1.0} | settings
    keys = jax.random.split(jax.random.key(7), N)
    drawn = jax.jit(draw, static_argnames=tuple(options))(
        np.tile(np.float32(logits), (N, 1)), keys, **options
    )
    return np.bincount(np.asarray(drawn), minlength=len(logits))


def _assert_distributed(counts, probs):
    probs = np.array(probs)
    assert not counts[probs == 0].any()
    expected = N * probs[probs > 0]
    statistic = ((counts[probs > 0] - expected) ** 2 / expected).sum()
    assert statistic < CHI_SQUARE[len(expected) - 1]


PROBS = np.array([0.35, 0.25, 0.2, 0.1, 0.06, 0.04])


def test_plain_samples_have_the_models_probabilities():
    _assert_distributed(_counts(np.log(PROBS) + 3), PROBS)


def test_temperature_raises_probabilities_to_its_inverse():
    powered = PROBS**2
    _assert_distributed(_counts(np.log(PROBS), temperature=0.5), powered / powered.sum())


def test_top_k_keeps_the_k_most_probable_renormalised():
    order = [3, 0, 5, 1, 4, 2]
    kept = np.where(PROBS >= 0.1, PROBS, 0) / 0.9
    _assert_distributed(_counts(np.log(PROBS[order]), top_k=4), kept[order])


def test_top_p_keeps_the_fewest_that_reach_it():
    # 0.35 + 0.25 = 0.6 is short of 0.7; with 0.2 it is enough.
    kept = np.array([0.35, 0.25, 0.2, 0, 0, 0]) / 0.8
    _assert_distributed(_counts(np.log(PROBS), top_p=0.7), kept)


def test_top_p_applies_to_what_top_k_left():
    # After top_k=4 the probabilities are 0.389, 0.278, 0.222, 0.111; two reach 0.65.
    kept = np.array([0.35, 0.25, 0, 0, 0, 0]) / 0.6
    counts = _counts(np.log(PROBS), top_k=4, top_p=0.65)
    assert not counts[2:].any()
    assert abs(counts[0] / N - kept[0]) < 4 * np.sqrt(kept[0] * kept[1] / N)


def test_first_tokens_follow_the_models_own_distribution(tiny):
    found = tiny.decode(tiny.inputs[3:4], method="sample", num_samples=N, max_decode_length=1)
    counts = np.bincount(found.tokens[0, :, 0], minlength=12)
    probs = np.exp(tiny.log_probs(tiny.inputs[3], np.zeros((1, 1), np.int32))[0, 0])
    # Rare tokens are pooled: chi-square wants at least a few expected of each.
    common = np.flatnonzero(probs * N >= 10)
    rest = 1 - probs[common].sum()
    observed = np.append(counts[common], N - counts[common].sum())
    expected = N * np.append(probs[common], max(rest, 1e-9))
    if expected[-1] < 10:
        observed, expected = observed[:-1], expected[:-1]
    statistic = ((observed - expected) ** 2 / expected).sum()
    # For at most 11 degrees of freedom, 1 in 10,000.
    assert statistic < 37.4


@pytest.mark.parametrize("settings", [{"top_k": 1}, {"top_p": 1e-6}, {"temperature": 1e-4}])
def test_a_single_choice_is_greedy(tiny, settings):
    found = tiny.decode(method="sample", **settings)
    expected = tiny.decode()
    np.testing.assert_array_equal(found.tokens, expected.tokens)
    # The log-probability is the model's own, not that of the narrowed choice.
    np.testing.assert_allclose(found.log_probs, expected.log_probs, atol=1e-5)


def test_the_seed_reproduces_and_another_differs(tiny):
    settings = {"method": "sample", "num_samples": 5, "temperature": 2.0}
    first, again = tiny.decode(**settings), tiny.decode(**settings)
    np.testing.assert_array_equal(first.tokens, again.tokens)
    other = tiny.decode(**settings, seed=1)
    assert (first.tokens != other.tokens).any()
    # Samples of an input differ from each other, too.
    assert all(len({tuple(t) for t in row.tolist()}) > 1 for row in first.tokens)
    assert (np.diff(first.scores, axis=1) <= 0).all()
