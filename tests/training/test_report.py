"""Metrics under T5X's names have T5X's values; `model-info.txt` has T5X's lines."""

import dataclasses
import re
import time

import jax
import jax.numpy as jnp
import optax
import pytest

from closedbook.parallel import Partitioner
from closedbook.telemetry import Throughput
from closedbook.training import loop, report
from closedbook.training.loss import fillings, normalize_weights
from closedbook.training.model_info import describe
from closedbook.training.state import abstract_state

PACKED = {
    "encoder_segment_ids": [[1, 1, 2, 2, 0, 0], [1, 1, 1, 1, 1, 1], [1, 2, 3, 3, 3, 0]],
    "decoder_segment_ids": [[1, 2, 2, 0], [1, 1, 1, 1], [1, 2, 3, 0]],
    "decoder_target_tokens": [[5, 7, 1, 0], [5, 7, 7, 1], [1, 1, 1, 0]],
    "decoder_loss_weights": [[1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 0]],
}


def _arrays(batch):
    return {name: jnp.asarray(rows) for name, rows in batch.items()}


def test_the_filling_of_a_batch_is_counted_as_t5x_counts_it():
    batch = _arrays(PACKED)
    counts = jax.device_get(fillings(batch, batch["decoder_loss_weights"]))
    assert counts == {
        "loss_weights": 10,
        "sequences": 3,
        "positions/loss_weights": 12,
        "examples/encoder": 6,
        "tokens/encoder": 15,
        "positions/encoder": 18,
        "examples/decoder": 6,
        "tokens/decoder": 10,
        "positions/decoder": 12,
    }
    plain = _arrays(
        {
            "encoder_input_tokens": [[4, 5, 0], [0, 0, 0]],
            "decoder_target_tokens": [[4, 1], [0, 0]],
            "decoder_loss_weights": [[1, 1], [0, 0]],
        }
    )
    counts = jax.device_get(fillings(plain, plain["decoder_loss_weights"]))
    stacks = ("encoder_input_tokens", "decoder_target_tokens")
    assert [counts[f"examples/{name}"] for name in stacks] == [1, 1]
    assert [counts[f"tokens/{name}"] for name in stacks] == [2, 2]
    assert [counts[f"positions/{name}"] for name in stacks] == [6, 4]


def _rows(divisor):
    """Two steps with losses of 20 and 30 over 10 targets each."""
    batch = _arrays(PACKED)
    counts = jax.device_get(fillings(batch, batch["decoder_loss_weights"]))
    return [
        {
            **counts,
            "loss": loss,
            "cross_ent_loss": loss - 2.0,
            "z_loss": 2.0,
            "correct": 4.0,
            "target_tokens": 10.0,
            "input_tokens": 15.0,
            "loss_divisor": divisor,
            "learning_rate": rate,
            "gradient_norm": 3.0,
            "parameter_norm": norm,
        }
        for loss, rate, norm in ((20.0, 0.1, 5.0), (30.0, 0.3, 6.0))
    ]


def test_t5xs_names_have_the_normalised_sum_and_ours_the_mean_over_tokens():
    found = report.means(_rows(divisor=5.0))
    assert found == {
        "accuracy": 0.4,
        "loss": 5.0,  # (20 + 30) / 5, of two steps
        "cross_ent_loss": pytest.approx(4.6),
        "z_loss": pytest.approx(0.4),
        "loss_per_nonpadding_target_token": 0.5,
        "loss_per_all_target_tokens": pytest.approx(10 / 24),
        "cross_ent_loss_per_all_target_tokens": pytest.approx(9.2 / 24),
        "z_loss_per_all_target_tokens": pytest.approx(0.8 / 24),
        "loss_per_token": 2.5,
        "cross_ent_loss_per_token": pytest.approx(2.3),
        "z_loss_per_token": pytest.approx(0.2),
        "effective_batch_size/encoder": 6.0,
        "effective_batch_size/decoder": 6.0,
        "non_padding_fraction/encoder": pytest.approx(15 / 18),
        "non_padding_fraction/decoder": pytest.approx(10 / 12),
        "non_padding_fraction/loss_weights": pytest.approx(10 / 12),
        "non_padding_fraction/overall": pytest.approx(25 / 30),
        "learning_rate": pytest.approx(0.2),
        "learning_rate/current": 0.3,
        "gradient_norm": 3.0,
        "parameter_norm": 6.0,
        "target_tokens": 10.0,
        "input_tokens": 15.0,
    }


def test_weights_that_average_over_sequences_give_the_mean_of_their_means():
    batch = _arrays({name: rows for name, rows in PACKED.items() if "segment" not in name})
    weights, divisor = normalize_weights("AVERAGE_PER_SEQUENCE", batch)
    counts = jax.device_get(fillings(batch | {"encoder_input_tokens": weights > 0}, weights))
    assert float(counts["loss_weights"]) == pytest.approx(3.0)
    assert float(divisor) == pytest.approx(3.0)


def test_rates_are_of_the_steps_that_were_timed():
    now = 0.0
    throughput = Throughput(devices=1, clock=lambda: now)
    assert report.timing(throughput, _rows(1.0)) == {}
    throughput.count(steps=4, tokens=100)
    throughput.waited(0.5)
    now = 2.0
    found = report.timing(throughput, _rows(1.0))
    cores = jax.device_count()
    assert found == {
        "timing/seconds": 2.0,
        "timing/seqs": 12.0,
        "timing/data_wait_seconds": 0.5,
        "timing/data_wait_share": 0.25,
        "timing/steps_per_second": 2.0,
        "timing/seqs_per_second": 6.0,
        "timing/seqs_per_second_per_core": 6.0 / cores,
        "timing/target_tokens_per_second": 24.0,
        "timing/target_tokens_per_second_per_core": 24.0 / cores,
    }
    throughput.report()
    assert throughput.waits == 0  # a new window


def test_a_batch_is_waited_for_only_where_the_devices_have_nothing_to_do():
    class Slow:
        def __next__(self):
            time.sleep(0.05)
            return {}

    class Busy:
        def is_ready(self):
            return False

    throughput = Throughput()
    loop._next_batch(Slow(), [{"loss": Busy()}], throughput)
    assert throughput.waits == 0
    loop._next_batch(Slow(), [], throughput)
    assert throughput.waits >= 0.05
    loop._next_batch(Slow(), [{"loss": jax.block_until_ready(jnp.zeros(()))}], throughput)
    assert throughput.waits >= 0.1


LINE = re.compile(r"Variable (\S+) +size (\d+) +shape (\(.*?\)) +partition spec (\(.*\))")


def test_model_info_has_the_lines_of_t5x(tiny):
    partitioner = Partitioner(num_partitions=2, devices=tuple(jax.devices()[:2]))
    text = describe(tiny, abstract_state(tiny, partitioner))
    rows = tiny.config.vocab_size
    embedding = (
        f"Variable {'token_embedder/embedding':<80} size {rows * 16:<12} "
        f"shape {f'(vocab={rows}, embed=16)':<40} partition spec ('model', None)"
    )
    assert embedding in text.splitlines()
    parameters, rest = text.split("\n\n")
    *lines, total = parameters.splitlines()
    sizes = {name: int(size) for name, size, _, _ in (LINE.fullmatch(x).groups() for x in lines)}
    assert total == f"Total number of parameters: {sum(sizes.values())}"
    slots = [LINE.fullmatch(line).groups() for line in rest.splitlines()]
    assert slots[-1] == ("step", "1", "()", "()")
    names = [name for name, *_ in slots[:-1]]
    assert names == sorted(names)
    assert len(names) == 3 * len(sizes)  # v, v_col, v_row of each
    kept = next(slot for slot in slots if slot[0] == "param_states/encoder/encoder_norm/scale/v")
    assert kept == ("param_states/encoder/encoder_norm/scale/v", "16", "(embed=16)", "(None,)")
    unused = next(slot for slot in slots if slot[0].endswith("encoder_norm/scale/v_row"))
    assert unused[1:] == ("1", "(1,)", "(None,)")
    assert "param_states" not in describe(tiny, abstract_state(tiny, partitioner), optimizer=False)


def test_model_info_names_the_slots_of_other_optimisers_by_their_place(tiny):
    model = dataclasses.replace(tiny, optimizer=optax.adamw(1.0))
    partitioner = Partitioner(devices=tuple(jax.devices()[:1]))
    text = describe(model, abstract_state(model, partitioner))
    assert re.search(r"Variable param_states/0/mu/decoder/decoder_norm/scale +size 16 ", text)
