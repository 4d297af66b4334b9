"""The value v* that makes a layer answer with the target (Meng et al. 2022, section 3.1, step 2).

The layer's output is changed by a vector delta, which gradient descent finds. Conventions are
those of kmeng01/rome: where its paper's appendix differs, the code is followed.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from closedbook.errors import UserError
from closedbook.knowledge.editing import rows
from closedbook.knowledge.editing.places import Place
from closedbook.knowledge.editing.rows import Batch
from closedbook.models.families import Network
from closedbook.models.parameters import Params
from closedbook.models.taps import Patch, Taps


@dataclasses.dataclass(frozen=True, kw_only=True)
class ValueSettings:
    """How delta is found. The defaults are kmeng01/rome's for GPT-2 XL.

    Attributes:
        learning_rate: Adam's.
        steps: Losses that are looked at, one more than updates.
        decay: Factor of |delta| / |v|^2.
        kl: Factor of the divergence of predictions that are to be kept (the essence constraint).
        clamp: |delta| is at most this times |v|, v being the layer's own output.
        stop: No further step once the loss is below it.
        anchor: Keep |v + delta| at the length of v in the stored original (norm anchor).
    """

    learning_rate: float = 0.5
    steps: int = 20
    decay: float = 0.5
    kl: float = 0.0625
    clamp: float = 4.0
    stop: float = 0.05
    anchor: bool = False

    def __post_init__(self) -> None:
        for name in ("learning_rate", "clamp"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} is {getattr(self, name)}; it must be above 0")
        for name in ("decay", "kl", "stop"):
            if not getattr(self, name) >= 0:
                raise UserError(f"{name} is {getattr(self, name)}; it must be 0 or more")
        if self.steps < 1:
            raise UserError(f"steps are {self.steps}; give one at least")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """What the search for delta found.

    Attributes:
        delta: float64 [emb].
        losses: Of each step: sum, nll of the target, divergence, decay; [steps, 4].
        probability: Of the target at each step: the mean of exp(-nll) over prompts; [steps].
        target_init: The layer's own output v at the first prompt, float64 [emb].
    """

    delta: np.ndarray
    losses: np.ndarray
    probability: np.ndarray
    target_init: np.ndarray


def find(
    module: Network,
    params: Params,
    place: Place,
    batch: Batch,
    gain: jax.Array | None,
    target_init: np.ndarray,
    settings: ValueSettings,
    anchor: float | None = None,
) -> Found:
    """Searches delta from 0 by Adam until the loss is small or the steps are used up.

    Args:
        module: The network.
        params: Its parameters.
        place: The layer.
        batch: Prompts with the target, and prompts to be kept.
        gain: float32 [rows, length of the stack], how much of delta is added to the layer's
            output at each position: u.k of each key for the effect that the edited matrix is
            going to have. None for 1 where the edit acts and 0 elsewhere, as in ROME.
        target_init: The output v that decay and clamp are measured by, [emb].
        settings: How to search.
        anchor: The length that |v + delta| is kept at, where the settings ask for it.
    """
    v = jnp.asarray(target_init, jnp.float32)
    length = jnp.float32(anchor if anchor is not None else np.linalg.norm(target_init))
    numbers = {
        field.name: jnp.float32(getattr(settings, field.name))
        for field in dataclasses.fields(settings)
        if field.name not in ("steps", "anchor")
    }
    delta, taken, losses = _search(
        module, place, settings.steps, settings.anchor, params, batch, gain, v, length, numbers
    )
    losses = np.asarray(losses, np.float64)[: int(taken)]
    return Found(
        delta=np.asarray(delta, np.float64),
        losses=losses[:, :4],
        probability=losses[:, 4],
        target_init=np.asarray(target_init, np.float64),
    )


@functools.partial(jax.jit, static_argnames=("module", "place", "steps", "anchored"))
def _search(
    module: Network,
    place: Place,
    steps: int,
    anchored: bool,
    params: Params,
    batch: Batch,
    gain: jax.Array | None,
    v: jax.Array,
    length: jax.Array,
    numbers: dict[str, jax.Array],
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """delta, the number of losses, and [steps, 5] of them; see `find`."""
    optimizer = optax.inject_hyperparams(optax.adam)(learning_rate=numbers["learning_rate"])
    told = batch.told.sum(-1, keepdims=True)  # tokens of each row's answer
    prompts = jnp.maximum((told > 0).sum(), 1)
    share = batch.told / jnp.maximum(told, 1)
    kept = batch.kept / jnp.maximum(batch.kept.sum(-1, keepdims=True), 1)
    kept = kept / jnp.maximum((batch.kept.sum(-1) > 0).sum(), 1)

    run, gain = _runner(module, params, place, batch, gain)
    site = place.after_site
    logits, records = run(Taps(record=(site,)))
    clean = jax.nn.log_softmax(logits)

    def log_probs(delta: jax.Array) -> jax.Array:
        # What the layer adds is changed where it has been added, so that no step computes again
        # what lies below: the compiler leaves out what is overwritten.
        patch = Patch(records[site] + gain[..., None] * delta)
        return jax.nn.log_softmax(run(Taps(patches={site: patch}))[0])

    def loss(delta: jax.Array) -> tuple[jax.Array, jax.Array]:
        predicted = log_probs(delta)
        chosen = jnp.take_along_axis(predicted, batch.labels[..., None], -1)[..., 0]
        each = -(chosen * share).sum(-1)  # [rows]
        nll = each.sum() / prompts
        told_rows = told[:, 0] > 0
        probability = jnp.where(told_rows, jnp.exp(-each), 0).sum() / prompts
        # As in the code: of the new predictions from the old ones.
        divergence = (jnp.exp(predicted) * (predicted - clean)).sum(-1)
        divergence = numbers["kl"] * (divergence * kept).sum()
        # Squared inside, so that the gradient at delta = 0 is 0 as in torch, not nan.
        norm = jnp.sqrt(jnp.maximum((delta**2).sum(), 1e-24))
        decay = numbers["decay"] * jnp.where(norm > 1e-12, norm, 0.0) / (v**2).sum()
        total = nll + divergence + decay
        return total, jnp.stack([total, nll, divergence, decay, probability])

    def held(delta: jax.Array) -> jax.Array:
        most = numbers["clamp"] * jnp.linalg.norm(v)
        norm = jnp.linalg.norm(delta)
        delta = jnp.where(norm > most, delta * most / norm, delta)
        return (v + delta) * length / jnp.linalg.norm(v + delta) - v if anchored else delta

    def body(carry: Any) -> Any:
        step, delta, state, losses, _ = carry
        (_, told_of), gradient = jax.value_and_grad(loss, has_aux=True)(delta)
        losses = losses.at[step].set(told_of)
        ends = (told_of[0] < numbers["stop"]) | (step == steps - 1)
        update, new_state = optimizer.update(gradient, state)
        moved = held(optax.apply_updates(delta, update))
        delta = jnp.where(ends, delta, moved)
        return step + 1, delta, new_state, losses, ends

    start = jnp.zeros_like(v)
    losses = jnp.zeros((steps, 5))
    carry = (jnp.int32(0), start, optimizer.init(start), losses, jnp.bool_(False))
    taken, delta, _, losses, _ = jax.lax.while_loop(lambda c: ~c[4], body, carry)
    return delta, taken, losses


Run = Callable[[Taps], tuple[jax.Array, Mapping[str, jax.Array]]]


def _runner(
    module: Network, params: Params, place: Place, batch: Batch, gain: jax.Array | None
) -> tuple[Run, jax.Array]:
    """Passes over the batch under taps, and the gain at the positions that they have.

    A delta at the subject changes nothing before it in a model of one stack; what stands there
    is then read once for all steps.
    """
    if gain is None and batch.rest is not None:
        state = rows.begun(module, params, batch)
        first = rows.at_subject(place, batch).max(-1, keepdims=True)
        length = batch.rest.shape[1]
        return (
            functools.partial(rows.resumed, module, params, batch, state),
            jnp.pad(first, ((0, 0), (0, length - 1))),
        )
    acts = rows.at_subject(place, batch) if gain is None else gain
    return functools.partial(rows.forward, module, params, batch), acts
