"""Adafactor against optax where they agree, and on stacked layers where they do not."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from closedbook.errors import UserError
from closedbook.training import optimizers
from closedbook.training.optimizers.adafactor import OwnRate, adafactor, factored_dims
from closedbook.training.programs import compiled_step
from closedbook.training.schedules import create_learning_rate_scheduler


def _tree(seed: int, scale: float = 1.0) -> dict:
    rng = np.random.default_rng(seed)
    shapes = {"square": (128, 128), "wide": (130, 256), "small": (16, 200), "vector": (300,)}
    return {k: jnp.asarray(scale * rng.normal(size=s), jnp.float32) for k, s in shapes.items()}


def test_equals_optax_on_unstacked_parameters():
    ours = adafactor()
    theirs = optax.adafactor(0.01, multiply_by_parameter_scale=True, eps=1e-30)
    a = b = _tree(0)
    state_a, state_b = ours.init(a), theirs.init(b)
    for step in range(5):
        grads = _tree(step + 1, scale=0.1)
        direction, state_a = ours.update(grads, state_a, a)
        a = jax.tree.map(lambda p, d: p + 0.01 * d, a, direction)
        updates, state_b = theirs.update(grads, state_b, b)
        b = optax.apply_updates(b, updates)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6), a, b)


def test_what_is_worked_out_for_one_parameter_is_not_kept_beside_that_of_others():
    optimizer = adafactor()
    grads = {f"kernel_{i}": jnp.ones((256, 512)) for i in range(12)}
    params = jax.tree.map(lambda x: x + 1.0, grads)
    platform = jax.devices()[0].platform

    def step(state, grads, rate):
        params, opt_state = state
        direction, opt_state = optimizer.update(grads, opt_state, params)
        return (jax.tree.map(lambda p, d: p + rate * d, params, direction), opt_state), None

    state = params, jax.eval_shape(optimizer.init, params)
    compiled = compiled_step(step, platform).lower(state, grads, 0.1).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 4 * 256 * 512 * 4


def test_stacked_layers_take_the_steps_of_separate_layers():
    rng = np.random.default_rng(0)
    # Layers of very different gradients: clipping them as one tensor would show.
    grads = [rng.normal(size=(128, 192)) * 10.0**i for i in range(-2, 3)]
    params = [rng.normal(size=(128, 192)) * 3.0**i for i in range(-2, 3)]
    optimizer = adafactor()
    stack = lambda arrays: {"layers": {"kernel": jnp.stack(arrays, axis=1)}}  # noqa: E731
    state = optimizer.init(stack(params))
    stacked, state = optimizer.update(stack(grads), state, stack(params))
    stacked, _ = optimizer.update(stack(grads), state, stack(params))
    for i, (grad, param) in enumerate(zip(grads, params, strict=True)):
        one = {"kernel": jnp.asarray(param, jnp.float32)}
        state = optimizer.init(one)
        gradient = {"kernel": jnp.asarray(grad, jnp.float32)}
        _, state = optimizer.update(gradient, state, one)
        alone, _ = optimizer.update(gradient, state, one)
        found = stacked["layers"]["kernel"][:, i]
        np.testing.assert_allclose(found, alone["kernel"], rtol=2e-5, atol=1e-7)


def test_layer_axis_is_never_factored():
    assert factored_dims((256, 512, 300), stacked=True) == (0, 2)
    assert factored_dims((256, 512), stacked=True) is None  # norm scales of 512 layers
    assert factored_dims((100, 512), stacked=False) is None
    assert factored_dims((128, 128), stacked=False) == (0, 1)


def _updated(optimizer, *gradients):
    """A parameter 2 after some gradients at learning rate 0.1."""
    params = {"w": jnp.array([2.0])}
    state = optimizer.init(params)
    for gradient in gradients:
        given = {"learning_rate": 0.1} if isinstance(optimizer, OwnRate) else {}
        update, state = optimizer.update({"w": jnp.array([gradient])}, state, params, **given)
        update = update if given else jax.tree.map(lambda x: 0.1 * x, update)
        params = jax.tree.map(jnp.add, params, update)
    return float(params["w"][0])


@pytest.mark.parametrize(
    ("settings", "gradients", "expected"),
    [
        ({}, [0.5], 1.8),  # 2 - 0.1 x 1 x 2
        ({"beta1": 0.9}, [0.5], 1.98),  # a tenth of it
        # Again the update is 0.1 x the parameter's size, and nine tenths of the momentum stay.
        ({"beta1": 0.9}, [0.5, 0.5], 1.98 - (0.9 * 0.02 + 0.1 * 0.198)),
        ({"weight_decay_rate": 0.01}, [0.5], 1.78),  # 0.01 x 2 more, whatever the rate
        ({"weight_decay_rate_lr_exponent": 2.0}, [0.5], 1.78),  # 0.1 ** 2 x 2 more
        ({"multiply_by_parameter_scale": False}, [0.5], 1.9),
        ({"max_parameter_scale": 0.5}, [0.5], 1.95),
    ],
)
def test_settings_of_adafactor_by_hand(settings, gradients, expected):
    assert _updated(adafactor(**settings), *gradients) == pytest.approx(expected, rel=1e-5)


def test_clipping_by_the_global_norm_reaches_the_second_moments():
    optimizer = adafactor(global_norm_clip_threshold=1.0)
    params = {"w": jnp.array([2.0]), "v": jnp.array([1.0])}
    gradients = {"w": jnp.array([3.0]), "v": jnp.array([4.0])}  # of norm 5
    _, state = optimizer.update(gradients, optimizer.init(params), params)
    np.testing.assert_allclose(state.v["w"], [0.36], rtol=1e-5)
    np.testing.assert_allclose(state.v["v"], [0.64], rtol=1e-5)


def test_without_factoring_every_parameter_has_its_whole_second_moment():
    params = {"w": jnp.ones((256, 128))}
    assert adafactor().init(params).v["w"].shape == (1,)
    assert adafactor(factored=False).init(params).v["w"].shape == (256, 128)


@pytest.mark.parametrize("rate", [0.1, optax.constant_schedule(0.1)])
def test_an_optimiser_with_a_rate_of_its_own_takes_optaxs_steps(rate):
    clipped = [optax.clip(0.3), optimizers.adamw(rate)]
    ours, theirs = optimizers.chain(clipped), optax.chain(optax.clip(0.3), optax.adamw(rate))
    assert isinstance(ours, OwnRate)
    assert not isinstance(optimizers.chain([optimizers.adamw()]), OwnRate)
    params, gradients = {"w": jnp.array([2.0])}, {"w": jnp.array([0.7])}
    got, _ = ours.update(gradients, ours.init(params), params, learning_rate=5.0)
    wanted, _ = theirs.update(gradients, theirs.init(params), params)
    assert float(got["w"][0]) == pytest.approx(float(wanted["w"][0]))


def test_first_step_by_hand():
    # One element: v = g^2, the update g / |g| = 1, its RMS 1, times the parameter's RMS 2.
    optimizer = adafactor()
    params = {"w": jnp.array([2.0])}
    direction, state = optimizer.update({"w": jnp.array([0.5])}, optimizer.init(params), params)
    np.testing.assert_allclose(direction["w"], [-2.0], rtol=1e-6)
    np.testing.assert_allclose(state.v["w"], [0.25], rtol=1e-6)


@pytest.mark.parametrize(
    ("factors", "step", "expected"),
    [
        ("constant", 7, 0.5),
        ("constant * linear_warmup", 5, 0.25),
        ("constant * rsqrt_decay", 0, 0.5 / 10**0.5),
        ("constant * rsqrt_decay", 400, 0.5 / 20),
        ("constant * rsqrt_normalized_decay", 40, 0.25),
        ("constant * linear_decay", 30, 0.25),
        ("constant * cosine_decay", 20, 0.5 * (1 + 2**-0.5) / 2),
        ("constant * cosine_decay", 1000, 0.0),
    ],
)
def test_schedule_values_by_hand(factors, step, expected):
    schedule = create_learning_rate_scheduler(
        factors=factors, base_learning_rate=0.5, warmup_steps=10, decay_steps=40
    )
    assert float(schedule(step)) == pytest.approx(expected, abs=1e-6)


def test_offset_takes_off_the_steps_of_the_restored_checkpoint():
    schedule = create_learning_rate_scheduler(
        factors="constant * linear_warmup", base_learning_rate=0.5, warmup_steps=10, step_offset=100
    )
    assert float(schedule(105)) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("factors", "step", "expected"),
    [
        ("linear_decay", 5, 0.25),  # the warm-up and the base rate are in it
        ("linear_decay", 30, 0.4),  # 0.5 x (1 - 0.01 x 20)
        ("linear_decay", 200, 1e-8),
        ("constant * cosine_decay", 20, 0.5 * (1 + 2**-0.5) / 2),
        ("constant * cosine_decay", 50, 0.5),  # a new cycle
        ("constant * decay_every", 19, 0.5),
        ("constant * decay_every", 45, 0.5 * 0.01**2),
    ],
)
def test_decays_without_a_length_are_t5xs(factors, step, expected):
    schedule = create_learning_rate_scheduler(
        factors=factors,
        base_learning_rate=0.5,
        warmup_steps=10,
        decay_factor=0.01,
        steps_per_cycle=40,
        steps_per_decay=20,
    )
    assert float(schedule(step)) == pytest.approx(expected, rel=1e-5)


def test_a_schedule_of_which_nothing_is_said_is_t5xs():
    # 0.5 x 500 / 1000 / sqrt(1000)
    assert float(create_learning_rate_scheduler()(500)) == pytest.approx(0.0079057, rel=1e-4)


def test_unknown_factor_names_the_nearest():
    with pytest.raises(UserError, match="rsqrt_decay"):
        create_learning_rate_scheduler(factors="constant * rsqrt_deca")
