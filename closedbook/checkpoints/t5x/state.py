"""T5X's train state: what the tree in its checkpoints means, and which tree it wants."""

import math
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np

from closedbook.checkpoints.formats import Format
from closedbook.checkpoints.t5x.scalable import is_scalable, to_ours, to_theirs
from closedbook.checkpoints.tensors import SLOTS, Checkpoint, Tensor, flatten
from closedbook.errors import UserError

VERSION = 3
MOST_STEPS = 2**31 - 1  # of T5X's int32
_KEYS = ("state", "target")
_EMPTY = ("flax_mutables", "params_axes")  # of a T5: nothing
# What other optimisers keep of each parameter: flax.optim's and optax's names.
_OPTIMIZERS = {
    "Adam": ({"grad_ema", "grad_sq_ema"}, {"mu", "nu", "count"}, {"mu", "nu"}),
    "momentum": ({"momentum"}, {"trace"}),
}


def checkpoint_of(tree: Mapping[str, Any], *, format: Format, path: str) -> Checkpoint:
    """A checkpoint from the tree of its msgpack file.

    Since version 1 the train state is under "optimizer"; before, it was the tree itself.

    Args:
        tree: Nested dicts with `Tensor` leaves.
        format: The format of the file.
        path: The file, for messages.

    Raises:
        UserError: It holds what no T5X checkpoint of a T5 holds.
    """
    version = tree.get("version", 0)
    if type(version) is not int or not 0 <= version <= VERSION:
        raise UserError(f"{path} has version {version!r:.40}; versions 0 to {VERSION} are known")
    wrapped = "optimizer" in tree
    _only(tree, ("version", "optimizer") if wrapped else ("version", *_KEYS, *_EMPTY), path)
    train = tree["optimizer"] if wrapped else tree
    if not isinstance(train, Mapping) or not isinstance(train.get("target"), Mapping):
        raise UserError(
            f"{path} is not a T5X checkpoint: it has no parameters (optimizer/target); at its top "
            f"there are: {', '.join(sorted(tree)[:20]) or 'no names'}"
        )
    _only(train, ("version", *_KEYS, *_EMPTY), path)
    for name in _EMPTY:
        if isinstance(train.get(name), Mapping) and (full := sorted(train[name])):
            raise UserError(
                f"{path} holds {name}, which a T5 does not have: {', '.join(full)[:200]}"
            )
    flat = flatten(train["target"], leaf=lambda _: False)
    params = {name: _tensor(leaf, f"{path}: target/{name}") for name, leaf in flat.items()}
    if not params:
        raise UserError(f"{path} holds no parameters")
    state = train.get("state") or {}
    if not isinstance(state, Mapping):
        raise UserError(f"{path}: state is {state!r:.40}, not a map")
    _only(state, ("step", "param_states"), f"{path}: state")
    slots, other = _slots(state.get("param_states"), params, path)
    if is_scalable(params):
        params = to_ours(params)
        if slots is not None:  # the factors of a kernel with heads apart are none of a matrix
            slots, other = None, "Adafactor of the scalable network"
    return Checkpoint(
        format=format,
        path=path,
        params=params,
        slots=slots,
        other_optimizer=other,
        step=step_of(state.get("step"), f"{path}: state/step"),
    )


def _only(tree: Mapping[str, Any], known: tuple[str, ...], place: str) -> None:
    unknown = sorted(set(tree) - set(known))
    if unknown:
        raise UserError(
            f"{place} holds {', '.join(unknown)[:200]}, which T5X does not write there; known "
            f"are: {', '.join(known)}"
        )


def _tensor(leaf: object, place: str) -> Tensor:
    if not isinstance(leaf, Tensor):
        raise UserError(f"{place} is {leaf!r:.60}; an array is expected")
    if leaf.dtype != np.uint16:
        return leaf
    # Version 2 wrote the bits of bfloat16 arrays as integers of their size.
    return Tensor(
        shape=leaf.shape,
        dtype=np.dtype(ml_dtypes.bfloat16),
        place=leaf.place,
        load=lambda index: leaf.read(index).view(ml_dtypes.bfloat16),
    )


def _slots(
    states: object, params: Mapping[str, Tensor], path: str
) -> tuple[dict[str, Tensor] | None, str]:
    """Adafactor's accumulators, or the name of another optimiser."""
    if states is None or states == {}:
        return None, ""
    flat = flatten(states, leaf=lambda _: False) if isinstance(states, Mapping) else {}
    if set(flat) == {f"{name}/{slot}" for name in params for slot in SLOTS} and all(
        leaf is not None for leaf in flat.values()
    ):
        return {
            name: _tensor(leaf, f"{path}: state/param_states/{name}") for name, leaf in flat.items()
        }, ""
    kept = {name.rpartition("/")[2] for name, leaf in flat.items() if leaf is not None}
    names = ", ".join(sorted(kept)[:8])
    for known, sets in _OPTIMIZERS.items():
        if kept in sets:
            return None, f"{known} ({names})"
    if kept <= set(SLOTS):
        return None, "Adafactor for a part of the parameters"
    return None, f"an unknown one, which keeps {names}"


def step_of(leaf: object, place: str) -> int | None:
    """A number of steps from a leaf of a tree, or None for none.

    Raises:
        UserError: It is no natural number that int32 holds, as the train state has it.
    """
    if leaf is None:
        return None
    if isinstance(leaf, np.ndarray):
        leaf = Tensor.of(leaf, place)
    if isinstance(leaf, Tensor):
        leaf = leaf.read().reshape(-1)[0].item() if math.prod(leaf.shape) == 1 else leaf.shape
    if isinstance(leaf, int | float) and not isinstance(leaf, bool) and math.isfinite(leaf):
        steps = int(leaf)
        if steps == leaf and 0 <= steps <= MOST_STEPS:
            return steps
    raise UserError(f"{place} is {leaf!r:.60}; a number of steps is expected")


def state_of(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The train state that T5X wants, as a flat dict of names joined with "/".

    With slots it is the state of a training with Adafactor; without, T5X's own `InferenceState`,
    which has `state/step` alone and starts a training where `fallback_to_scratch` is set.

    Args:
        checkpoint: The checkpoint to write; a step that is not known is 0.

    Raises:
        UserError: Parameters lack slots, or slots lack a parameter.
    """
    params = checkpoint.params
    if is_scalable(params):
        params = to_theirs(params)
    state = {f"target/{name}": tensor for name, tensor in params.items()}
    if checkpoint.slots is not None:
        wanted = {f"{name}/{slot}" for name in checkpoint.params for slot in SLOTS}
        differing = sorted(wanted ^ set(checkpoint.slots))
        if differing:
            raise UserError(
                f"{checkpoint.path}: T5X keeps {', '.join(SLOTS)} of each parameter, no more and "
                f"no less; these differ: {', '.join(differing[:10])}"
            )
        state |= {f"state/param_states/{name}": slot for name, slot in checkpoint.slots.items()}
    step = np.asarray(checkpoint.step or 0, np.int32)
    return state | {"state/step": Tensor.of(step, f"{checkpoint.path}: step")}
