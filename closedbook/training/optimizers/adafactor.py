"""Adafactor (Shazeer and Stern 2018) with the exact semantics of T5X.

optax's version clips and scales a scan-stacked parameter as one tensor, and may take the layer
axis as a factored dimension; T5X treats every layer apart. Here the layer axis is left out of
every mean, so scanned and unrolled layers take the same steps.

The transformation returns the descent direction, without the learning rate: the training step
multiplies by its schedule.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from closedbook.models.parameters import LAYER_AXIS
from closedbook.parallel.mesh import several_devices

_Path = Sequence[jax.tree_util.KeyEntry]


class AdafactorState(NamedTuple):
    """Step count and second-moment accumulators; unused slots are zeros of shape (1,)."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, which tuple has as a method
    v_row: optax.Params
    v_col: optax.Params
    v: optax.Params


def is_stacked(path: _Path) -> bool:
    """Whether the parameter at a tree path holds all layers of a scanned stack."""
    return any(getattr(key, "key", getattr(key, "name", None)) == "layers" for key in path)


def factored_dims(
    shape: Sequence[int], *, stacked: bool, min_dim_size: int = 128
) -> tuple[int, int] | None:
    """The second largest and the largest dimension, or None if the second is too small.

    Args:
        shape: The parameter's.
        stacked: Whether axis `LAYER_AXIS` counts layers; it is never factored.
        min_dim_size: Smallest second dimension that is worth factoring.
    """
    axes = [i for i in range(len(shape)) if not (stacked and i == LAYER_AXIS)]
    if len(axes) < 2:
        return None
    second, largest = sorted(axes, key=lambda i: shape[i])[-2:]
    return (second, largest) if shape[second] >= min_dim_size else None


class OwnRate(optax.GradientTransformationExtraArgs):
    """A transformation whose updates are multiplied by a learning rate already.

    Its `update` is given the trainer's as `learning_rate`, and may have another of its own.
    """


def standard_logical_factor_rules() -> None:
    """T5X's rules for kernels of more than two axes, which T5 has none of."""


def adafactor(
    *,
    decay_rate: float = 0.8,
    step_offset: int = 0,
    clipping_threshold: float | None = 1.0,
    multiply_by_parameter_scale: bool = True,
    epsilon1: float = 1e-30,
    epsilon2: float = 1e-3,
    min_dim_size_to_factor: int = 128,
    factored: bool = True,
    max_parameter_scale: float | None = None,
    global_norm_clip_threshold: float | None = None,
    beta1: float | None = None,
    weight_decay_rate: float | None = None,
    weight_decay_rate_lr_exponent: float | None = None,
) -> optax.GradientTransformation:
    """Adafactor; by default without momentum and weight decay, as T5 was trained.

    Args:
        decay_rate: The second moment's decay at step t is 1 - (t - step_offset)^-decay_rate.
        step_offset: Steps to subtract from the count, for fine-tuning.
        clipping_threshold: Largest root mean square of an update; None for no clipping.
        multiply_by_parameter_scale: Scale updates by the root mean square of the parameter.
        epsilon1: Added to squared gradients.
        epsilon2: Smallest parameter scale.
        min_dim_size_to_factor: Smallest second dimension of a factored parameter.
        factored: Whether any parameter is factored.
        max_parameter_scale: Largest parameter scale.
        global_norm_clip_threshold: Largest norm of all gradients together.
        beta1: Of the momentum of updates, learning rate included, m = beta1 m + (1 - beta1) u.
            The state is then another one than a T5 checkpoint's.
        weight_decay_rate: The share of a parameter that each step takes away; not multiplied by
            the learning rate.
        weight_decay_rate_lr_exponent: Multiplies that share (1 if unset) by the learning rate to
            this power.
    """

    def dims(path: _Path, x: jax.Array) -> tuple[int, int] | None:
        if not factored:
            return None
        return factored_dims(x.shape, stacked=is_stacked(path), min_dim_size=min_dim_size_to_factor)

    def init(params: optax.Params) -> AdafactorState:
        def slots(path: _Path, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
            unused = jnp.zeros((1,), jnp.float32)
            factored = dims(path, x)
            if factored is None:
                return unused, unused, jnp.zeros(x.shape, jnp.float32)
            second, largest = factored
            row = jnp.zeros(np.delete(x.shape, largest), jnp.float32)
            return row, jnp.zeros(np.delete(x.shape, second), jnp.float32), unused

        row, col, full = _unzip(jax.tree_util.tree_map_with_path(slots, params), params, 3)
        return AdafactorState(jnp.zeros((), jnp.int32), row, col, full)

    def update(
        grads: optax.Updates, state: AdafactorState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, AdafactorState]:
        assert params is not None, "adafactor scales its updates by the parameters"
        if global_norm_clip_threshold:
            norm = optax.tree.norm(grads)
            share = jnp.minimum(1.0, global_norm_clip_threshold / norm)
            grads = jax.tree.map(lambda g: g * share, grads)
        t = (state.count - step_offset + 1).astype(jnp.float32)
        decay = 1.0 - t**-decay_rate

        def leaf(
            path: _Path,
            g: jax.Array,
            row: jax.Array,
            col: jax.Array,
            full: jax.Array,
            x: jax.Array,
        ) -> tuple[jax.Array, ...]:
            g = g.astype(jnp.float32)
            squared = g * g + epsilon1
            axes = tuple(i for i in range(g.ndim) if not (is_stacked(path) and i == LAYER_AXIS))
            factored = dims(path, x)
            if factored is None:
                full = decay * full + (1.0 - decay) * squared
                u = g * full**-0.5
            else:
                second, largest = factored
                row = decay * row + (1.0 - decay) * jnp.mean(squared, axis=largest)
                col = decay * col + (1.0 - decay) * jnp.mean(squared, axis=second)
                wide_row = jnp.expand_dims(row, largest)
                wide_row = wide_row / jnp.mean(wide_row, axis=second, keepdims=True)
                u = g * wide_row**-0.5 * jnp.expand_dims(col, second) ** -0.5
            if clipping_threshold is not None:
                u = u / jnp.maximum(1.0, _rms(u, axes) / clipping_threshold)
            if multiply_by_parameter_scale:
                u = u * jnp.clip(_rms(x, axes), epsilon2, max_parameter_scale)
            return -u, row, col, full

        trees = (grads, state.v_row, state.v_col, state.v, params)
        updates, row, col, full = _unzip(_in_turn(leaf, trees), params, 4)
        return updates, AdafactorState(state.count + 1, row, col, full)

    plain = optax.GradientTransformation(init, update)
    if beta1 is None and weight_decay_rate is None and not weight_decay_rate_lr_exponent:
        return plain
    return _finished(plain, beta1, weight_decay_rate, weight_decay_rate_lr_exponent)


def _finished(
    plain: optax.GradientTransformation,
    beta1: float | None,
    weight_decay_rate: float | None,
    exponent: float | None,
) -> OwnRate:
    """Adafactor with momentum and weight decay; its state is Adafactor's alone without momentum."""

    def init(params: optax.Params) -> optax.OptState:
        if beta1 is None:
            return plain.init(params)
        return plain.init(params), jax.tree.map(jnp.zeros_like, params)

    def update(
        grads: optax.Updates,
        state: optax.OptState,
        params: optax.Params | None = None,
        *,
        learning_rate: jax.Array,
    ) -> tuple[optax.Updates, optax.OptState]:
        own, momentum = (state, None) if beta1 is None else state
        direction, own = plain.update(grads, own, params)
        updates = jax.tree.map(lambda d: learning_rate * d, direction)
        if beta1 is not None:
            updates = momentum = jax.tree.map(
                lambda m, u: beta1 * m + (1.0 - beta1) * u, momentum, updates
            )
        decay: jax.Array | float | None = weight_decay_rate
        if exponent:
            decay = (weight_decay_rate or 1.0) * learning_rate**exponent
        if decay is not None:
            updates = jax.tree.map(lambda u, p: u - decay * p, updates, params)
        return updates, own if beta1 is None else (own, momentum)

    return OwnRate(init, update)


def _in_turn(
    leaf: Callable[..., tuple[jax.Array, ...]], trees: tuple[optax.Params, ...]
) -> optax.Params:
    """A function of each parameter's path and of its leaves of some trees, one after another.

    So that what it works out on the way, as large as the parameter, is in memory once, and not for
    all parameters at a time. Several devices take all at once: they share that memory, and what
    they add up for one parameter after another would be an exchange of its own for each.
    """
    alone = not several_devices()
    paths, structure = jax.tree_util.tree_flatten_with_path(trees[0])
    results: list[tuple[jax.Array, ...]] = []
    rows = zip(*(jax.tree.leaves(tree) for tree in trees), strict=True)
    for (path, _), row in zip(paths, rows, strict=True):
        if results and alone:
            results[-1], row = jax.lax.optimization_barrier((results[-1], row))
        results.append(leaf(path, *row))
    return jax.tree.unflatten(structure, results)


def _rms(x: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    return jnp.sqrt(jnp.mean(jnp.square(x.astype(jnp.float32)), axis=axes, keepdims=True))


def _unzip(tree: optax.Params, like: optax.Params, n: int) -> tuple[optax.Params, ...]:
    """A tree of n-tuples to n trees."""
    inner = jax.tree.structure((0,) * n)
    return jax.tree.transpose(jax.tree.structure(like), inner, tree)
