"""Where an edit acts: the value matrix `mlp/wo` of one layer of one stack."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from closedbook.errors import UserError, unknown_name
from closedbook.models.families import Config
from closedbook.models.parameters import LAYER_AXIS, Params


@dataclasses.dataclass(frozen=True, order=True)
class Place:
    """One layer's feed-forward unit, whose value matrix is a linear memory of keys and values.

    Attributes:
        stack: "encoder" or "decoder".
        layer: From 0.
    """

    stack: str
    layer: int

    @property
    def key_site(self) -> str:
        """The tap site whose activations are the keys, [..., mlp]."""
        return f"{self.stack}.{self.layer}.mlp.coefficients"

    @property
    def value_site(self) -> str:
        """The tap site whose activations are the values, [..., emb]."""
        return f"{self.stack}.{self.layer}.mlp.out"

    @property
    def before_site(self) -> str:
        """The tap site of the residual stream before the layer, [..., emb]."""
        return f"{self.stack}.{self.layer}.resid_pre"

    @property
    def after_site(self) -> str:
        """The tap site of the residual stream after the layer, [..., emb]."""
        return f"{self.stack}.{self.layer}.resid_post"

    def __str__(self) -> str:
        return f"{self.stack} layer {self.layer}"


def has_encoder(config: Config) -> bool:
    """Whether the model reads its prompt in an encoder, so that answers are texts of their own."""
    return "encoder" in config.stacks


def places(config: Config, stack: str | None, layers: Sequence[int]) -> tuple[Place, ...]:
    """The places of some layers, ascending.

    Args:
        config: The model's.
        stack: "encoder" or "decoder"; None for the stack that reads the prompt.
        layers: Their numbers, from 0.

    Raises:
        UserError: The model has no such stack or layer, or a layer is named twice.
    """
    name = stack or next(iter(config.stacks))
    if name not in config.stacks:
        raise unknown_name("stack", name, config.stacks)
    most = config.stacks[name].layers
    for layer in layers:
        if not 0 <= layer < most:
            raise UserError(
                f"layer {layer} does not exist: the {name} has layers 0 to {most - 1}; give one "
                "of them"
            )
    if len(set(layers)) < len(layers) or not layers:
        raise UserError(f"the layers are {list(layers)}; name each once, one at least")
    return tuple(Place(name, layer) for layer in sorted(layers))


def kernel(params: Params, place: Place) -> jax.Array:
    """The value matrix of a place, float32 [mlp, emb]."""
    layers = params[place.stack]
    if "layers" in layers:
        return jnp.take(layers["layers"]["mlp"]["wo"]["kernel"], place.layer, axis=LAYER_AXIS)
    return layers[f"layers_{place.layer}"]["mlp"]["wo"]["kernel"]


def with_kernels(params: Params, kernels: Mapping[Place, np.ndarray | jax.Array]) -> Params:
    """The same parameters with other value matrices [mlp, emb]; the given tree stays as it is."""
    for place, value in kernels.items():
        stack = dict(params[place.stack])
        name = "layers" if "layers" in stack else f"layers_{place.layer}"
        value = jnp.asarray(value)
        if name == "layers":
            old = stack[name]["mlp"]["wo"]["kernel"]
            value = old.at[:, place.layer].set(value)
        stack[name] = _replaced(stack[name], ("mlp", "wo", "kernel"), value)
        params = {**params, place.stack: stack}
    return params


def _replaced(tree: Mapping[str, Any], path: tuple[str, ...], value: jax.Array) -> dict[str, Any]:
    first, *rest = path
    new = _replaced(tree[first], tuple(rest), value) if rest else value
    return {**tree, first: new}


def tensor_name(names: Mapping[str, Any], place: Place) -> tuple[str, int | None]:
    """The name of a place's matrix in a checkpoint, and its entry of the layer axis if it has one.

    Args:
        names: The checkpoint's tensors by name.
        place: Whose matrix it is.
    """
    scanned = f"{place.stack}/layers/mlp/wo/kernel"
    if scanned in names:
        return scanned, place.layer
    return f"{place.stack}/layers_{place.layer}/mlp/wo/kernel", None
