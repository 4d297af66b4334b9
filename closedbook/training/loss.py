"""Cross-entropy with z-loss and label smoothing, as T5X computes it."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from closedbook.errors import UserError, unknown_name

FACTORS = ("NUM_REAL_TARGET_TOKENS", "NUM_TOTAL_TARGET_TOKENS", "AVERAGE_PER_SEQUENCE")
_Saved = tuple[jax.Array, jax.Array, jax.Array]  # logits, targets, log Z: for the gradient


def cross_entropy(
    logits: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    *,
    z_loss: float = 0.0,
    label_smoothing: float = 0.0,
) -> tuple[jax.Array, jax.Array]:
    """Sums of cross-entropy and z-loss over all weighted targets.

    The smoothed target's own entropy is subtracted, so that a perfect model has loss 0.

    Args:
        logits: float32 [batch, length, vocab].
        targets: int32 [batch, length].
        weights: [batch, length]; 0 leaves a target out.
        z_loss: Factor of log(Z)^2, which keeps the logits from drifting.
        label_smoothing: Probability mass spread evenly over the other pieces.

    Returns:
        Cross-entropy (without z-loss) and z-loss, float32 scalars.
    """
    ce, log_z = _losses(logits, targets, label_smoothing)
    return jnp.sum(ce * weights), jnp.sum(z_loss * jnp.square(log_z) * weights)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _losses(
    logits: jax.Array, targets: jax.Array, label_smoothing: float
) -> tuple[jax.Array, jax.Array]:
    """Cross-entropy and log Z of each target, [batch, length]."""
    confidence, low = _masses(logits, label_smoothing)
    log_z = jax.nn.logsumexp(logits, axis=-1)
    gold = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    loss = log_z - (confidence - low) * gold
    if label_smoothing:
        # The sum over all pieces, without building soft targets of the logits' size.
        loss = loss - low * jnp.sum(logits, axis=-1)
        loss = loss + confidence * math.log(confidence) + label_smoothing * math.log(low + 1e-20)
    return loss, log_z


def _masses(logits: jax.Array, label_smoothing: float) -> tuple[float, float]:
    """Probability mass of the right piece, and of each wrong one."""
    return 1.0 - label_smoothing, label_smoothing / (logits.shape[-1] - 1)


def _losses_forward(
    logits: jax.Array, targets: jax.Array, label_smoothing: float
) -> tuple[tuple[jax.Array, jax.Array], _Saved]:
    loss, log_z = _losses(logits, targets, label_smoothing)
    return (loss, log_z), (logits, targets, log_z)


def _losses_backward(
    label_smoothing: float, saved: _Saved, cotangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, np.ndarray]:
    # One pass over the logits; the derivative of the gather would be a scatter, several times
    # slower on a CPU.
    logits, targets, log_z = saved
    of_loss, of_log_z = cotangents
    confidence, low = _masses(logits, label_smoothing)
    softmax = jnp.exp(logits - log_z[..., None])
    right = jnp.arange(logits.shape[-1]) == targets[..., None]
    soft = jnp.where(right, confidence, low)
    gradient = softmax * (of_loss + of_log_z)[..., None] - soft * of_loss[..., None]
    return gradient, np.zeros(targets.shape, jax.dtypes.float0)


_losses.defvjp(_losses_forward, _losses_backward)


Project = Callable[[jax.Array], jax.Array]
Sums = dict[str, jax.Array]  # float32 scalars
_Total = tuple[jax.Array, Sums]
_WORTH_BYTES = 8 << 20  # of the logits of a part: fewer are not worth a loop
_MOST_PARTS = 8


def parts_of(rows: int, length: int, vocab: int) -> int:
    """In how many parts the loss of targets [rows, length] is best worked out, 1 to 8.

    It is 1 where the batch is split over devices: each part's gradient of the output matrix would
    be exchanged.

    Args:
        rows: Of the batch.
        length: Target tokens of a row.
        vocab: Logits per token.
    """
    wanted = min(rows * length * vocab * 4 // _WORTH_BYTES, _MOST_PARTS, length)
    if wanted < 2 or jax.sharding.get_abstract_mesh().shape.get("data", 1) > 1:
        return 1
    # Parts are of equal length; of numbers near the wanted one, that which adds least padding.
    return min(range(wanted, wanted // 2, -1), key=lambda n: -length % n)


def summed(
    project: Project,
    states: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    *,
    z_loss: float = 0.0,
    label_smoothing: float = 0.0,
    parts: int = 1,
) -> tuple[jax.Array, Sums]:
    """The loss of targets whose logits are never all in memory.

    Only the logits of a part of each row's targets are, and their gradients are taken at once, so
    that none is worked out twice. The values are those of one part, but for rounding.

    Args:
        project: States [batch, any length, emb] to float32 logits [batch, any length, vocab].
        states: [batch, length, emb].
        targets: int32 [batch, length].
        weights: [batch, length]; 0 leaves a target out.
        z_loss: As for `cross_entropy`.
        label_smoothing: As for `cross_entropy`.
        parts: How many, along the length.

    Returns:
        Cross-entropy plus z-loss, which has a derivative in `states` and in what `project` closes
        over; and sums over all targets, which have none: `loss`, `cross_ent_loss`, `z_loss`,
        `correct`, `target_tokens`.
    """

    def loss(states: jax.Array, targets: jax.Array, weights: jax.Array, *closed: Any) -> _Total:
        logits = applied(states, *closed)
        ce, z = cross_entropy(
            logits, targets, weights, z_loss=z_loss, label_smoothing=label_smoothing
        )
        counted = (weights > 0).astype(jnp.float32)
        right = is_argmax(logits, targets).astype(jnp.float32)
        return ce + z, {
            "loss": ce + z,
            "cross_ent_loss": ce,
            "z_loss": z,
            "correct": jnp.sum(right * counted),
            "target_tokens": jnp.sum(counted),
        }

    if parts == 1:
        applied = project
        return loss(states, targets, weights)
    pieces = tuple(_split(x, parts) for x in (states, targets, weights))
    # What is closed over must be an argument, for its gradient to be summed over the parts.
    applied, closed = jax.closure_convert(project, pieces[0][0])
    return _in_parts(loss, pieces, tuple(closed))


def _split(x: jax.Array, parts: int) -> jax.Array:
    """[batch, length, ...] to [parts, batch, length of a part, ...], padded with zeros."""
    padding = [(0, 0), (0, -x.shape[1] % parts)] + [(0, 0)] * (x.ndim - 2)
    x = jnp.pad(x, padding)
    return x.reshape(x.shape[0], parts, -1, *x.shape[2:]).swapaxes(0, 1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _in_parts(
    loss: Callable[..., _Total], pieces: tuple[jax.Array, ...], closed: tuple[jax.Array, ...]
) -> _Total:
    """The sum of the losses of pieces [parts, ...], one after another."""

    def add(total: _Total, piece: tuple[jax.Array, ...]) -> tuple[_Total, None]:
        return jax.tree.map(jnp.add, total, loss(*piece, *closed)), None

    first = jax.tree.map(lambda x: x[0], pieces)
    zeros = jax.tree.map(jnp.zeros_like, jax.eval_shape(loss, *first, *closed))
    return jax.lax.scan(add, zeros, pieces)[0]


def _in_parts_forward(
    loss: Callable[..., _Total], pieces: tuple[jax.Array, ...], closed: tuple[jax.Array, ...]
) -> tuple[_Total, tuple[Any, ...]]:
    gradient = jax.value_and_grad(
        loss, argnums=(0, *range(len(pieces), len(pieces) + len(closed))), has_aux=True
    )

    def add(
        carry: tuple[_Total, list[jax.Array]], piece: tuple[jax.Array, ...]
    ) -> tuple[tuple[_Total, list[jax.Array]], jax.Array]:
        total, (of_states, *of_closed) = gradient(*piece, *closed)
        return jax.tree.map(jnp.add, carry, (total, of_closed)), of_states

    first = jax.tree.map(lambda x: x[0], pieces)
    zeros = jax.tree.map(jnp.zeros_like, jax.eval_shape(loss, *first, *closed))
    start = (zeros, [jnp.zeros_like(x) for x in closed])
    (total, of_closed), of_states = jax.lax.scan(add, start, pieces)
    return total, (of_states, tuple(of_closed), pieces[1].shape)


def _in_parts_backward(
    loss: Callable[..., _Total], kept: tuple[Any, ...], change: _Total
) -> tuple[Any, ...]:
    of_states, of_closed, shape = kept
    factor = change[0]
    nothing = np.zeros(shape, jax.dtypes.float0), jnp.zeros(shape)
    of_closed = tuple((x * factor).astype(x.dtype) for x in of_closed)
    return ((of_states * factor).astype(of_states.dtype), *nothing), of_closed


_in_parts.defvjp(_in_parts_forward, _in_parts_backward)


def is_argmax(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Whether each target is the first index of its logits' maximum, bool [batch, length].

    One pass over the logits [batch, length, vocab], a sixth of the time of XLA's argmax on a CPU.
    A vocabulary that is split over devices stays split: no device gathers all logits, as with
    `inference.steps.argmax`.
    """
    gold = jnp.take_along_axis(logits, targets[..., None], axis=-1)
    earlier = jnp.arange(logits.shape[-1]) < targets[..., None]
    return ~jnp.any((logits > gold) | ((logits == gold) & earlier), axis=-1)


def check_factor(factor: float | str | None) -> None:
    """Checks LOSS_NORMALIZING_FACTOR.

    Raises:
        UserError: It is neither a positive number nor one of `FACTORS`, nor None.
    """
    if isinstance(factor, str):
        if factor not in FACTORS:
            raise unknown_name("LOSS_NORMALIZING_FACTOR", factor, FACTORS)
    elif factor is not None and not 0 < factor < float("inf"):
        raise UserError(
            f"LOSS_NORMALIZING_FACTOR is {factor}; give a number above 0, None for a raw sum, or "
            f"one of {', '.join(FACTORS)}"
        )


def normalize_weights(
    factor: float | str | None, batch: Mapping[str, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """The weights of a batch's targets, and what their summed loss is divided by.

    Both are measured on the whole batch, so neither depends on the number of microbatches.

    Args:
        factor: A number (233472 for T5's pretraining), None for a raw sum, or one of `FACTORS`;
            "AVERAGE_PER_SEQUENCE" averages within each sequence, then over sequences.
        batch: The whole batch; `decoder_loss_weights` [batch, length] (without them every target
            but padding counts), and where it is packed `decoder_segment_ids`.

    Returns:
        Weights float32 [batch, length] and the divisor, a scalar.
    """
    given = batch.get("decoder_loss_weights")
    given = batch["decoder_target_tokens"] > 0 if given is None else given
    weights = jnp.asarray(given, jnp.float32)
    if factor is None:
        return weights, jnp.ones(())
    if not isinstance(factor, str):
        return weights, jnp.asarray(factor, jnp.float32)
    if factor == "NUM_REAL_TARGET_TOKENS":
        return weights, jnp.maximum(jnp.sum(weights), 1.0)
    if factor == "NUM_TOTAL_TARGET_TOKENS":
        return weights, jnp.asarray(weights.size, jnp.float32)
    if factor == "AVERAGE_PER_SEQUENCE":
        segments = batch.get("decoder_segment_ids", jnp.ones_like(weights))
        same = segments[:, :, None] == segments[:, None, :]
        length = jnp.einsum("bqk,bk->bq", same.astype(jnp.float32), weights)
        weights = jnp.where(length > 0, weights / jnp.maximum(length, 1.0), 0.0)
        return weights, jnp.maximum(jnp.sum(weights), 1.0)
    raise unknown_name("LOSS_NORMALIZING_FACTOR", factor, FACTORS)


def fillings(batch: Mapping[str, jax.Array], weights: jax.Array) -> dict[str, jax.Array]:
    """How full a batch is, as T5X counts it (its `models.compute_base_metrics`); float32 scalars.

    Args:
        batch: The whole batch.
        weights: Of its targets, from `normalize_weights`.

    Returns:
        `loss_weights`, their sum; `sequences`, the rows; `positions/loss_weights` of the targets;
        and for each stack `examples/<stack>` that have a token in the rows, `tokens/<stack>` and
        `positions/<stack>`. A stack is called "encoder" or "decoder" in a packed batch, and
        otherwise by its array, "encoder_input_tokens" or "decoder_target_tokens".
    """
    end = "_segment_ids"
    stacks = {name.removesuffix(end): x for name, x in batch.items() if name.endswith(end)}
    if not stacks:
        names = ("encoder_input_tokens", "decoder_target_tokens")
        stacks = {name: (batch[name] != 0).astype(jnp.int32) for name in names if name in batch}
    counts: dict[str, int | jax.Array] = {
        "loss_weights": jnp.sum(weights),
        "sequences": weights.shape[0],
        "positions/loss_weights": weights.size,
    }
    for name, ids in stacks.items():
        begins = jnp.pad(ids[:, :-1], ((0, 0), (1, 0))) != ids
        counts[f"examples/{name}"] = jnp.sum(begins & (ids != 0))
        counts[f"tokens/{name}"] = jnp.sum(ids != 0)
        counts[f"positions/{name}"] = ids.size
    return {name: jnp.asarray(count, jnp.float32) for name, count in counts.items()}
