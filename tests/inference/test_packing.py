"""Inputs that share rows of the encoder: where their tokens lie, and that answers stay."""

import jax.numpy as jnp
import numpy as np
import pytest

from closedbook.inference import DecodeSettings, Predictor
from closedbook.inference.packing import dealt, packing_of, packings_of

LENGTHS = [3, 30, 0, 17, 40, 9, 21, 5] * 4
WAYS = {"greedy": {}, "beam": {"num_beams": 2}, "sample": {"num_samples": 2, "seed": 3}}


def _batch(lengths):
    random, tokens = np.random.default_rng(1), np.zeros((len(lengths), 48), np.int32)
    for row, length in zip(tokens, lengths, strict=True):
        row[:length] = random.integers(2, 12, length)
        row[1 : length - 1 : 7] = 0  # padding within an input keeps its place
    return tokens


def test_every_token_has_a_place_of_its_own_among_those_of_its_input():
    tokens = _batch(LENGTHS)
    found = packing_of(tokens, 0)
    assert found.segments.shape == (4, 128)  # for 500 tokens
    packed = np.asarray(found.packed(jnp.asarray(tokens)))
    for number, (row, places, length) in enumerate(
        zip(tokens, found.places, LENGTHS, strict=True), start=1
    ):
        np.testing.assert_array_equal(np.flatnonzero(found.segments == number), places[:length])
        np.testing.assert_array_equal(packed.ravel()[places[:length]], row[:length])
        assert (places[length:] == packed.size).all()
    assert not packed[found.segments == 0].any()
    values = jnp.asarray(packed)[None, :, None, :, None]  # a layer and a head
    back = np.asarray(found.unpacked(values))[0, :, 0, :, 0]
    np.testing.assert_array_equal(np.where(tokens > 0, back, 0), tokens)


def test_no_rows_are_shared_where_that_saves_nothing():
    assert packing_of(_batch([48] * 32), 0) is None
    assert packing_of(_batch([3]), 0) is None


def test_no_rows_are_shared_by_long_inputs():
    assert packing_of(np.ones((8, 128), np.int32) * (np.arange(128) < 50), 0) is not None
    assert packing_of(np.ones((8, 129), np.int32) * (np.arange(129) < 50), 0) is None


def test_batches_of_one_shape_need_one_program():
    few, many, other = _batch([5] * 32), _batch([20] * 32), _batch([20] * 8)
    alone = [packing_of(each, 0).segments.shape for each in (few, many, other)]
    assert alone == [(2, 128), (6, 128), (2, 128)]
    found = packings_of([few, many, other], 0)
    assert [each.segments.shape for each in found] == [(6, 128), (6, 128), (2, 128)]
    packed = np.asarray(found[0].packed(jnp.asarray(few)))
    assert np.count_nonzero(packed) == np.count_nonzero(few)
    assert not packed[2:].any()
    assert packings_of([few, _batch([48] * 32)], 0) == [None, None]
    assert packings_of([], 0) == []


def test_batches_of_one_width_hold_about_as_many_tokens():
    batches = [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    assert dealt(batches, [16, 24, 24, 24]) == [[0, 1, 2], [9], [3, 5, 7], [4, 6, 8]]


@pytest.mark.parametrize("way", WAYS)
def test_answers_are_those_of_inputs_that_share_no_row(tiny, way):
    settings = DecodeSettings(method=way, max_decode_length=6, **WAYS[way])
    inputs = [[*(x for x in row if x), 1] for row in _batch(LENGTHS * 2).tolist()]
    seen, found = [], []
    for packs in (False, True):
        predictor = Predictor(
            tiny.module, _Ids(), settings=settings, batch_size=32, packs=packs, quick_compile=True
        )
        decode = predictor.decode_function

        def watched(*args, decode=decode, **packing):
            seen.append(packing["packing"].segments.shape if packing else None)
            return decode(*args, **packing)

        predictor.decode_function = watched
        found.append(predictor.predict_tokens(tiny.params, inputs))
    assert seen[:2] == [None, None]
    assert any(seen[2:])
    for one, other in zip(*found, strict=True):
        assert one.tokens == other.tokens
        np.testing.assert_allclose(one.log_prob, other.log_prob, atol=1e-4)


class _Ids:
    def decode(self, ids):
        return " ".join(map(str, ids))
