"""What must not change an answer: padding, the other rows, fillers, scanned layers."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from closedbook.inference import greedy, steps

WAYS = {
    "greedy": {},
    "beam": {"method": "beam", "num_beams": 4},
    "sample": {"method": "sample", "num_samples": 5, "temperature": 2.0},
}


def _assert_same(found, expected):
    np.testing.assert_array_equal(found.tokens, expected.tokens)
    np.testing.assert_allclose(found.log_probs, expected.log_probs, atol=1e-4)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_padding_other_rows_and_fillers_change_nothing(tiny, way):
    expected = tiny.decode(**WAYS[way])
    wide = np.pad(tiny.inputs[:4], ((0, 4), (0, 7)))  # longer rows; four that are padding alone
    found = tiny.decode(wide, **WAYS[way])
    _assert_same(*(jax.tree.map(lambda x: x[:4], d) for d in (found, expected)))
    assert not found.tokens[4:].any()
    assert not found.log_probs[4:].any()
    assert not found.scores[4:].any()


@pytest.mark.parametrize("way", WAYS)
def test_log_probs_equal_teacher_forced_scores(tiny, way):
    found = tiny.decode(**WAYS[way])
    beams = found.tokens.shape[1]
    finite = np.isfinite(found.log_probs)
    # Weights by hand: an answer may hold padding, and may end in it when it was cut.
    ended = found.tokens == 1
    weights = np.cumsum(ended, axis=-1) - ended == 0
    given = tiny.score(tiny.inputs, found.tokens, weights)
    assert given.shape == (8, beams)
    np.testing.assert_allclose(given[finite], found.log_probs[finite], atol=1e-4)


def test_scanned_layers_decode_the_same(tiny):
    scanned = dataclasses.replace(
        tiny,
        config=dataclasses.replace(tiny.config, scan_layers=True),
        params={
            name: _stack(stack) if name != "token_embedder" else stack
            for name, stack in tiny.params.items()
        },
    )
    for settings in WAYS.values():
        _assert_same(scanned.decode(**settings), tiny.decode(**settings))


def _stack(stack):
    """`layers_i` as one entry `layers` with the layer on axis 1."""
    layers = [stack[f"layers_{i}"] for i in range(len(stack)) if f"layers_{i}" in stack]
    rest = {name: value for name, value in stack.items() if not name.startswith("layers_")}
    return rest | {"layers": jax.tree.map(lambda *x: jnp.stack(x, axis=1), *layers)}


def test_decoding_stops_with_the_last_answer_and_fillers_do_not_delay_it(tiny, monkeypatch):
    calls, real = [], steps.step

    def counted(*args):
        jax.debug.callback(lambda: calls.append(1))
        return real(*args)

    monkeypatch.setattr(steps, "step", counted)
    run = jax.jit(functools.partial(greedy, tiny.module, max_decode_length=6))
    answers = tiny.decode().tokens[:, 0]
    for length in (1, 2, 3):
        row = tiny.inputs[answers[:, length - 1] == 1][:1]
        found = run(tiny.params, np.concatenate([row, np.zeros_like(row)]))
        jax.effects_barrier()
        assert found.tokens[0, 0, length - 1] == 1
        assert len(calls) == length
        calls.clear()


def test_score_counts_up_to_the_last_token_and_takes_weights(tiny):
    targets = np.zeros((8, 5), np.int32)
    targets[:, :3] = [4, 0, 1]  # a padding token inside counts
    found = tiny.score(tiny.inputs, targets[:, None])[:, 0]
    first = tiny.score(tiny.inputs, targets[:, None], np.eye(5)[[0] * 8][:, None])[:, 0]
    for i, row in enumerate(tiny.inputs):
        log_probs = tiny.log_probs(row, targets[i : i + 1])[0]
        total = log_probs[0, 4] + log_probs[1, 0] + log_probs[2, 1]
        np.testing.assert_allclose(found[i], total, atol=1e-4)
        np.testing.assert_allclose(first[i], log_probs[0, 4], atol=1e-4)


def test_empty_candidate_scores_zero(tiny):
    candidates = np.zeros((8, 2, 3), np.int32)
    candidates[:, 0] = [5, 1, 0]
    found = tiny.score(tiny.inputs, candidates)
    assert (found[:, 0] < 0).all()
    assert not found[:, 1].any()
