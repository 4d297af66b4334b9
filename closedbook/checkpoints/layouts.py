"""Layers one by one ("layers_3/...") or stacked for `nn.scan` ("layers/..."), both ways.

T5X and closedbook stack the layers of a parameter on axis 1; a vector of [emb] becomes
[emb, layers]. An accumulator of Adafactor keeps the layer axis between the axes that are left.
"""

import dataclasses
import re
import threading
from collections.abc import Iterable, Mapping

import numpy as np

from closedbook.checkpoints.tensors import Checkpoint, Index, Tensor
from closedbook.errors import UserError
from closedbook.models.stack import LAYER_AXIS

UNUSED = (1,)  # shape of an accumulator that its parameter does not need, in either layout
_LAYER = re.compile(r"^(encoder|decoder)/layers_(\d+)/(.+)$")
_STACK = re.compile(r"^(encoder|decoder)/layers/(.+)$")


def is_scanned(names: Iterable[str]) -> bool:
    """Whether parameters hold all layers of a stack."""
    return any(_STACK.match(name) for name in names)


def arranged(checkpoint: Checkpoint, *, scanned: bool) -> Checkpoint:
    """The checkpoint with its parameters and accumulators in the wanted layout; nothing is read."""
    if is_scanned(checkpoint.params) == scanned:
        return checkpoint
    change = _scan if scanned else _unroll
    params, slots = change(checkpoint.params), checkpoint.slots
    return dataclasses.replace(
        checkpoint, params=params, slots=None if slots is None else change(slots, checkpoint.params)
    )


def _scan(
    tensors: Mapping[str, Tensor], params: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    stacks: dict[str, dict[int, Tensor]] = {}
    out: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        match = _LAYER.match(name)
        if not match:
            out[name] = tensor
            continue
        side, number, rest = match.groups()
        stacks.setdefault(f"{side}/layers/{rest}", {})[int(number)] = tensor
    for name, layers in stacks.items():
        _check_whole(name, layers)
        parts = [layers[i] for i in range(len(layers))]
        parameter, slot = _parameter_and_slot(name, params)
        if slot and parts[0].shape == UNUSED:
            out[name] = parts[0]
            continue
        axis = LAYER_AXIS
        if slot and params:
            shape = params[parameter.replace("/layers/", "/layers_0/")].shape
            axis = slot_axis(slot, shape)
        out[name] = _stacked(parts, axis)
    return out


def _unroll(
    tensors: Mapping[str, Tensor], params: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    out: dict[str, Tensor] = {}
    last = _Last()
    for name, tensor in tensors.items():
        match = _STACK.match(name)
        if not match:
            out[name] = tensor
            continue
        side, rest = match.groups()
        parameter, slot = _parameter_and_slot(name, params)
        axis, count = LAYER_AXIS, 0
        if slot and params:
            stack = params[parameter].shape
            count = stack[LAYER_AXIS]
            if tensor.shape == UNUSED:
                out.update({f"{side}/layers_{i}/{rest}": tensor for i in range(count)})
                continue
            axis = slot_axis(slot, stack[:LAYER_AXIS] + stack[LAYER_AXIS + 1 :])
        if len(tensor.shape) <= axis or (count and tensor.shape[axis] != count):
            raise UserError(
                f"{tensor.place} has shape {list(tensor.shape)}, which has no axis {axis} of "
                f"{count or 'all'} layers"
            )
        for i in range(tensor.shape[axis]):
            out[f"{side}/layers_{i}/{rest}"] = _layer(tensor, axis, i, last)
    return out


def slot_axis(slot: str, shape: tuple[int, ...]) -> int:
    """Where a stacked accumulator holds its layers.

    Args:
        slot: "v", "m", "v_row" (the mean over the larger dimension) or "v_col" (over the smaller).
        shape: Of one layer's parameter.

    >>> slot_axis("v_row", (64, 256)), slot_axis("v_col", (64, 256)), slot_axis("v", (64, 256))
    (1, 0, 1)
    """
    if slot not in ("v_row", "v_col") or len(shape) != 2:
        return LAYER_AXIS
    kept = 0 if (shape[0] <= shape[1]) == (slot == "v_row") else 1
    return 1 if kept == 0 else 0


def _parameter_and_slot(name: str, params: Mapping[str, Tensor] | None) -> tuple[str, str]:
    """A slot's parameter and kind; for a parameter itself, its name and ""."""
    if params is None:
        return name, ""
    parameter, _, slot = name.rpartition("/")
    return parameter, slot


def _check_whole(name: str, layers: Mapping[int, Tensor]) -> None:
    missing = sorted(set(range(max(layers) + 1)) - layers.keys())
    shapes = {tensor.shape for tensor in layers.values()}
    if missing or len(shapes) > 1:
        why = f"layers {missing} are missing" if missing else f"shapes differ: {sorted(shapes)}"
        place = next(iter(layers.values())).place
        raise UserError(f"{name} cannot be stacked from its layers ({place}, ...): {why}")


def _stacked(parts: list[Tensor], axis: int) -> Tensor:
    first = parts[0]
    shape = (*first.shape[:axis], len(parts), *first.shape[axis:])

    def load(index: Index) -> np.ndarray:
        index = (*index, *(slice(None),) * (len(shape) - len(index)))
        chosen = range(len(parts))[index[axis]]
        rest = index[:axis] + index[axis + 1 :]
        kept = [len(range(size)[part]) for size, part in zip(first.shape, rest, strict=True)]
        out = np.empty((*kept[:axis], len(chosen), *kept[axis:]), first.dtype)
        for i, number in enumerate(chosen):
            out[_at(axis, i)] = parts[number].read(rest)
        return out

    place = f"{first.place} (and {len(parts) - 1} more layers)"
    return Tensor(shape=shape, dtype=first.dtype, place=place, load=load)


def _at(axis: int, number: int) -> tuple[slice | int, ...]:
    """The index of one layer on an axis."""
    return (*(slice(None),) * axis, number)


class _Last:
    """The stack read last: its layers are asked for one after the other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tensor: Tensor | None = None
        self._array: np.ndarray | None = None

    def read(self, tensor: Tensor) -> np.ndarray:
        with self._lock:
            if self._tensor is not tensor or self._array is None:
                self._tensor = self._array = None  # freed before the next one is read
                self._array = tensor.read()
                self._tensor = tensor
            return self._array


def _layer(tensor: Tensor, axis: int, number: int, last: _Last) -> Tensor:
    def load(index: Index) -> np.ndarray:
        # A copy, so that the layer does not keep the whole stack in memory.
        layer = last.read(tensor)[_at(axis, number)]
        return np.array(layer[index], order="C")

    shape = tensor.shape[:axis] + tensor.shape[axis + 1 :]
    return Tensor(
        shape=shape, dtype=tensor.dtype, place=f"{tensor.place}, layer {number}", load=load
    )


def converted(tensors: Mapping[str, Tensor], dtype: np.dtype) -> dict[str, Tensor]:
    """The tensors with another type of numbers, changed as they are read."""

    def change(tensor: Tensor) -> Tensor:
        def load(index: Index) -> np.ndarray:
            try:
                with np.errstate(over="raise"):
                    return tensor.read(index).astype(dtype, copy=False)
            except FloatingPointError as error:
                raise UserError(
                    f"{tensor.place} has numbers that {dtype} cannot hold; use bfloat16, which "
                    "has float32's range"
                ) from error

        return dataclasses.replace(tensor, dtype=dtype, load=load)

    return {name: change(tensor) for name, tensor in tensors.items()}
