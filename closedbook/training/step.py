"""One training step and one evaluation step, as pure functions."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from closedbook.parallel.mesh import several_devices
from closedbook.training.loss import fillings, normalize_weights
from closedbook.training.model import Batch, Params, Sums, TransformerModel
from closedbook.training.optimizers.adafactor import OwnRate
from closedbook.training.schedules import Schedule
from closedbook.training.state import TrainState

TrainStep = Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Sums]]
EvalStep = Callable[[Params, Batch], Sums]


def make_train_step(
    model: TransformerModel, schedule: Schedule, num_microbatches: int = 1
) -> TrainStep:
    """The function (state, batch, trainer key) -> (state, sums).

    Gradients are summed in float32 over microbatches of the batch; the loss normalising factor is
    measured on the whole batch, so their number changes nothing but rounding (and the dropout
    masks, which are drawn for each).

    Args:
        model: What is trained.
        schedule: Learning rate by step.
        num_microbatches: Must divide the batch.
    """

    def gradients(params: Params, batch: Batch, key: jax.Array) -> tuple[Params, Sums]:
        grad = jax.grad(model.loss, has_aux=True)
        if num_microbatches == 1:
            return grad(params, batch, key)

        def split(x: jax.Array) -> jax.Array:
            # Strided rows: every device keeps its own share of each microbatch.
            return x.reshape(-1, num_microbatches, *x.shape[1:]).swapaxes(0, 1)

        def one(
            total: tuple[Params, Sums], part: tuple[jax.Array, Batch]
        ) -> tuple[tuple[Params, Sums], None]:
            index, microbatch = part
            new = grad(params, microbatch, jax.random.fold_in(key, index))
            return jax.tree.map(jnp.add, total, new), None

        parts = (jnp.arange(num_microbatches), jax.tree.map(split, batch))
        first = jax.tree.map(lambda x: x[0], parts)
        shapes = jax.eval_shape(grad, params, first[1], key)
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, jnp.float32), shapes)
        total, _ = jax.lax.scan(one, zeros, parts)
        return total

    def step(state: TrainState, batch: Batch, key: jax.Array) -> tuple[TrainState, Sums]:
        batch, factor, filled = _normalized(model, batch)
        grads, sums = gradients(state.params, batch, jax.random.fold_in(key, state.step))
        grads = jax.tree.map(lambda g: g / factor, grads)
        # Parameters are last read before the first is changed, and so need no copy. Where several
        # devices share them, what these add up before and after goes in one exchange instead.
        if not several_devices():
            state, grads = jax.lax.optimization_barrier((state, grads))
        rate = schedule(state.step)
        optimizer = model.optimizer
        if isinstance(optimizer, OwnRate):
            updates, opt_state = optimizer.update(
                grads, state.opt_state, state.params, learning_rate=rate
            )
            params = jax.tree.map(jnp.add, state.params, updates)
        else:
            direction, opt_state = optimizer.update(grads, state.opt_state, state.params)
            params = jax.tree.map(lambda p, d: p + rate * d, state.params, direction)
        sums |= filled | {
            "learning_rate": rate,
            "gradient_norm": optax.tree.norm(grads),
            "parameter_norm": optax.tree.norm(params),
        }
        return TrainState(state.step + 1, params, opt_state), sums

    return step


def make_eval_step(model: TransformerModel) -> EvalStep:
    """The function (params, batch) -> sums, without dropout."""

    def step(params: Params, batch: Batch) -> Sums:
        batch, _, filled = _normalized(model, batch)
        return model.loss(params, batch, None)[1] | filled

    return step


def _normalized(model: TransformerModel, batch: Batch) -> tuple[Batch, jax.Array, Sums]:
    """A batch with normalised weights, what its loss is divided by, and how full it is."""
    weights, factor = normalize_weights(model.loss_normalizing_factor, batch)
    filled = fillings(batch, weights) | {"loss_divisor": factor}
    return batch | {"decoder_loss_weights": weights}, factor, filled
