"""Where bits sit: parts of a network set to 0, by stack and by kind of layer.

A part is silenced by what it adds to the residual stream: the output matrices of its attentions or
of its feed-forward units are 0, so that what comes before them no longer counts. What a part costs
is all of its own parameters.
"""

import dataclasses
import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from closedbook.models.parameters import Params

# Of modules in a layer; "self_attention" is the decoder's, in both families' names.
_KINDS = {
    "mlp": "feed-forward",
    "attention": "attention",
    "self_attention": "self-attention",
    "encoder_decoder_attention": "cross-attention",
}
_OUTPUTS = ("out", "wo")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """What is silenced.

    Attributes:
        stack: "encoder" or "decoder".
        kind: In words; "all" for the whole stack.
        parameters: Of its attentions and feed-forward units.
    """

    stack: str
    kind: str
    parameters: int


def silenced(params: Params) -> Iterator[tuple[Part, Params]]:
    """The network without each of its parts, a stack's kinds after the whole of it."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    places = [(_place(path), path, value) for path, value in leaves]
    found = dict.fromkeys(place for place, _, _ in places if place is not None)
    stacks = dict.fromkeys(stack for stack, _ in found)
    parts = [
        (stack, kind) for stack in stacks for kind in ("all", *(k for s, k in found if s == stack))
    ]
    for stack, kind in parts:
        own = {
            jax.tree_util.keystr(path): math.prod(value.shape)
            for place, path, value in places
            if place is not None and place[0] == stack and kind in ("all", place[1])
        }
        outputs = {name for name in own if any(f"['{each}']" in name for each in _OUTPUTS)}

        def without(path: tuple, value: jax.Array, gone: set[str] = outputs) -> jax.Array:
            return jnp.zeros_like(value) if jax.tree_util.keystr(path) in gone else value

        part = Part(stack=stack, kind=kind, parameters=sum(own.values()))
        yield part, jax.tree_util.tree_map_with_path(without, params)


def _place(path: tuple) -> tuple[str, str] | None:
    """Stack and kind of a parameter; None for norms, embeddings and positions."""
    names = [each.key for each in path]
    if names[0] not in ("encoder", "decoder"):
        return None
    kind = next((_KINDS[name] for name in names if name in _KINDS), None)
    return None if kind is None else (names[0], kind)
