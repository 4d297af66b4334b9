"""`model-info.txt`: every variable with its size, shape and sharding, in the lines of T5X.

Source: T5X's `utils.log_model_info`.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
from flax import linen

from closedbook.training.model import TransformerModel
from closedbook.training.optimizers.adafactor import AdafactorState
from closedbook.training.state import TrainState


def describe(model: TransformerModel, abstract: TrainState, *, optimizer: bool = True) -> str:
    """The file's text.

    Args:
        model: What is trained or asked.
        abstract: Shapes and shardings of its state.
        optimizer: Whether the optimiser's slots are listed: not where nothing is trained.
    """
    boxed = jax.eval_shape(model.init, jax.random.key(0))
    specs = jax.tree_util.tree_leaves_with_path(linen.get_partition_spec(boxed))
    axes = {_name(path): tuple(spec) for path, spec in specs}
    shapes, lines = {}, []
    for path, x in jax.tree_util.tree_leaves_with_path(abstract.params):
        shapes[_name(path)] = x.shape
        lines.append(_line(_name(path), x, axes.get(_name(path), ())))
    lines += [f"Total number of parameters: {sum(map(math.prod, shapes.values()))}", ""]
    if optimizer:
        for name, parameter, x in sorted(_slots(abstract.opt_state, shapes), key=lambda s: s[0]):
            alike = parameter in shapes and shapes[parameter] == x.shape
            lines.append(_line(f"param_states/{name}", x, axes.get(parameter, ()) if alike else ()))
    lines.append(_line("step", abstract.step, ()))
    return "\n".join([*lines, ""])


def _line(name: str, x: Any, axes: Sequence[str | None]) -> str:
    shape = str(tuple(x.shape))
    if axes and len(axes) == len(x.shape):
        shape = f"({', '.join(f'{axis}={size}' for axis, size in zip(axes, x.shape, strict=True))})"
    spec = tuple(x.sharding.spec) + (None,) * (len(x.shape) - len(x.sharding.spec))
    return (
        f"Variable {name:<80} size {math.prod(x.shape):<12} shape {shape:<40} partition spec {spec}"
    )


def _slots(state: Any, parameters: Any) -> Iterator[tuple[str, str, Any]]:
    """Name, name of the parameter, and shape of every array of an optimiser's state.

    Adafactor's are named as T5X's checkpoints name them, `<parameter>/v_row`; its count is T5X's
    step. Those of optax are named by their place.
    """
    for path, x in jax.tree_util.tree_leaves_with_path(state):
        names = _name(path).split("/")
        ends = ["/".join(names[start:]) for start in range(len(names))]
        parameter = next((end for end in ends if end in parameters), "")
        if not isinstance(state, AdafactorState):
            yield "/".join(names), parameter, x
        elif parameter:
            yield f"{parameter}/{names[0]}", parameter, x


def _name(path: Sequence[Any]) -> str:
    """A place in a tree, for example "decoder/layers_0/mlp/wo/kernel"."""
    return jax.tree_util.keystr(tuple(path), simple=True, separator="/")
