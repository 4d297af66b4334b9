"""Which examples share a row: by the definition, and beside SeqIO's own packing."""

import itertools

import numpy as np
import pytest

from closedbook.data.placing import placements


def defined(inputs, targets, widths, lookahead):
    """Rows by the definition, one example after another."""
    waiting, rows = list(range(len(inputs))), []
    while waiting:
        room, row, missed = list(widths), [], None
        for place in waiting:
            if missed is not None and place > missed + lookahead:
                break
            needs = (min(inputs[place], widths[0]), min(targets[place], widths[1]))
            if needs[0] <= room[0] and needs[1] <= room[1]:
                row.append(place)
                room = [room[0] - needs[0], room[1] - needs[1]]
            elif missed is None:
                missed = place
        rows.append(row)
        waiting = [place for place in waiting if place not in row]
    return rows


def placed(inputs, targets, widths, lookahead, row_count):
    """The same from `placements`, over all batches."""
    rows = []
    for batch in placements(
        inputs,
        targets,
        row_count=row_count,
        inputs_length=widths[0],
        targets_length=widths[1],
        lookahead=lookahead,
    ):
        assert batch.rows.max() < row_count
        assert (np.diff(batch.rows) >= 0).all()
        rows += [batch.places[batch.rows == row].tolist() for row in range(batch.rows.max() + 1)]
    return rows


@pytest.mark.parametrize("lookahead", [0, 1, 5, 32])
@pytest.mark.parametrize("longest", [(20, 6), (60, 20), (9, 25)])  # rows of many or few examples
def test_rows_are_filled_as_defined(lookahead, longest):
    random = np.random.default_rng(lookahead)
    for least in (0, 1):
        inputs, targets = (random.integers(least, most, 300) for most in longest)
        expected = defined(inputs, targets, (48, 16), lookahead)
        assert sorted(itertools.chain(*expected)) == list(range(300))
        for row_count in (1, 7):
            assert placed(inputs, targets, (48, 16), lookahead, row_count) == expected


def test_without_a_look_ahead_rows_are_seqios():
    """The same examples in the same rows, by `trim_and_pack_dataset` itself."""
    seqio = pytest.importorskip("seqio")
    import tensorflow as tf

    widths, random = {"inputs": 48, "targets": 16}, np.random.default_rng(0)
    # SeqIO packs so many at once as the longest row has tokens.
    lengths = {
        name: random.integers(1, most, 48) for name, most in (("inputs", 30), ("targets", 9))
    }
    rows = [
        {name: np.full(each[place], place + 1, np.int32) for name, each in lengths.items()}
        for place in range(48)
    ]
    signature = {name: tf.TensorSpec([None], tf.int32) for name in widths}
    dataset = tf.data.Dataset.from_generator(lambda: rows, output_signature=signature)
    packed = seqio.trim_and_pack_dataset(dataset, widths).as_numpy_iterator()
    theirs = [sorted({*row["inputs"].tolist()} - {0}) for row in packed]
    ours = placed(lengths["inputs"], lengths["targets"], (48, 16), lookahead=0, row_count=5)
    assert [[place + 1 for place in row] for row in ours] == theirs
