"""Training of small networks: one compiled program for many runs of one shape.

Seeds, learning rates and amounts of data are values, not shapes: whoever trains another run of the
same network on batches of the same size compiles nothing.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax

from closedbook import whole_files
from closedbook.models.families import Config, network
from closedbook.models.parameters import Params, unboxed
from closedbook.training.loss import cross_entropy

Batch = Mapping[str, np.ndarray]  # int32 [batch, length] by name, as `examples` makes them
CHUNK = 50  # steps of one call of the program
_WARMUP = 50  # steps
_ADAM = optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam(b1=0.9, b2=0.98))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule:
    """A learning rate that rises, then falls to 0.

    Attributes:
        rate: The highest, of Adam.
        steps: How many.
    """

    rate: float
    steps: int

    def rates(self, first: int, count: int) -> np.ndarray:
        """Of some steps: linear to the highest, then a cosine down to 0, float32 [count]."""
        step = np.arange(first, first + count)
        rise = np.minimum(1.0, (step + 1) / min(_WARMUP, self.steps))
        return (self.rate * rise * 0.5 * (1 + np.cos(np.pi * step / self.steps))).astype(np.float32)


@functools.lru_cache(maxsize=8)
def _program(config: Config) -> Callable[..., Any]:
    module = network(config)

    def loss(params: Params, batch: Mapping[str, jax.Array]) -> jax.Array:
        logits = module.apply({"params": params}, *inputs_of(batch))
        targets = batch["targets"]
        weights = (targets > 0).astype(jnp.float32)
        total, _ = cross_entropy(logits, targets, weights)
        return total / jnp.maximum(weights.sum(), 1.0)

    def step(carry: tuple[Params, Any], given: tuple[jax.Array, Any]) -> tuple[Any, jax.Array]:
        (params, state), (rate, batch) = carry, given
        value, gradient = jax.value_and_grad(loss)(params, batch)
        direction, state = _ADAM.update(gradient, state)
        params = jax.tree.map(lambda p, d: p - rate * d, params, direction)
        return (params, state), value

    def chunk(params: Params, state: Any, rates: jax.Array, batches: Any) -> Any:
        (params, state), values = jax.lax.scan(step, (params, state), (rates, batches))
        return params, state, values.mean()

    return jax.jit(chunk, donate_argnums=(0, 1))


def inputs_of(batch: Mapping[str, Any]) -> list[Any]:
    """What a network reads of a batch, in its order; a decoder-only one has no encoder."""
    return [batch[name] for name in ("encoder", "decoder") if name in batch]


def fresh(config: Config, seed: int) -> Params:
    """Parameters to begin with, plain arrays."""
    module = network(config)
    return unboxed(module.init(jax.random.key(seed), *module.example())["params"])


def train(
    config: Config,
    params: Params,
    batches: Callable[[int], Batch],
    schedule: Schedule,
    *,
    keep: pathlib.Path | None = None,
    every: int = 2_000,
) -> tuple[Params, float]:
    """Trains a network; what a killed run had done is gone on with.

    Args:
        config: The network's.
        params: To begin with; they are used up.
        batches: The batch of a step, by its number, so that a killed run sees the same ones.
        schedule: How long, and how fast.
        keep: A file for the state of a run that is not finished; None to keep none.
        every: Steps after which it is written.

    Returns:
        Parameters, and the mean loss of the last steps, in nats per target.
    """
    program = _program(config)
    state = _ADAM.init(params)
    first, value = 0, jnp.nan
    if keep is not None and keep.exists():
        whole = {"params": params, "state": state, "step": 0}
        found = flax.serialization.from_bytes(whole, keep.read_bytes())
        params, state, first = found["params"], found["state"], int(found["step"])
    while first < schedule.steps:
        count = min(CHUNK, schedule.steps - first)
        made = [batches(first + number) for number in range(count)]
        stacked = {name: np.stack([each[name] for each in made]) for name in made[0]}
        params, state, value = program(params, state, schedule.rates(first, count), stacked)
        first += count
        if keep is not None and first % every < CHUNK and first < schedule.steps:
            kept = {"params": params, "state": state, "step": first}
            whole_files.write_bytes(keep, flax.serialization.to_bytes(jax.device_get(kept)))
    if keep is not None:
        keep.unlink(missing_ok=True)
    return params, float(value)


@functools.lru_cache(maxsize=8)
def _lengths(config: Config) -> Callable[..., Any]:
    module = network(config)

    def lengths(params: Params, batch: Mapping[str, jax.Array]) -> jax.Array:
        logits = module.apply({"params": params}, *inputs_of(batch))
        targets = batch["targets"]
        log_probs = jax.nn.log_softmax(logits)
        each = jnp.take_along_axis(log_probs, targets[..., None], axis=-1)[..., 0]
        return -jnp.where(targets > 0, each, 0.0).sum(axis=1) / jnp.log(2.0)

    return jax.jit(lengths)


def code_lengths(config: Config, params: Params, whole: Batch, batch: int) -> np.ndarray:
    """-log2 of the probability of each row's targets, [rows], in bits.

    Args:
        config: The network's.
        params: Its.
        whole: All rows.
        batch: Rows at once.
    """
    rows = len(whole["targets"])
    found = []
    for first in range(0, rows, batch):
        places = np.minimum(np.arange(first, first + batch), rows - 1)  # the last one fills up
        part = {name: each[places] for name, each in whole.items()}
        found.append(np.asarray(_lengths(config)(params, part)))
    return np.concatenate(found)[:rows].astype(np.float64)


def write(file: pathlib.Path, params: Params, loss: float) -> None:
    """Keeps what `train` has given, whole or not at all."""
    kept = {"params": jax.device_get(params), "loss": loss}
    whole_files.write_bytes(file, flax.serialization.to_bytes(kept))


def read(file: pathlib.Path, like: Params) -> tuple[Params, float]:
    """What `write` has kept."""
    found = flax.serialization.from_bytes({"params": like, "loss": 0.0}, file.read_bytes())
    return found["params"], float(found["loss"])
