"""Learning-rate schedules, with the names and factors of T5X."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from closedbook.errors import UserError, unknown_name

Schedule = Callable[[jax.Array], jax.Array]
FACTORS = (
    "constant",
    "linear_warmup",
    "rsqrt_decay",
    "rsqrt_normalized_decay",
    "linear_decay",
    "cosine_decay",
    "decay_every",
)


def create_learning_rate_scheduler(
    *,
    factors: str = "constant * linear_warmup * rsqrt_decay",
    base_learning_rate: float = 0.5,
    warmup_steps: int = 1000,
    decay_steps: int | None = None,
    decay_factor: float = 0.5,
    steps_per_decay: int = 20000,
    steps_per_cycle: int = 100000,
    min_learning_rate: float = 1e-8,
    step_offset: int = 0,
) -> Schedule:
    """A schedule as a product of factors joined by `*`; names and defaults are T5X's.

    - constant: base_learning_rate
    - linear_warmup: min(1, step / warmup_steps)
    - rsqrt_decay: 1 / sqrt(max(step, warmup_steps)), T5's pretraining with base 1.0
    - rsqrt_normalized_decay: the same times sqrt(warmup_steps), so that it starts at 1
    - decay_every: decay_factor ** (step // steps_per_decay)
    - linear_decay: base_learning_rate x min(step / warmup_steps, 1 + decay_factor x
      (warmup_steps - step)), warm-up and base included
    - cosine_decay: from 1 at warmup_steps to 0, again and again, every steps_per_cycle
    - linear_decay, cosine_decay with decay_steps: from 1 at warmup_steps to 0 at warmup_steps +
      decay_steps, and 0 from there on

    Args:
        factors: For example "constant * linear_warmup * cosine_decay".
        base_learning_rate: The factor "constant".
        warmup_steps: Steps of the warm-up.
        decay_steps: Steps of one linear or cosine decay after the warm-up.
        decay_factor: Of "decay_every" and, without decay_steps, of "linear_decay", per step.
        steps_per_decay: Of "decay_every".
        steps_per_cycle: Of "cosine_decay" without decay_steps.
        min_learning_rate: No value is smaller.
        step_offset: Taken off the step, which counts the steps of a restored checkpoint.

    Raises:
        UserError: A factor is unknown, or a number negative.
    """
    names = [name.strip() for name in factors.split("*")]
    for name in names:
        if name not in FACTORS:
            raise unknown_name("learning-rate factor", name, FACTORS)
    if not (math.isfinite(base_learning_rate) and base_learning_rate >= 0):
        raise UserError(f"base_learning_rate is {base_learning_rate}; give a number from 0 on")
    if warmup_steps < 0 or (decay_steps is not None and decay_steps < 1):
        raise UserError(
            f"warmup_steps is {warmup_steps}, decay_steps {decay_steps}; use 0 and 1 or more"
        )
    if min(steps_per_decay, steps_per_cycle) < 1:
        raise UserError(
            f"steps_per_decay is {steps_per_decay}, steps_per_cycle {steps_per_cycle}; use 1 or "
            "more"
        )

    def schedule(step: jax.Array) -> jax.Array:
        step = jnp.maximum(jnp.asarray(step, jnp.float32) - step_offset, 0.0)
        warm = jnp.maximum(step, warmup_steps)
        warming = step / max(warmup_steps, 1)
        after = jnp.maximum(step - warmup_steps, 0.0)
        if decay_steps:
            done = jnp.minimum(after / decay_steps, 1.0)
            linear: jax.Array = 1.0 - done
        else:
            done = after / steps_per_cycle % 1.0
            falling = 1.0 + decay_factor * (warmup_steps - step)
            linear = base_learning_rate * jnp.minimum(warming, falling)
        values: dict[str, jax.Array | float] = {
            "constant": base_learning_rate,
            "linear_warmup": jnp.minimum(1.0, warming),
            "rsqrt_decay": jax.lax.rsqrt(jnp.maximum(warm, 1.0)),
            "rsqrt_normalized_decay": jnp.sqrt(warmup_steps / jnp.maximum(warm, 1.0)),
            "decay_every": decay_factor ** (step // steps_per_decay),
            "linear_decay": linear,
            "cosine_decay": 0.5 * (1.0 + jnp.cos(jnp.pi * done)),
        }
        rate = jnp.ones((), jnp.float32)
        for name in names:
            rate = rate * values[name]
        return jnp.maximum(rate, min_learning_rate)

    return schedule


def constant(rate: float = 1e-3) -> Schedule:
    """The same learning rate at each step."""
    return create_learning_rate_scheduler(factors="constant", base_learning_rate=rate)
