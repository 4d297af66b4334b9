"""What is restored: a layer's state, or what one of its parts writes, of one stack."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

from closedbook.errors import unknown_name
from closedbook.models.sites import HasStacks

Convention = Literal["code", "paper"]
CONVENTIONS: tuple[Convention, ...] = get_args(Convention)
_STATE = "resid_post"
_PARTS = ".out"  # how the sites end that hold what a part adds to the residual stream


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of restoration.

    Attributes:
        stack: "encoder" or "decoder".
        site: Of a layer: "resid_post" for the state after it, or "mlp.out" and the like.
    """

    stack: str
    site: str

    @property
    def part(self) -> str:
        """ "state", "mlp", "attention", "self_attention" or "cross_attention"."""
        return "state" if self.site == _STATE else self.site.removesuffix(_PARTS)

    @property
    def name(self) -> str:
        """ "encoder.mlp": by which results name it."""
        return f"{self.stack}.{self.part}"

    @property
    def windowed(self) -> bool:
        """Whether several neighbouring layers are restored together."""
        return self.site != _STATE


def kinds(config: HasStacks) -> tuple[Kind, ...]:
    """All kinds that a model has: of each stack states, then parts as a layer computes them."""
    found = []
    for name, stack in config.stacks.items():
        parts = [site for site in stack.sites if site.endswith(_PARTS)]
        found += [Kind(stack=name, site=site) for site in (_STATE, *parts)]
    return tuple(found)


def chosen(config: HasStacks, names: Sequence[str]) -> tuple[Kind, ...]:
    """The kinds of these names, such as "encoder.mlp"; all if there are no names.

    Raises:
        UserError: There is no kind of a name; the message lists those of the model.
    """
    known = {kind.name: kind for kind in kinds(config)}
    for name in names:
        if name not in known:
            raise unknown_name("kind of restoration", name, known)
    return tuple(known[name] for name in known if name in names or not names)


def default_width(layers: int) -> int:
    """The width of windows in a stack: the paper's 10 of GPT-2 XL's 48 layers, in proportion.

    >>> [default_width(layers) for layers in (2, 6, 12, 48, 96)]
    [1, 1, 3, 10, 20]
    """
    return max(1, round(layers * 10 / 48))


def window(layer: int, width: int, layers: int, convention: Convention) -> range:
    """The layers that are restored together around one; fewer at the ends of the stack.

    kmeng01/rome restores `width` layers, for an even width one more below than above: of ten
    layer - 5 to layer + 4. The paper says "centred": as many below as above, layer - 5 to
    layer + 5.

    >>> list(window(4, 4, 6, "code")), list(window(4, 4, 9, "paper"))
    ([2, 3, 4, 5], [2, 3, 4, 5, 6])
    """
    half = width // 2
    above = width - half if convention == "code" else half + 1
    return range(max(0, layer - half), min(layers, layer + above))


def in_stack(found: Iterable[Kind], stack: str) -> tuple[Kind, ...]:
    """Those of one stack."""
    return tuple(kind for kind in found if kind.stack == stack)
