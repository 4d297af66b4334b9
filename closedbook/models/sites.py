"""Names of tap sites: the places of a forward pass that taps can look at or change.

A site's name starts with its stack, because stacks may share modules: `encoder.embed`,
`encoder.3.resid_pre`, `decoder.3.cross_attention.out`. A config says which stacks its model has.
"""

import dataclasses
import fnmatch
from collections.abc import Iterable, Mapping
from typing import Protocol

from closedbook.errors import unknown_name


@dataclasses.dataclass(frozen=True)
class AttentionUnit:
    """One attention of a stack's layers: where taps see it, and where its parameters stand.

    Attributes:
        site: Prefix of its tap sites, for example "cross_attention".
        module: Name of its parameters in a layer.
        reads: The stack whose states its keys and values are made of. Another stack than its own
            is read after that one's last norm.
    """

    site: str
    module: str
    reads: str


@dataclasses.dataclass(frozen=True)
class Stack:
    """A stack of equal layers, as taps see it.

    Attributes:
        layers: How many layers there are.
        sites: Sites of each layer, in the order in which they are computed: "mlp.out".
        before: Sites before the first layer.
        after: Sites after the last layer.
        attentions: Of each layer, in the order in which they are computed.
    """

    layers: int
    sites: tuple[str, ...]
    before: tuple[str, ...] = ("embed",)
    after: tuple[str, ...] = ("final_norm",)
    attentions: tuple[AttentionUnit, ...] = ()


class HasStacks(Protocol):
    """The configuration of a model of any family."""

    @property
    def stacks(self) -> Mapping[str, Stack]:
        """The model's stacks by name, in the order in which they are computed."""
        ...


@dataclasses.dataclass(frozen=True)
class Site:
    """One site. `layer` is None where the site is the stack's own."""

    stack: str
    layer: int | None
    local: str  # its name in the layer, or in the stack

    @property
    def name(self) -> str:
        """The full name: "encoder.3.mlp.out" or "encoder.embed"."""
        place = self.stack if self.layer is None else f"{self.stack}.{self.layer}"
        return f"{place}.{self.local}"


def sites(config: HasStacks) -> tuple[str, ...]:
    """Names of all sites of a model, in the order in which they are computed."""
    return tuple(sites_by_name(config))


def sites_by_name(config: HasStacks) -> dict[str, Site]:
    """All sites of a model, in the order in which they are computed."""
    found: list[Site] = []
    for name, stack in config.stacks.items():
        found += [Site(name, None, local) for local in stack.before]
        found += [Site(name, i, local) for i in range(stack.layers) for local in stack.sites]
        found += [Site(name, None, local) for local in stack.after]
    return {site.name: site for site in found}


def is_glob(name: str) -> bool:
    """Whether a name is a pattern: `*` any run of characters, `?` one, `[0-3]` one of these."""
    return any(character in name for character in "*?[")


def matching(config: HasStacks, patterns: Iterable[str]) -> tuple[Site, ...]:
    """The sites that names or globs name, each once, in the order in which they are computed.

    Raises:
        UserError: A pattern names no site.
    """
    known = sites_by_name(config)
    found: set[str] = set()
    for pattern in patterns:
        hits = fnmatch.filter(known, pattern)
        if not hits:
            raise unknown_name("tap site", pattern, known)
        found.update(hits)
    return tuple(site for name, site in known.items() if name in found)
