"""Beam search against exhaustive search and against a plain beam search over hypotheses."""

import itertools

import jax
import numpy as np
import pytest

from closedbook.inference.steps import top_k

EOS, VOCAB, LENGTH = 1, 12, 4


@pytest.fixture(scope="module")
def tables(tiny):
    """For two inputs, log-probabilities of the next token [vocab] after each prefix."""
    prefixes = np.array(list(itertools.product(range(VOCAB), repeat=LENGTH - 1)))
    padded = np.pad(prefixes, ((0, 0), (0, 1))).astype(np.int32)
    found = []
    for row in tiny.inputs[[3, 5]]:
        log_probs = tiny.log_probs(row, padded)
        found.append(
            {
                tuple(prefix[:length].tolist()): log_probs[i, length]
                for i, prefix in enumerate(prefixes)
                for length in range(LENGTH)
            }
        )
    return found


def _penalty(length, alpha):
    return ((5 + length) / 6) ** alpha


def _exhaustive(table, alpha):
    """The best answer that ends within LENGTH tokens: score, tokens."""
    best = (-np.inf, ())
    for length in range(1, LENGTH + 1):
        for prefix in itertools.product([t for t in range(VOCAB) if t != EOS], repeat=length - 1):
            tokens = (*prefix, EOS)
            total = sum(table[tokens[:i]][token] for i, token in enumerate(tokens))
            best = max(best, (total / _penalty(length, alpha), tokens))
    return best


def _beam_search(table, beams, alpha):
    """The rule of T5X over lists of hypotheses: [(score, log_prob, tokens)], best first."""
    live, finished = [(0.0, ())], []
    for length in range(1, LENGTH + 1):
        grown = sorted(
            (
                (total + table[prefix][t], (*prefix, t))
                for total, prefix in live
                for t in range(VOCAB)
            ),
            reverse=True,
        )[: 2 * beams]
        live = [(total, tokens) for total, tokens in grown if tokens[-1] != EOS][:beams]
        finished += [
            (total / _penalty(length, alpha), total, tokens)
            for total, tokens in grown
            if tokens[-1] == EOS
        ]
        finished = sorted(finished, reverse=True)[:beams]
        hope = live[0][0] / _penalty(LENGTH + 1, alpha)
        if len(finished) == beams and finished[-1][0] > hope:
            break
    return finished or [(total / _penalty(LENGTH, alpha), total, tokens) for total, tokens in live]


def _huggingface_search(table, beams, alpha):
    """The rule of transformers' generate(num_beams=beams, length_penalty=alpha)."""
    live, finished = [(0.0, ())], []
    for length in range(1, LENGTH + 1):
        grown = sorted(
            (
                (total + table[prefix][t], (*prefix, t))
                for total, prefix in live
                for t in range(VOCAB)
            ),
            reverse=True,
        )[: 2 * beams]
        live = [(total, tokens) for total, tokens in grown if tokens[-1] != EOS][:beams]
        finished += [
            (total / length**alpha, total, tokens)
            for total, tokens in grown[:beams]
            if tokens[-1] == EOS or length == LENGTH
        ]
        finished = sorted(finished, reverse=True)[:beams]
        if len(finished) == beams and finished[-1][0] >= live[0][0] / length**alpha:
            break
    return finished


@pytest.mark.parametrize("search", [_beam_search, _huggingface_search])
@pytest.mark.parametrize(("beams", "alpha"), [(1, 0.6), (2, 0.0), (2, 0.6), (3, 2.0)])
def test_beams_equal_a_plain_beam_search(tiny, tables, beams, alpha, search):
    found = tiny.decode(
        tiny.inputs[[3, 5]],
        method="beam",
        num_beams=beams,
        alpha=alpha,
        beam_rules="t5x" if search is _beam_search else "huggingface",
        max_decode_length=LENGTH,
    )
    for i, table in enumerate(tables):
        expected = search(table, beams, alpha)
        for j, (score, log_prob, tokens) in enumerate(expected):
            assert found.tokens[i, j].tolist() == [*tokens, *[0] * (LENGTH - len(tokens))]
            np.testing.assert_allclose(found.log_probs[i, j], log_prob, atol=1e-4)
            np.testing.assert_allclose(found.scores[i, j], score, atol=1e-4)
        assert np.isneginf(found.scores[i, len(expected) :]).all()


def test_enough_beams_find_the_best_answer_of_all(tiny, tables):
    alpha = 1.5
    beams = (VOCAB - 1) ** (LENGTH - 1)  # all prefixes that have not ended
    found = tiny.decode(
        tiny.inputs[[3, 5]], method="beam", num_beams=beams, alpha=alpha, max_decode_length=LENGTH
    )
    for i, table in enumerate(tables):
        score, tokens = _exhaustive(table, alpha)
        assert found.tokens[i, 0].tolist() == [*tokens, *[0] * (LENGTH - len(tokens))]
        np.testing.assert_allclose(found.scores[i, 0], score, atol=1e-4)


def test_beams_are_sorted_and_differ(tiny):
    found = tiny.decode(method="beam", num_beams=4)
    assert (found.scores[:, :-1] >= found.scores[:, 1:]).all()
    for row, scores in zip(found.tokens, found.scores, strict=True):
        real = [tuple(t) for t, s in zip(row.tolist(), scores, strict=True) if np.isfinite(s)]
        assert len(set(real)) == len(real)


def test_unfinished_beams_come_back_when_none_has_ended(tiny):
    found = tiny.decode(method="beam", num_beams=2, max_decode_length=1)
    first = tiny.decode(max_decode_length=1)
    for i, row in enumerate(tiny.inputs):
        log_probs = tiny.log_probs(row, np.zeros((1, 1), np.int32))[0, 0]
        best = np.argsort(-log_probs)
        if EOS in best[:4]:  # of the 2 * 2 candidates only EOS has ended
            assert found.tokens[i, 0, 0] == EOS
            assert np.isneginf(found.log_probs[i, 1])
        else:
            assert found.tokens[i, :, 0].tolist() == best[:2].tolist()
            assert found.tokens[i, 0, 0] == first.tokens[i, 0, 0]


def test_top_k_equals_the_plain_one_ties_included():
    random = np.random.default_rng(0)
    whole = random.integers(0, 50, (3, 4, 5000)).astype(np.float32)  # many ties
    for x, k in ((whole, 8), (random.normal(size=(7, 2000)).astype(np.float32), 5), (whole, 30)):
        for found, expected in zip(top_k(x, k), jax.lax.top_k(x, k), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_top_k_takes_minus_infinity_last_and_within_range():
    x = np.full((2, 1000), -np.inf, np.float32)
    x[:, 999] = 1.0
    values, indices = top_k(x, 3)
    assert indices[:, 0].tolist() == [999, 999]
    assert values[0].tolist() == [1.0, -np.inf, -np.inf]
    assert (np.asarray(indices) < 1000).all()
