"""The baselines: fine-tuning of one layer's value matrix on the target alone, by Adam.

| method | loss | bound |
|---|---|---|
| ft | the target's tokens, all predicted where the answer begins (kmeng01/rome) | none |
| ft-l | the same | each weight within `largest_change` of the stored one (Zhu et al. 2020) |
| ft-m | the target's tokens, each after the ones before it (EasyEdit's masked form) | none |

A model that goes on with its prompt is tuned on the bare prompt, as in both; one that answers
questions on all phrasings of the edit.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from closedbook.knowledge.editing.places import Place, kernel, with_kernels
from closedbook.knowledge.editing.rows import Batch, Row, forward, pack
from closedbook.knowledge.editing.settings import Settings
from closedbook.knowledge.editing.updates import Change
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.models.families import Network
from closedbook.models.parameters import Params
from closedbook.models.taps import Patch, Taps

_STOP = 1e-2  # no further step below this loss, as in kmeng01/rome


def tune(
    model: LoadedModel, params: Params, place: Place, rows: Sequence[Row], settings: Settings
) -> tuple[Change, list[float]]:
    """The change of a value matrix and the losses on the way.

    Args:
        model: The model.
        params: Its parameters so far.
        place: The layer.
        rows: Prompts with the target, the bare prompt first.
        settings: Method, learning rate, steps, bound.
    """
    batch = pack(model, rows[:1] if model.config.continues_prompt else rows)
    weights, losses, taken = _descend(
        model.module,
        place,
        settings.fine_tuning_steps,
        settings.method != "ft-m",
        params,
        batch,
        jnp.float32(settings.fine_tuning_rate),
        jnp.float32(settings.largest_change if settings.method == "ft-l" else jnp.inf),
    )
    difference = np.asarray(weights, np.float64) - np.asarray(kernel(params, place), np.float64)
    difference = difference.astype(np.float32).astype(np.float64)
    change = Change(difference, np.eye(difference.shape[1]))
    return change, [round(float(each), 6) for each in np.asarray(losses)[: int(taken)]]


@functools.partial(jax.jit, static_argnames=("module", "place", "steps", "at_once"))
def _descend(
    module: Network,
    place: Place,
    steps: int,
    at_once: bool,
    params: Params,
    batch: Batch,
    rate: jax.Array,
    bound: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    start = kernel(params, place)
    optimizer = optax.inject_hyperparams(optax.adam)(learning_rate=rate)
    share = batch.told / jnp.maximum(batch.told.sum(-1, keepdims=True), 1)
    rows = jnp.maximum((batch.told.sum(-1) > 0).sum(), 1)
    site = place.before_site
    _, records = forward(module, params, batch, Taps(record=(site,)))
    below = Taps(patches={site: Patch(records[site])})  # what no step need compute again

    def loss(weights: jax.Array) -> jax.Array:
        logits, _ = forward(module, with_kernels(params, {place: weights}), batch, below)
        if at_once:  # all after the prompt alone, where each answer begins
            logits = jnp.broadcast_to(logits[:, :1], logits.shape)
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), batch.labels[..., None], axis=-1)[
            ..., 0
        ]
        return -(chosen * share).sum() / rows

    def body(carry: Any) -> Any:
        step, weights, state, losses, _ = carry
        value, gradient = jax.value_and_grad(loss)(weights)
        update, new_state = optimizer.update(gradient, state)
        moved = optax.apply_updates(weights, update)
        moved = jnp.clip(moved, start - bound, start + bound)
        ends = value < _STOP
        weights = jnp.where(ends, weights, moved)
        return step + 1, weights, new_state, losses.at[step].set(value), ends

    carry = (jnp.int32(0), start, optimizer.init(start), jnp.zeros(steps), jnp.bool_(False))
    step, weights, _, losses, _ = jax.lax.while_loop(lambda c: ~c[4] & (c[0] < steps), body, carry)
    return weights, losses, step
