"""The loss and the step: against explicit formulas, over microbatches, over devices."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from closedbook.models import T5
from closedbook.parallel import Partitioner, standard_logical_axis_rules
from closedbook.training import optimizers
from closedbook.training.loss import cross_entropy, normalize_weights, parts_of, summed
from closedbook.training.optimizers.adafactor import adafactor
from closedbook.training.schedules import constant
from closedbook.training.state import TrainState, abstract_state, fresh_state
from closedbook.training.step import make_train_step


def test_smoothed_loss_equals_explicit_soft_targets():
    rng = np.random.default_rng(0)
    logits = jnp.asarray(rng.normal(size=(2, 3, 7)) * 3, jnp.float32)
    targets = jnp.array([[1, 2, 3], [4, 5, 6]])
    weights = jnp.array([[1, 1, 0], [1, 0, 0]], jnp.float32)
    smoothing, vocab = 0.1, 7
    soft = np.full((2, 3, 7), smoothing / (vocab - 1))
    np.put_along_axis(soft, np.asarray(targets)[..., None], 1 - smoothing, axis=-1)
    log_probs = np.asarray(jax.nn.log_softmax(logits), np.float64)
    entropy = -np.sum(soft * np.log(soft), axis=-1)
    expected = np.sum((-np.sum(soft * log_probs, axis=-1) - entropy) * np.asarray(weights))
    log_z = np.log(np.sum(np.exp(np.asarray(logits, np.float64)), axis=-1))
    loss, z = cross_entropy(logits, targets, weights, z_loss=0.01, label_smoothing=smoothing)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert float(z) == pytest.approx(np.sum(0.01 * log_z**2 * np.asarray(weights)), rel=1e-5)


def _loss_in(parts, length, smoothing, *, rows=3, width=4, vocab=11):
    """The loss of random states, its sums and its gradients, compiled."""
    rng = np.random.default_rng(1)
    states = jnp.asarray(rng.normal(size=(rows, length, width)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(width, vocab)), jnp.float32)
    targets = jnp.asarray(rng.integers(1, vocab, (rows, length)), jnp.int32)
    weights = jnp.asarray(rng.random((rows, length)) * (rng.random((rows, length)) < 0.8))

    def loss(states, kernel):
        project = lambda x: x @ kernel  # noqa: E731
        total, sums = summed(
            project,
            states,
            targets,
            weights.astype(jnp.float32),
            z_loss=0.01,
            label_smoothing=smoothing,
            parts=parts,
        )
        return 0.5 * total, sums

    function = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    return function.lower(states, kernel).compile(), (states, kernel)


@pytest.mark.parametrize(("parts", "length", "smoothing"), [(3, 6, 0.0), (3, 7, 0.1), (5, 5, 0.0)])
def test_a_loss_in_parts_is_that_of_one_part(parts, length, smoothing):
    found, wanted = (
        compiled(*arguments)
        for compiled, arguments in (_loss_in(n, length, smoothing) for n in (parts, 1))
    )
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)
    assert float(found[0][1]["target_tokens"]) > 0


def test_a_loss_in_parts_needs_a_quarter_of_the_memory():
    shape = {"rows": 64, "width": 32, "vocab": 2048}
    peaks = [
        _loss_in(parts, 16, 0.0, **shape)[0].memory_analysis().temp_size_in_bytes
        for parts in (parts_of(64, 16, 32_128), 1)
    ]
    assert peaks[0] < peaks[1] / 4
    assert peaks[1] >= 64 * 16 * 2048 * 4  # all logits are in memory at least


def test_a_loss_has_parts_where_its_logits_are_large_and_on_one_device():
    assert parts_of(2, 12, 64) == 1
    assert parts_of(64, 16, 32_128) == 8
    assert parts_of(64, 13, 32_128) == 7
    partitioner = Partitioner(devices=tuple(jax.devices()[:4]))
    with partitioner.activate():
        assert parts_of(64, 16, 32_128) == 1


def test_normalizing_factors_by_hand():
    weights = np.array([[1, 1, 1, 1], [1, 0, 0, 0]])
    batch = {"decoder_loss_weights": weights}
    assert float(normalize_weights(None, batch)[1]) == 1
    assert float(normalize_weights(233472, batch)[1]) == 233472
    assert float(normalize_weights("NUM_REAL_TARGET_TOKENS", batch)[1]) == 5
    assert float(normalize_weights("NUM_TOTAL_TARGET_TOKENS", batch)[1]) == 8
    averaged, sequences = normalize_weights("AVERAGE_PER_SEQUENCE", batch)
    np.testing.assert_allclose(averaged, [[0.25] * 4, [1, 0, 0, 0]])
    assert float(sequences) == 2
    packed = batch | {"decoder_segment_ids": np.array([[1, 1, 2, 2], [1, 0, 0, 0]])}
    averaged, sequences = normalize_weights("AVERAGE_PER_SEQUENCE", packed)
    np.testing.assert_allclose(averaged, [[0.5] * 4, [1, 0, 0, 0]])
    assert float(sequences) == 3


def _one_device() -> Partitioner:
    return Partitioner(devices=tuple(jax.devices()[:1]))


def _step(model, partitioner, batch, microbatches=1, steps=2):
    state = fresh_state(model, partitioner, seed=0)
    step = jax.jit(make_train_step(model, constant(), microbatches))
    with partitioner.activate():
        for _ in range(steps):
            state, sums = step(state, partitioner.put_batch(batch), jax.random.key(1))
    return jax.device_get(state), jax.device_get(sums)


def _assert_close(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-5), a, b)


@pytest.fixture(scope="module")
def single(tiny, batch):
    return _step(tiny, _one_device(), batch)


@pytest.mark.parametrize("parts", [2, 4])
def test_microbatches_change_nothing_but_rounding(parts, tiny, batch, single):
    state, sums = _step(tiny, _one_device(), batch, microbatches=parts)
    assert sums["loss"] == pytest.approx(single[1]["loss"], rel=1e-5)
    _assert_close(state.params, single[0].params)


@pytest.mark.parametrize(
    ("devices", "model_parallel", "dims", "scan"),  # dims: of activations, of parameters
    [
        (2, {}, (1, 1), False),
        (4, {"model_parallel_submesh": (1, 2, 1, 1)}, (2, 1), False),
        (8, {}, (1, 2), False),
        (8, {"num_partitions": 4}, (1, 2), True),
    ],
)
def test_many_devices_equal_one(devices, model_parallel, dims, scan, tiny, batch, single):
    rules = standard_logical_axis_rules(
        activation_partitioning_dims=dims[0], parameter_partitioning_dims=dims[1]
    )
    partitioner = Partitioner(
        logical_axis_rules=rules, devices=tuple(jax.devices()[:devices]), **model_parallel
    )
    model = tiny
    if scan:
        config = dataclasses.replace(tiny.config, scan_layers=True)
        model = dataclasses.replace(tiny, module=T5(config))
        single = _step(model, _one_device(), batch)
    state, sums = _step(model, partitioner, batch)
    assert sums["loss"] == pytest.approx(single[1]["loss"], rel=1e-5)
    _assert_close(state.params, single[0].params)
    _assert_close(state.opt_state, single[0].opt_state)


def test_parameters_and_slots_are_really_split(tiny):
    partitioner = Partitioner(
        num_partitions=2,
        logical_axis_rules=standard_logical_axis_rules(parameter_partitioning_dims=2),
        devices=tuple(jax.devices()[:4]),
    )
    state = abstract_state(tiny, partitioner)
    kernel = state.params["encoder"]["layers_0"]["mlp"]["wi"]["kernel"]
    slot = state.opt_state.v["encoder"]["layers_0"]["mlp"]["wi"]["kernel"]
    assert tuple(kernel.sharding.spec) == ("data", "model") == tuple(slot.sharding.spec)
    assert kernel.sharding.shard_shape(kernel.shape) == (8, 16)


def test_factored_slots_follow_their_parameter():
    from closedbook.models import T5Config
    from closedbook.training.model import EncoderDecoderModel

    config = T5Config(
        vocab_size=256, emb_dim=128, num_heads=4, num_encoder_layers=1, num_decoder_layers=1,
        head_dim=64, mlp_dim=256,
    )  # fmt: skip
    model = EncoderDecoderModel(module=T5(config), vocabulary=None, optimizer=adafactor())
    partitioner = Partitioner(num_partitions=2, devices=tuple(jax.devices()[:2]))
    state = abstract_state(model, partitioner)
    path = ("encoder", "layers_0", "mlp", "wi", "kernel")  # [128 embed, 256 mlp]
    row, col = state.opt_state.v_row, state.opt_state.v_col
    for key in path:
        row, col = row[key], col[key]
    assert row.shape == (128,)  # averaged over mlp, the largest
    assert tuple(row.sharding.spec) == (None,)
    assert col.shape == (256,)
    assert tuple(col.sharding.spec) == ("model",)


def test_a_learning_rate_of_the_optimisers_own_counts_alone(tiny, batch):
    after = []
    for optimizer, rate in ((optimizers.sgd(), 0.5), (optimizers.sgd(0.5), 7.0)):
        model = dataclasses.replace(tiny, optimizer=optimizer)
        step = jax.jit(make_train_step(model, constant(rate)))
        state: TrainState = fresh_state(model, _one_device(), seed=0)
        after.append(step(state, batch, jax.random.key(0))[0].params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), *after)


@pytest.mark.parametrize("name", ["adamw", "lion"])
def test_other_optimizers_lower_the_loss(name, tiny, batch):
    model = dataclasses.replace(tiny, optimizer=getattr(optimizers, name)())
    partitioner = _one_device()
    step = jax.jit(make_train_step(model, constant(3e-3)))
    state: TrainState = fresh_state(model, partitioner, seed=0)
    losses = []
    for _ in range(8):
        state, sums = step(state, batch, jax.random.key(0))
        losses.append(float(sums["loss"]))
    assert losses[-1] < 0.9 * losses[0]


def test_dropout_masks_depend_on_seed_and_step_alone(tiny, batch):
    config = dataclasses.replace(tiny.config, dropout_rate=0.5)
    model = dataclasses.replace(tiny, module=T5(config))
    params = fresh_state(model, _one_device(), seed=0).params
    loss = jax.jit(lambda key: model.loss(params, batch, key)[0])
    key = jax.random.key(3)
    at = lambda step: float(loss(jax.random.fold_in(key, step)))  # noqa: E731
    assert at(4) == at(4)
    assert at(4) != at(5)


@pytest.mark.parametrize(("narrow", "dtype"), [(0.5, "bf16_bf16_f32"), (2.0, "float32")])
def test_a_processor_trains_in_the_number_types_that_it_is_fast_at(
    tiny, batch, monkeypatch, narrow, dtype
):
    from closedbook.models import fastest_products, precision

    monkeypatch.setattr(precision, "processor_features", lambda: frozenset({"amx_bf16"}))
    taken = {"float32": 1.0, "bf16_bf16_f32": narrow}
    monkeypatch.setattr(fastest_products, "seconds", lambda kernels, ways: taken)
    config = dataclasses.replace(tiny.config, dtype="bfloat16")
    model = dataclasses.replace(tiny, module=tiny.module.clone(config=config))
    assert model.on("tpu") is model
    assert model.on("cpu").config == dataclasses.replace(config, dtype=dtype)
    params = tiny.init_unboxed(jax.random.key(0))
    losses = [float(each.loss(params, batch, None)[0]) for each in (tiny, model.on("cpu"))]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert (losses[0] == losses[1]) == (dtype == "float32")
