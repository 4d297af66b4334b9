"""Parameters: where scanned ones hold their layers; with and without logical axes."""

import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

Params = dict[str, Any]  # nested dicts with arrays, or their shapes, as leaves
LAYER_AXIS = 1  # of parameters that are scanned: a vector of [emb] becomes [emb, layers]


def apart(params: Params, layers: Mapping[str, int]) -> Params:
    """Parameters of scanned layers as those of unrolled ones; unrolled ones as they are.

    Args:
        params: Of a network, nested dicts.
        layers: How many layers each of its stacks has.
    """
    out = dict(params)
    for stack, number in layers.items():
        scanned = dict(params[stack])
        if "layers" not in scanned:
            continue
        together = scanned.pop("layers")
        for i in range(number):
            take = functools.partial(jnp.take, indices=i, axis=LAYER_AXIS)
            scanned[f"layers_{i}"] = jax.tree.map(take, together)
        out[stack] = scanned
    return out


def unboxed(tree: Any) -> Any:
    """Plain arrays out of parameters that are boxed with logical axes.

    Linen's own `unbox` also constrains each array to the current mesh, which fails on the
    abstract arrays of `jax.eval_shape`.
    """
    is_box = lambda x: isinstance(x, nn.meta.AxisMetadata)  # noqa: E731

    def plain(x: Any) -> Any:
        if isinstance(x, nn.LogicallyPartitioned):
            return x.unbox(apply_constraint=False)
        return x

    return jax.tree.map(plain, tree, is_leaf=is_box)


def layers_apart(stack: Params, layers: int) -> list[Params]:
    """The parameters of each layer of a stack, whether its layers are scanned or unrolled.

    Args:
        stack: Parameters of the stack without boxes: `params["decoder"]`.
        layers: How many layers it has.
    """
    if "layers" in stack:
        return [
            jax.tree.map(lambda x, i=i: jnp.take(x, i, axis=LAYER_AXIS), stack["layers"])
            for i in range(layers)
        ]
    return [stack[f"layers_{i}"] for i in range(layers)]
