"""Programs made from shapes alone are those that a run runs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from closedbook.inference.steps import Decoded
from closedbook.parallel import Partitioner
from closedbook.training import programs
from closedbook.training.feeds import RunData
from closedbook.training.loss import is_argmax
from closedbook.training.schedules import constant
from closedbook.training.settings import DatasetConfig, Evaluator, Trainer
from closedbook.training.state import fresh_state, split_seed
from closedbook.training.step import make_train_step


def _config(quiz, pack=True) -> DatasetConfig:
    return DatasetConfig(
        mixture_or_task_name="loop_quiz",
        split="train",
        task_feature_lengths={"inputs": 32, "targets": 16},
        batch_size=8,
        pack=pack,
        cache_dir=str(quiz / "cache"),
    )


@pytest.fixture(params=[(1, 1, True), (4, 2, False)], ids=["alone", "mesh"])
def setting(request, tiny, quiz):
    """Partitioner, settings of the data, and the state and a batch that a run would have."""
    devices, partitions, pack = request.param
    partitioner = Partitioner(num_partitions=partitions, devices=tuple(jax.devices()[:devices]))
    cfg = _config(quiz, pack)
    with partitioner.activate(), RunData(tiny.vocabulary).training(cfg, 0, None) as batches:
        batch = partitioner.put_batch(next(batches))
        yield partitioner, cfg, fresh_state(tiny, partitioner, 0), batch


@pytest.mark.parametrize("hardware_rng", [False, True])
def test_the_train_step_lowers_from_shapes_as_it_runs(setting, tiny, hardware_rng):
    partitioner, cfg, state, batch = setting
    trainer = Trainer(num_microbatches=2)
    program = programs.train_step(tiny, partitioner, cfg, trainer, use_hardware_rng=hardware_rng)
    _, key = split_seed(0, hardware_rng=hardware_rng)
    assert program.lower().as_text() == program.function.lower(state, batch, key).as_text()


def test_a_train_step_on_a_cpu_keeps_products_of_matrices_alone(tiny, quiz):
    partitioner = Partitioner(devices=tuple(jax.devices()[:1]))
    cfg = dataclasses.replace(_config(quiz), batch_size=256)
    config = dataclasses.replace(tiny.config, dropout_rate=0.1, vocab_size=128)
    model = dataclasses.replace(tiny, module=tiny.module.clone(config=config))
    assert model.lean("tpu") is model
    with partitioner.activate():
        program = programs.train_step(model, partitioner, cfg, Trainer())
        step = jax.jit(make_train_step(model, constant()), donate_argnums=0)
        lean, plain = (
            each.compile().memory_analysis().temp_size_in_bytes
            for each in (program.lower(), step.lower(*program.arguments))
        )
    assert lean < 0.75 * plain


def test_the_held_out_loss_lowers_from_shapes_as_it_runs(setting, tiny):
    partitioner, cfg, state, batch = setting
    program = programs.held_out_loss(tiny, partitioner, cfg)
    assert program.lower().as_text() == program.function.lower(state.params, batch).as_text()


def test_answers_and_scores_lower_from_shapes_as_they_run(setting, tiny):
    partitioner, cfg, state, _ = setting
    predictor = programs.predictor(tiny, partitioner, cfg, Evaluator())
    put, params = partitioner.put_rows, state.params
    answering = programs.answering(predictor, tiny, partitioner)
    scoring = programs.scoring(predictor, tiny, partitioner, longest=9)
    compared = set()
    for program in (*answering, *scoring):
        assert program.name not in compared
        compared.add(program.name)
        real = [put(np.zeros(x.shape, np.int32)) for x in program.arguments[1:]]
        assert program.lower().as_text() == program.function.lower(params, *real).as_text()
    assert "answers to 8 inputs of 32 tokens" in compared
    assert "scores of 16 tokens for 8 inputs of 16" in compared


def test_a_program_that_was_lowered_ahead_computes_what_a_run_computes(tiny, quiz):
    partitioner = Partitioner(devices=tuple(jax.devices()[:1]))
    cfg = _config(quiz)
    with partitioner.activate(), RunData(tiny.vocabulary).training(cfg, 0, None) as batches:
        program = programs.held_out_loss(tiny, partitioner, cfg)
        params = fresh_state(tiny, partitioner, 0).params
        batch = partitioner.put_batch(next(batches))
        ahead, now = program.lower().compile()(params, batch), program(params, batch)
    jax.tree.map(np.testing.assert_array_equal, ahead, now)


@pytest.mark.parametrize(("batch_size", "longest", "devices"), [(20, 40, 1), (8, 16, 2)])
def test_every_batch_of_inputs_has_a_shape_that_was_foretold(
    tiny, quiz, batch_size, longest, devices
):
    partitioner = Partitioner(devices=tuple(jax.devices()[:devices]))
    lengths = {"inputs": longest, "targets": 4}
    cfg = dataclasses.replace(_config(quiz), batch_size=batch_size, task_feature_lengths=lengths)
    predictor = programs.predictor(tiny, partitioner, cfg, Evaluator())
    seen, packed = set(), []

    def decode(params, tokens, rows, packing=None):
        seen.add(tokens.shape)
        packed.append(packing is not None)
        nothing = np.zeros((len(rows), 1))
        return Decoded(np.ones((len(rows), 1, 1), np.int32), nothing, nothing)

    predictor.decode_function = decode
    for count in range(1, 2 * batch_size + 1):
        for length in (1, 15, 16, 17, 25, 33, 60):
            predictor.predict_tokens({}, [[5] * (length - 1) + [1]] * count)
    assert seen == set(predictor.input_shapes())
    assert any(packed) == (devices == 1)


def test_the_right_piece_is_the_first_maximum():
    logits = jnp.array([[[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [-1.0, -2.0, 0.0], [0.0, 1.0, 1.0]]])
    targets = jnp.array([[1, 0, 2, 2]])
    assert is_argmax(logits, targets).tolist() == [[True, True, True, False]]
    random = jnp.round(jax.random.normal(jax.random.key(0), (4, 50, 7)) * 2)  # with many ties
    targets = jax.random.randint(jax.random.key(1), (4, 50), 0, 7)
    np.testing.assert_array_equal(
        is_argmax(random, targets), jnp.argmax(random, axis=-1) == targets
    )


def test_a_vocabulary_that_is_split_over_devices_is_not_gathered():
    mesh = jax.make_mesh((2, 4), ("data", "model"), axis_types=(AxisType.Auto,) * 2)

    def laid(shape, dtype, *axes):
        sharding = NamedSharding(mesh, PartitionSpec(*axes))
        return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)

    logits = laid((16, 4, 1024), jnp.float32, "data", None, "model")
    targets = laid((16, 4), jnp.int32, "data")
    compiled = jax.jit(is_argmax).lower(logits, targets).compile().as_text()
    assert "all-reduce(" in compiled
    assert "all-gather(" not in compiled
