"""Learning-rate schedules, with the names and factors of T5X."""

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
)


def create_learning_rate_scheduler(
    *,
    factors: str = "constant",
    base_learning_rate: float = 1e-3,
    warmup_steps: int = 1000,
    decay_steps: int | None = None,
    min_learning_rate: float = 0.0,
    step_offset: int = 0,
) -> Schedule:
    """A schedule as a product of factors joined by `*`.

    - constant: base_learning_rate
    - linear_warmup: min(1, step / warmup_steps)
    - rsqrt_decay: 1 / sqrt(max(step, warmup_steps)), T5's pretraining with base 1.0
    - rsqrt_normalized_decay: the same times sqrt(warmup_steps), so that it starts at 1
    - linear_decay, cosine_decay: from 1 at warmup_steps to 0 at warmup_steps + decay_steps

    Args:
        factors: For example "constant * linear_warmup * cosine_decay".
        base_learning_rate: The factor "constant".
        warmup_steps: Steps of the warm-up.
        decay_steps: Steps of a linear or cosine decay after the warm-up.
        min_learning_rate: No value is smaller.
        step_offset: Taken off the step, which counts the steps of a restored checkpoint.

    Raises:
        UserError: A factor is unknown, or a decay has no decay_steps.
    """
    names = [name.strip() for name in factors.split("*")]
    for name in names:
        if name not in FACTORS:
            raise unknown_name("learning-rate factor", name, FACTORS)
        if name in ("linear_decay", "cosine_decay") and not decay_steps:
            raise UserError(
                f"learning-rate factor {name!r} needs decay_steps, the steps until it reaches 0; "
                "bind utils.create_learning_rate_scheduler.decay_steps"
            )

    def schedule(step: jax.Array) -> jax.Array:
        step = jnp.maximum(jnp.asarray(step, jnp.float32) - step_offset, 0.0)
        warm = jnp.maximum(step, warmup_steps)
        done = jnp.clip((step - warmup_steps) / float(decay_steps or 1), 0.0, 1.0)
        values: dict[str, jax.Array | float] = {
            "constant": base_learning_rate,
            "linear_warmup": jnp.minimum(1.0, step / max(warmup_steps, 1)),
            "rsqrt_decay": jax.lax.rsqrt(jnp.maximum(warm, 1.0)),
            "rsqrt_normalized_decay": jnp.sqrt(warmup_steps / jnp.maximum(warm, 1.0)),
            "linear_decay": 1.0 - done,
            "cosine_decay": 0.5 * (1.0 + jnp.cos(jnp.pi * done)),
        }
        rate = jnp.ones((), jnp.float32)
        for name in names:
            rate = rate * values[name]
        return jnp.maximum(rate, min_learning_rate)

    return schedule
