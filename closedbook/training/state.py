"""The state of a training run, and where its arrays lie."""

import functools
from typing import TypeVar

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax.experimental.layout import Format, Layout
from jax.sharding import NamedSharding, PartitionSpec

from closedbook.models import unboxed
from closedbook.models.parameters import LAYER_AXIS
from closedbook.parallel import Partitioner
from closedbook.training.model import Params, TransformerModel
from closedbook.training.optimizers.adafactor import factored_dims, is_stacked

_Tree = TypeVar("_Tree")
_Path = tuple[jax.tree_util.KeyEntry, ...]


class TrainState(struct.PyTreeNode):
    """Everything that a step changes.

    Attributes:
        step: Steps done, an int32 scalar; counts the pretraining's steps of a restored model.
        params: Plain parameters.
        opt_state: The optimiser's.
    """

    step: jax.Array
    params: Params
    opt_state: optax.OptState


def abstract_state(model: TransformerModel, partitioner: Partitioner) -> TrainState:
    """Shapes, types, shardings and layouts of the state, without any memory for it.

    Parameters of scanned layers, and slots of their shape, lie layer after layer in memory, though
    their first axis is another: a scan then takes a layer where it lies. In the order of the axes a
    step would copy all of them, and all of their gradients, into the other one.
    """
    boxed = jax.eval_shape(lambda: model.init(jax.random.key(0)))
    params = unboxed(boxed)
    formats = jax.tree_util.tree_map_with_path(
        _format, params, partitioner.parameter_shardings(boxed, params)
    )
    opt_state = jax.eval_shape(model.optimizer.init, params)
    everywhere = Format(None, partitioner.sharding())
    by_path = {
        jax.tree_util.keystr(path): (path, x, f)
        for (path, x), f in zip(
            jax.tree_util.tree_leaves_with_path(params), jax.tree.leaves(formats), strict=True
        )
    }

    def format_of(path: _Path, x: jax.ShapeDtypeStruct) -> Format:
        # A slot's path ends with its parameter's path, whatever the optimiser.
        for start in range(len(path)):
            key = jax.tree_util.keystr(path[start:])
            if key in by_path:
                return _slot_format(path[:start], x, *by_path[key])
        return everywhere

    def placed(x: jax.ShapeDtypeStruct, where: Format) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where)

    return TrainState(
        # The shape of an array stands for the array, in all three.
        step=placed(jax.ShapeDtypeStruct((), jnp.int32), everywhere),  # type: ignore[arg-type]
        params=jax.tree.map(placed, params, formats),
        opt_state=jax.tree_util.tree_map_with_path(
            lambda path, x: placed(x, format_of(path, x)), opt_state
        ),
    )


def _format(path: _Path, x: jax.ShapeDtypeStruct, sharding: NamedSharding) -> Format:
    """Where and in which order a parameter lies; None for the order of its axes."""
    if not is_stacked(path) or len(x.shape) <= LAYER_AXIS:
        return Format(None, sharding)
    within = [axis for axis in range(len(x.shape)) if axis != LAYER_AXIS]
    return Format(Layout((LAYER_AXIS, *within)), sharding)


def _slot_format(
    slot: _Path,
    x: jax.ShapeDtypeStruct,
    path: _Path,
    param: jax.ShapeDtypeStruct,
    where: Format,
) -> Format:
    """Format of an optimiser's slot of a parameter: like it, less a factored-out dimension."""
    if x.shape == param.shape:
        return where
    sharding = where.sharding
    assert isinstance(sharding, NamedSharding)
    spec = list(sharding.spec) + [None] * (len(param.shape) - len(sharding.spec))
    names = {getattr(key, "name", None) for key in slot}
    dims = factored_dims(param.shape, stacked=is_stacked(path))
    left = {"v_row": 1, "v_col": 0}  # which of (second, largest) a slot's mean has removed
    factored = [index for name, index in left.items() if name in names]
    if dims is not None and factored and len(x.shape) == len(spec) - 1:
        del spec[dims[factored[0]]]
        return Format(None, NamedSharding(sharding.mesh, PartitionSpec(*spec)))
    return Format(None, NamedSharding(sharding.mesh, PartitionSpec()))


def laid_out(tree: _Tree, abstract: _Tree) -> _Tree:
    """Arrays in the layouts of an abstract tree, like `abstract_state`.

    Those that lie otherwise are given up one by one, so that memory for one more is enough.

    Args:
        tree: Of arrays with the shardings of the abstract ones; not to be used afterwards.
        abstract: Of `jax.ShapeDtypeStruct`.
    """

    def placed(x: jax.Array, like: jax.ShapeDtypeStruct) -> jax.Array:
        if like.format.layout is None:
            return x
        return jax.jit(lambda same: same, out_shardings=like.format, donate_argnums=0)(x)

    return jax.tree.map(placed, tree, abstract)


def fresh_state(model: TransformerModel, partitioner: Partitioner, seed: int) -> TrainState:
    """A state at step 0 with random parameters, made in place on the devices."""
    formats = jax.tree.map(lambda x: x.format, abstract_state(model, partitioner))
    key, _ = split_seed(seed)

    @functools.partial(jax.jit, out_shardings=formats)
    def make(key: jax.Array) -> TrainState:
        params = model.init_unboxed(key)
        return TrainState(jnp.zeros((), jnp.int32), params, model.optimizer.init(params))

    return make(key)


def fresh_opt_state(
    model: TransformerModel, params: Params, abstract: optax.OptState
) -> optax.OptState:
    """An empty optimiser state for given parameters, laid out as an abstract one."""
    formats = jax.tree.map(lambda x: x.format, abstract)
    return jax.jit(model.optimizer.init, out_shardings=formats)(params)


def converted(params: Params, dtype: str | None) -> Params:
    """Parameters in a number type; None leaves them as they are."""
    if dtype is None or all(x.dtype == dtype for x in jax.tree.leaves(params)):
        return params
    return jax.jit(lambda tree: jax.tree.map(lambda x: x.astype(dtype), tree))(params)


def rounded(params: Params, dtype: str | None) -> Params:
    """Parameters rounded to a number type, and still of their own: "bfloat16" loses 16 bits.

    Args:
        params: Plain parameters.
        dtype: The type; None for none.
    """
    if dtype is None or all(x.dtype == dtype for x in jax.tree.leaves(params)):
        return params
    return jax.jit(
        lambda tree: jax.tree.map(lambda x: x.astype(dtype).astype(x.dtype), tree),
        donate_argnums=0,
    )(params)


def split_seed(seed: int, *, hardware_rng: bool = False) -> tuple[jax.Array, jax.Array]:
    """The initialiser's and the trainer's random keys, as T5X splits them.

    Args:
        seed: The run's.
        hardware_rng: Use the accelerator's generator; faster on TPUs.
    """
    key = jax.random.key(seed, impl="unsafe_rbg" if hardware_rng else None)
    init, trainer = jax.random.split(key)
    return init, trainer
