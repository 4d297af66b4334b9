"""Order, packing and position of training batches."""

import collections
import itertools

import numpy as np
import pytest

from closedbook.data.batches import Batches
from closedbook.data.converters import EncDecFeatureConverter
from closedbook.errors import UserError

LENGTHS = {"inputs": 48, "targets": 16}


def segments(batch):
    """(inputs, targets) of every segment, read off the segment ids."""
    found = []
    for row in range(len(batch["encoder_input_tokens"])):
        for number in range(1, batch["decoder_segment_ids"][row].max() + 1):
            pair = []
            for side, tokens in (
                ("encoder", "encoder_input_tokens"),
                ("decoder", "decoder_target_tokens"),
            ):
                inside = batch[f"{side}_segment_ids"][row] == number
                assert batch[f"{side}_positions"][row][inside].tolist() == list(range(inside.sum()))
                pair.append(tuple(batch[tokens][row][inside].tolist()))
            found.append(tuple(pair))
    return found


def pairs(tokens):
    return [
        (tuple(tokens.inputs(i).tolist()), tuple(tokens.targets(i).tolist()))
        for i in range(len(tokens))
    ]


def epoch(batches, number):
    each = (batches.batch(number, index) for index in itertools.count())
    return list(itertools.takewhile(lambda batch: batch is not None, each))


@pytest.mark.parametrize("batch_size", [1, 4, 7])
def test_each_example_stands_exactly_once_in_an_epoch(made, batch_size):
    tokens = made(211)
    batches = Batches([(tokens, 1.0)], batch_size, LENGTHS, pack=True, seed=3)
    orders = []
    for number in range(3):
        found = [pair for batch in epoch(batches, number) for pair in segments(batch)]
        assert collections.Counter(found) == collections.Counter(pairs(tokens))
        orders.append(found)
    assert orders[0] != orders[1] != orders[2]


@pytest.mark.parametrize("pack", [False, True])
def test_a_process_writes_its_own_rows_as_they_stand_in_the_whole_batch(made, pack):
    sources = [(made(90), 1.0), (made(60), 1.0)]
    whole = epoch(Batches(sources, 6, LENGTHS, pack, 3), 0)
    parts = [
        epoch(Batches(sources, 6, LENGTHS, pack, 3, own_rows=own), 0)
        for own in (range(2), range(2, 6))
    ]
    assert len(whole) == len(parts[0]) == len(parts[1]) > 3
    for batch, *of in zip(whole, *parts, strict=True):
        for name, rows in batch.items():
            first, second = (part[name] for part in of)
            assert first.dtype == second.dtype == rows.dtype
            np.testing.assert_array_equal(first[:2], rows[:2])
            np.testing.assert_array_equal(second[2:], rows[2:])
            assert not first[2:].any()
            assert not second[:2].any()


def test_unpacked_rows_hold_one_example_each(made):
    tokens = made(50)
    batches = Batches([(tokens, 1.0)], 8, LENGTHS, pack=False, seed=0)
    found = collections.Counter()
    for batch in epoch(batches, 0):
        assert "encoder_segment_ids" not in batch
        for inputs, targets in zip(
            batch["encoder_input_tokens"], batch["decoder_target_tokens"], strict=True
        ):
            if targets.any():
                found[tuple(inputs[inputs > 0].tolist()), tuple(targets[targets > 0].tolist())] += 1
    assert found == collections.Counter(pairs(tokens))
    assert len(epoch(batches, 0)) == 7


def test_packing_wastes_little(made):
    tokens = made(4000, longest=(20, 8))
    batches = Batches([(tokens, 1.0)], 16, {"inputs": 128, "targets": 64}, pack=True, seed=0)
    filled = [(batch["encoder_input_tokens"] > 0).mean() for batch in epoch(batches, 0)]
    assert np.mean(filled[:-1]) > 0.93


@pytest.mark.parametrize("begin_id", [0, 7])
def test_arrays_equal_seqios_packing(made, begin_id):
    """With the same examples in a row, every array is SeqIO's."""
    seqio = pytest.importorskip("seqio")
    import tensorflow as tf

    tokens = made(3, longest=(14, 5))
    converter = EncDecFeatureConverter(begin_id)
    batch = Batches([(tokens, 1.0)], 1, LENGTHS, True, 0, converter=converter).batch(0, 0)
    rows = [{"inputs": list(a), "targets": list(b)} for a, b in segments(batch)]
    signature = {key: tf.TensorSpec([None], tf.int32) for key in ("inputs", "targets")}
    dataset = tf.data.Dataset.from_generator(lambda: rows, output_signature=signature)
    convert = seqio.EncDecFeatureConverter(pack=True, bos_id=begin_id)
    theirs = next(convert(dataset, LENGTHS).as_numpy_iterator())
    # SeqIO's begins rows that have no example too, whose first token nothing reads.
    inside = theirs["decoder_segment_ids"] > 0
    theirs["decoder_input_tokens"] = theirs["decoder_input_tokens"] * inside
    assert set(theirs) == set(batch)
    for name, expected in theirs.items():
        np.testing.assert_array_equal(batch[name][0], expected, err_msg=name)
        assert batch[name].dtype == np.int32


@pytest.mark.parametrize("pack", [True, False])
def test_restoring_any_position_gives_the_same_batches(made, pack):
    sources = [(made(90, answers=2), 3.0), (made(40, seed=1), 1.0)]
    batches = Batches(sources, 4, LENGTHS, pack, seed=5)
    states, expected = [], []
    for _ in range(3 * len(epoch(batches, 0))):
        states.append(batches.state())
        expected.append(next(batches))
    for start in np.random.default_rng(0).integers(0, len(states), 6):
        resumed = Batches(sources, 4, LENGTHS, pack, seed=5)
        resumed.restore(states[start])
        for batch in expected[start:]:
            again = next(resumed)
            for name in batch:
                np.testing.assert_array_equal(again[name], batch[name])


def test_seeds_give_different_orders_and_the_same_seed_the_same(made):
    tokens = made(60)
    first, second, other = (
        next(Batches([(tokens, 1.0)], 4, LENGTHS, True, seed))["encoder_input_tokens"]
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_the_order_never_changes_between_versions(made):
    """A saved position means the same batch under every later NumPy."""
    from closedbook.data.batches import _permutation

    assert _permutation(8, 0, 0, 0, 0).tolist() == sorted(
        range(8),
        key=np.random.Philox(np.random.SeedSequence([0, 0, 0, 0]))
        .random_raw(8)
        .tolist()
        .__getitem__,
    )


def test_long_examples_are_trimmed_and_keep_their_eos(made):
    tokens = made(20, longest=(40, 30))
    batches = Batches([(tokens, 1.0)], 20, {"inputs": 10, "targets": 6}, pack=False, seed=0)
    batch = next(batches)
    expected = collections.Counter(
        ((*a[:9], 1) if len(a) > 10 else a, (*b[:5], 1) if len(b) > 6 else b)
        for a, b in pairs(tokens)
    )
    rows = zip(
        batch["encoder_input_tokens"].tolist(), batch["decoder_target_tokens"].tolist(), strict=True
    )
    assert (
        collections.Counter((tuple(filter(None, a)), tuple(filter(None, b))) for a, b in rows)
        == expected
    )


def test_examples_without_eos_are_trimmed_without_one(made):
    batches = Batches(
        [(made(20, longest=(40, 8), eos=False), 1.0)], 20, {"inputs": 10, "targets": 16}, False, 0
    )
    assert not (next(batches)["encoder_input_tokens"] == 1).any()


def test_weights_and_shift(made):
    batch = next(Batches([(made(40), 1.0)], 4, LENGTHS, True, 0))
    targets, inputs = batch["decoder_target_tokens"], batch["decoder_input_tokens"]
    np.testing.assert_array_equal(batch["decoder_loss_weights"], targets > 0)
    starts = batch["decoder_positions"] == 0
    assert not inputs[starts].any()
    np.testing.assert_array_equal(inputs[:, 1:][~starts[:, 1:]], targets[:, :-1][~starts[:, 1:]])


def test_a_mixture_by_size_has_every_example_once_an_epoch(made):
    first, second = made(90), made(30, seed=1)
    batches = Batches([(first, 90.0), (second, 30.0)], 4, LENGTHS, True, 0)
    found = [pair for batch in epoch(batches, 1) for pair in segments(batch)]
    assert collections.Counter(found) == collections.Counter(pairs(first) + pairs(second))
    half = found[: len(found) // 2]
    assert 5 <= sum(pair in pairs(second) for pair in half) <= 25  # interleaved


def test_a_mixture_by_rate_goes_through_each_source_in_turn(made):
    first, second = made(90), made(30, seed=1)
    batches = Batches([(first, 1.0), (second, 3.0)], 4, LENGTHS, True, 0)
    found = collections.Counter()
    for number in range(3):  # 3 epochs of 120 draws: 90 of the first, 270 of the second
        found.update(pair for batch in epoch(batches, number) for pair in segments(batch))
    assert found == collections.Counter(pairs(first) + 9 * pairs(second))


def test_random_answers_change_from_epoch_to_epoch(made):
    tokens = made(30, answers=3)
    batches = Batches([(tokens, 1.0)], 8, LENGTHS, True, 0)
    answers = {
        tuple(tokens.inputs(i).tolist()): {tuple(tokens.targets(i, a).tolist()) for a in range(3)}
        for i in range(30)
    }
    seen = collections.defaultdict(set)
    for number in range(12):
        found = [pair for batch in epoch(batches, number) for pair in segments(batch)]
        assert len(found) == 30
        for inputs, targets in found:
            assert targets in answers[inputs]
            seen[inputs].add(targets)
    assert sum(len(targets) == 3 for targets in seen.values()) > 20


def test_a_position_that_does_not_exist_is_refused(made):
    batches = Batches([(made(20), 1.0)], 4, LENGTHS, True, 0)
    with pytest.raises(UserError, match=r"epoch 0 and batch 99.*data, the batch size"):
        batches.restore({"epoch": 0, "index": 99})
    batches.restore({"epoch": 0, "index": len(epoch(batches, 0))})  # the end of an epoch
    next(batches)
    assert batches.state() == {"epoch": 1, "index": 1}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch_size": 0}, "BATCH_SIZE is 0"),
        ({"lengths": {"inputs": 8}}, "no length for 'targets'"),
        ({"seed": -1}, "seed"),
        ({"sources": []}, "at least one task"),
    ],
)
def test_wrong_arguments_are_the_users_errors(made, changed, message):
    arguments = {
        "sources": [(made(5), 1.0)],
        "batch_size": 4,
        "lengths": LENGTHS,
        "pack": True,
        "seed": 0,
    }
    with pytest.raises(UserError, match=message):
        Batches(**arguments | changed)
