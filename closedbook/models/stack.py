"""Stacks of layers, scanned or unrolled, with or without rematerialisation.

The one place that asks for `scan_layers`. Whoever builds a stack asks `layers_of` for its layers
and works with what it gives, the same way in both layouts. What there is one of per layer (taps,
caches, records) is a list when layers are unrolled, and one pytree with a leading layer axis when
they are scanned: `PerLayer`.
"""

import abc
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias, TypeVar

import flax.linen as nn
import jax

from closedbook.models.layers import DROPOUT_MASK
from closedbook.models.parameters import LAYER_AXIS
from closedbook.models.sites import HasStacks
from closedbook.models.taps import LayersTaps, LayerTaps

_save_names = jax.checkpoint_policies.save_only_these_names(DROPOUT_MASK)


def _and_masks(policy: Callable[..., bool]) -> Callable[..., bool]:
    return jax.checkpoint_policies.save_from_both_policies(policy, _save_names)


# What a layer keeps for its backward pass. None: its inputs alone, all else is computed again.
_KEPT: dict[str, Callable[..., bool] | None] = {
    "products": _and_masks(jax.checkpoint_policies.dots_saveable),
    "minimal": _and_masks(jax.checkpoint_policies.dots_with_no_batch_dims_saveable),
    "full": None,
}
REMAT_POLICIES = ("none", *_KEPT)

T = TypeVar("T")
R = TypeVar("R")
PerLayer: TypeAlias = T | list[T]
Shape: TypeAlias = tuple[int, ...]


class LayeredConfig(HasStacks, Protocol):
    """The configuration of a model whose layers this module can run."""

    @property
    def scan_layers(self) -> bool:
        """One compiled layer, parameters stacked on `LAYER_AXIS`."""
        ...

    @property
    def remat_policy(self) -> str:
        """One of `REMAT_POLICIES`."""
        ...


def layers_of(config: LayeredConfig, stack: str) -> "Layers":
    """The layers of one of a config's stacks, in the layout that the config asks for."""
    layout = _Scanned if config.scan_layers else _Unrolled
    return layout(config.stacks[stack].layers, config.remat_policy)


@dataclasses.dataclass(frozen=True)
class Layers(abc.ABC):
    """The layers of a stack, in one of two layouts."""

    count: int
    remat_policy: str

    @abc.abstractmethod
    def run(
        self,
        layer: type[nn.Module],
        arguments: tuple[Any, ...],
        x: jax.Array,
        *,
        shared: tuple[Any, ...] = (),
        own: tuple[PerLayer[Any], ...] = (),
    ) -> tuple[jax.Array, tuple[PerLayer[Any], ...]]:
        """Runs the layers one after another; to be called inside a compact `__call__`.

        Args:
            layer: The class of a layer. `layer(*arguments)(x, *shared, *own_of_the_layer)` returns
                the residual stream and a tuple of whatever else there is.
            arguments: Of the class, the same for all layers.
            x: The residual stream [batch, length, emb].
            shared: Further arguments, the same for all layers.
            own: Further arguments of which each layer has its own.

        Returns:
            The residual stream after the last layer, and the layers' other outputs.
        """

    @abc.abstractmethod
    def call(
        self, layer: type[nn.Module], arguments: tuple[Any, ...], method: str, *shared: Any
    ) -> PerLayer[Any]:
        """What a method gives in each layer; layers do not depend on each other.

        Args:
            layer: The class of a layer, as for `run`.
            arguments: Of the class.
            method: Its name; called as `method(None, *shared)`, returns None and the output.
            shared: Arguments of the method.
        """

    @abc.abstractmethod
    def nothing(self) -> PerLayer[None]:
        """An argument `own` of `run` of which no layer has any."""

    @abc.abstractmethod
    def taps(self, found: LayersTaps | None) -> PerLayer[LayerTaps] | PerLayer[None]:
        """The taps of a stack's layers as an argument `own` of `run`."""

    @abc.abstractmethod
    def each(self, function: Callable[[T], R], values: PerLayer[T]) -> PerLayer[R]:
        """Applies a function to each layer's value, or to the stacked value at once."""

    @abc.abstractmethod
    def apart(self, values: PerLayer[T]) -> list[T]:
        """Each layer's value."""

    @abc.abstractmethod
    def array_shape(self, shape: Shape) -> Shape:
        """The shape of an array in `PerLayer` when one layer has `shape`."""

    @abc.abstractmethod
    def parameter_shapes(self, layer: Mapping[str, Shape]) -> dict[str, Shape]:
        """Names in the stack and shapes of all layers' parameters, given those of one layer."""

    def _made(self, layer: type[nn.Module]) -> type[nn.Module]:
        if self.remat_policy == "none":
            return layer
        # XLA takes two computations of one thing together, and would keep it after all; a barrier
        # prevents that. Under scan the loop does, and the barrier only costs time.
        unrolled = isinstance(self, _Unrolled)
        return nn.remat(layer, prevent_cse=unrolled, policy=_KEPT[self.remat_policy])


class _Unrolled(Layers):
    """Modules `layers_0`, `layers_1`, ..., each with parameters of its own."""

    def run(
        self,
        layer: type[nn.Module],
        arguments: tuple[Any, ...],
        x: jax.Array,
        *,
        shared: tuple[Any, ...] = (),
        own: tuple[PerLayer[Any], ...] = (),
    ) -> tuple[jax.Array, tuple[PerLayer[Any], ...]]:
        made = self._made(layer)
        outputs = []
        for i in range(self.count):
            mine = (values[i] for values in own)
            x, out = made(*arguments, name=f"layers_{i}")(x, *shared, *mine)
            outputs.append(out)
        return x, tuple(list(each) for each in zip(*outputs, strict=True))

    def call(
        self, layer: type[nn.Module], arguments: tuple[Any, ...], method: str, *shared: Any
    ) -> PerLayer[Any]:
        made = (layer(*arguments, name=f"layers_{i}") for i in range(self.count))
        return [getattr(one, method)(None, *shared)[1] for one in made]

    def nothing(self) -> PerLayer[None]:
        return [None] * self.count

    def taps(self, found: LayersTaps | None) -> PerLayer[LayerTaps] | PerLayer[None]:
        return self.nothing() if found is None else found.one_by_one()

    def each(self, function: Callable[[T], R], values: PerLayer[T]) -> PerLayer[R]:
        return [function(value) for value in self.apart(values)]

    def apart(self, values: PerLayer[T]) -> list[T]:
        assert isinstance(values, list)
        return values

    def array_shape(self, shape: Shape) -> Shape:
        return shape

    def parameter_shapes(self, layer: Mapping[str, Shape]) -> dict[str, Shape]:
        layers = range(self.count)
        return {f"layers_{i}/{name}": shape for name, shape in layer.items() for i in layers}


class _Scanned(Layers):
    """One module `layers` under `nn.scan`, compiled once."""

    def run(
        self,
        layer: type[nn.Module],
        arguments: tuple[Any, ...],
        x: jax.Array,
        *,
        shared: tuple[Any, ...] = (),
        own: tuple[PerLayer[Any], ...] = (),
    ) -> tuple[jax.Array, tuple[PerLayer[Any], ...]]:
        scanned = nn.scan(
            self._made(layer),
            variable_axes={"params": LAYER_AXIS},
            split_rngs={"params": True, "dropout": True},
            in_axes=(nn.broadcast,) * len(shared) + (0,) * len(own),
            length=self.count,
            metadata_params={nn.PARTITION_NAME: "layers"},
        )
        return scanned(*arguments, name="layers")(x, *shared, *own)

    def call(
        self, layer: type[nn.Module], arguments: tuple[Any, ...], method: str, *shared: Any
    ) -> PerLayer[Any]:
        scanned = nn.scan(
            layer,
            variable_axes={"params": LAYER_AXIS},
            split_rngs={"params": True},
            in_axes=nn.broadcast,
            length=self.count,
            methods=[method],
        )
        return getattr(scanned(*arguments, name="layers"), method)(None, *shared)[1]

    def nothing(self) -> PerLayer[None]:
        return None

    def taps(self, found: LayersTaps | None) -> PerLayer[LayerTaps] | PerLayer[None]:
        return self.nothing() if found is None else found.stacked()

    def each(self, function: Callable[[T], R], values: PerLayer[T]) -> PerLayer[R]:
        assert not isinstance(values, list)
        return function(values)

    def apart(self, values: PerLayer[T]) -> list[T]:
        return [jax.tree.map(lambda x, i=i: x[i], values) for i in range(self.count)]

    def array_shape(self, shape: Shape) -> Shape:
        return (self.count, *shape)

    def parameter_shapes(self, layer: Mapping[str, Shape]) -> dict[str, Shape]:
        return {
            f"layers/{name}": (*shape[:LAYER_AXIS], self.count, *shape[LAYER_AXIS:])
            for name, shape in layer.items()
        }
