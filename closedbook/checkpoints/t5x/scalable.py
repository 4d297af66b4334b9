"""Names and shapes of T5X's scalable_t5, which umT5 was trained with, and ours, both ways.

There all layers of a stack stand together under "encoder/encoder" or "decoder/decoder", stacked on
axis 1; each layer has its own position biases; and the kernels of attention keep heads apart from
their width: query, key and value are [emb, heads, head_dim], out is [heads, head_dim, emb]. With
`scan_layers = False` layers are named as ours, `layers_0` and so on. Source: network.py and
layers.py in t5x/examples/scalable_t5.
"""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from closedbook.checkpoints.tensors import Index, Tensor
from closedbook.models.parameters import LAYER_AXIS

_THEIRS = re.compile(r"^(encoder|decoder)/\1/")
_OURS = re.compile(r"^(encoder|decoder)/layers/")
_BIASES = re.compile(r"^(encoder|decoder)/(layers(_\d+)?|\1)/relpos_bias/rel_embedding$")
_KERNEL = re.compile(r"attention/(query|key|value|out)/kernel$")
_Change = Callable[[np.ndarray], np.ndarray]


def is_scalable(names: Iterable[str]) -> bool:
    """Whether parameters, by their names or ours, are of a network with biases in every layer."""
    return any(_THEIRS.match(name) or _BIASES.match(name) for name in names)


def to_ours(params: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our parameters of theirs, stacked or unrolled as they are; nothing is read.

    What has other axes than a kernel of theirs is left as it is, for the check of shapes to tell.
    """
    ours = {}
    for name, tensor in params.items():
        new = _THEIRS.sub(r"\1/layers/", name)
        stacked = bool(_OURS.match(new))
        if (match := _KERNEL.search(name)) and len(tensor.shape) == 3 + stacked:
            tensor = _joined(tensor, out=match[1] == "out", stacked=stacked)
        ours[new] = tensor
    return ours


def to_theirs(params: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `to_ours`, for parameters that `architecture.recognise` has checked."""
    heads = next(tensor.shape[0] for name, tensor in params.items() if _BIASES.match(name))
    theirs = {}
    for name, tensor in params.items():
        if match := _KERNEL.search(name):
            stacked = bool(_OURS.match(name))
            tensor = _apart(tensor, heads, out=match[1] == "out", stacked=stacked)
        theirs[_OURS.sub(r"\1/\1/", name)] = tensor
    return theirs


def _joined(tensor: Tensor, *, out: bool, stacked: bool) -> Tensor:
    """A kernel with heads and their width as one axis."""
    *shape, width, depth = tensor.shape
    if not out:
        return _changed(tensor, (*shape, width * depth), lambda x: x.reshape(*shape, -1))
    heads, layers, emb = shape[0], shape[1:], depth  # [heads, (layers,) head_dim, emb]

    def join(x: np.ndarray) -> np.ndarray:
        x = np.moveaxis(x, LAYER_AXIS, LAYER_AXIS + 1) if stacked else x
        return x.reshape(heads * width, *layers, emb)

    return _changed(tensor, (heads * width, *layers, emb), join)


def _apart(tensor: Tensor, heads: int, *, out: bool, stacked: bool) -> Tensor:
    """A kernel with heads and their width as two axes."""
    if not out:
        *shape, joined = tensor.shape
        new = (*shape, heads, joined // heads)
        return _changed(tensor, new, lambda x: x.reshape(new))
    joined, *layers, emb = tensor.shape

    def part(x: np.ndarray) -> np.ndarray:
        x = x.reshape(heads, joined // heads, *layers, emb)
        return np.moveaxis(x, LAYER_AXIS + 1, LAYER_AXIS) if stacked else x

    return _changed(tensor, (heads, *layers, joined // heads, emb), part)


def _changed(tensor: Tensor, shape: tuple[int, ...], change: _Change) -> Tensor:
    def load(index: Index) -> np.ndarray:
        return np.array(change(tensor.read())[index], order="C")

    return dataclasses.replace(tensor, shape=shape, load=load)
