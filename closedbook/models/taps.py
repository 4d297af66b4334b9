"""Taps: the one way to look inside a forward pass or to reach into it.

`closedbook.models.sites(config)` lists the names of a model's sites.

    taps = Taps(record=("encoder.*.mlp.out",), patches={"encoder.3.mlp.out": Patch(value, where)})
    logits, records = model.apply({"params": params}, **batch, taps=taps)

A patch may name a glob too. Its value and `where` then have a leading axis with one entry per
site that the glob names, so that one compiled program serves every choice of layers:

    taps = Taps(patches={"encoder.*.mlp.out": Patch(value, where)})  # [layers, batch, length, ...]

Names mean the same whether layers are scanned or unrolled. Without taps nothing is added to the
compiled program.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from closedbook.errors import UserError, unknown_name
from closedbook.models.sites import HasStacks, Site, is_glob, matching, sites_by_name


class Patch(struct.PyTreeNode):
    """A change to a site's activation, at chosen positions.

    Attributes:
        value: What to write or add; broadcasts against the site, for example
            [batch, length, emb] or [emb].
        where: Which positions change, [batch, length] of bool or of weights in [0, 1];
            everywhere if None. For `*.weights` [batch, heads, queries, keys] it has that shape.
        mode: "set" overwrites, "add" adds.

    Under a glob `value` and `where` (unless it is None) have one more axis in front, with one
    entry per site that the glob names, in the order of `sites(config)`.
    """

    value: jax.Array
    where: jax.Array | None = None
    mode: str = struct.field(pytree_node=False, default="set")

    def __call__(self, x: jax.Array) -> jax.Array:
        """The patched activation, of the shape and type of `x`."""
        value = jnp.asarray(self.value, x.dtype)
        weight = jnp.ones((), x.dtype) if self.where is None else jnp.asarray(self.where, x.dtype)
        if self.where is not None and weight.ndim < x.ndim:
            weight = jnp.expand_dims(weight, tuple(range(weight.ndim, x.ndim)))
        change = value - x if self.mode == "set" else value
        if self.mode == "set":  # exact where the weight is 1: x + (value - x) would round
            return jnp.where(weight == 1, value, x + weight * change).astype(x.dtype)
        return x + weight * change


class Interchange(struct.PyTreeNode):
    """Rows of a batch that go on from other rows, and take activations from yet others.

    Row i of the result continues row `source[i]`, but has at the positions `where[i]` what row
    `other[i]` has there; then `added[i]` is added. There may be more rows than before: these
    begin at this site, and what came before it is computed once for all of them. An interchange
    intervention (Geiger et al. 2021) with a clean run in one row and corrupted ones in others is
    causal tracing.

    A site whose number of rows changes must be the stack's `embed`, or a layer's `resid_pre` or
    `resid_post`; masks and biases must be the same for all rows, and layers unrolled.

    Attributes:
        source: int32 [rows]; each row goes on from itself if None.
        other: int32 [rows], or [1] where it is one row for all.
        where: bool [rows, length]; nowhere if None.
        added: [rows, length, emb]; nothing if None.
    """

    source: jax.Array | None
    other: jax.Array
    where: jax.Array | None = None
    added: jax.Array | None = None

    def __call__(self, x: jax.Array) -> jax.Array:
        """The rows that go on, [rows, length, emb], of an activation [batch, length, emb]."""
        rows = x if self.source is None else x[self.source]
        if self.where is not None:
            rows = jnp.where(self.where[..., None], x[self.other], rows)
        return rows if self.added is None else rows + self.added.astype(x.dtype)


class Taps(struct.PyTreeNode):
    """What to record and what to patch in one forward pass.

    Attributes:
        patches: Name of a site, or a glob, to `Patch`; or the name of one site to `Interchange`.
            No two may name the same site.
        record: Names of sites, or globs: `*` is any run of characters.
        relevance: Whether derivatives are those of relevance patching (RelP, Jafari et al. 2025,
            arXiv 2508.21258), by the rules of layer-wise relevance propagation: scales of norms
            and weights of attention count as constants, an activation as the constant factor by
            which it changed its input, and each side of a gate gets half. No value changes.
    """

    patches: Mapping[str, Patch | Interchange] = struct.field(default_factory=dict)
    record: tuple[str, ...] = struct.field(pytree_node=False, default=())
    relevance: bool = struct.field(pytree_node=False, default=False)


class LayerTaps(struct.PyTreeNode):
    """The taps of one layer (or of a stack of layers, stacked on axis 0), by local site name."""

    patches: dict[str, Patch | Interchange]
    record: tuple[str, ...] = struct.field(pytree_node=False)
    relevance: bool = struct.field(pytree_node=False, default=False)


class Tap:
    """Applies a layer's taps as the layer runs; does nothing when there are none."""

    def __init__(self, taps: LayerTaps | None) -> None:
        self._taps = taps
        self.records: dict[str, jax.Array] = {}

    @property
    def relevance(self) -> bool:
        """Whether derivatives follow the rules of relevance patching."""
        return self._taps is not None and self._taps.relevance

    def touches(self, site: str) -> bool:
        """Whether a site is recorded or patched, so that its activation must be formed."""
        taps = self._taps
        return taps is not None and (site in taps.patches or site in taps.record)

    def __call__(self, site: str, x: jax.Array) -> jax.Array:
        """The site's activation `x`, patched if a patch names it; recorded if asked for."""
        if self._taps is None:
            return x
        if site in self._taps.patches:
            try:
                x = self._taps.patches[site](x)
            except (TypeError, ValueError) as error:
                shapes = {
                    name: jnp.shape(value)
                    for name, value in vars(self._taps.patches[site]).items()
                    if value is not None and not isinstance(value, str)
                }
                said = " and ".join(f"{name} of shape {shape}" for name, shape in shapes.items())
                raise UserError(
                    f"the patch of site {site!r} has a {said}, which do not fit the site's "
                    f"{x.shape}"
                ) from error
        if site in self._taps.record:
            self.records[site] = x
        return x


@dataclasses.dataclass(frozen=True)
class _Part:
    """A patch, or what of a glob's patch falls on one local site of a stack.

    Attributes:
        patch: As given.
        layers: The layers that it changes, ascending; empty for a stack's own site.
        entries: Which entries of the patch's leading axis are for them; None if it has no such
            axis because it was given for one site.
    """

    patch: Patch | Interchange
    layers: tuple[int, ...]
    entries: tuple[int, ...] | None

    def one(self, i: int = 0) -> Patch | Interchange:
        """The patch of the i-th of its layers."""
        if self.entries is None:
            return self.patch
        entry = self.entries[i]
        return jax.tree.map(lambda x: jnp.asarray(x)[entry], self.patch)

    def stacked(self) -> Patch:
        """The patch with a leading axis, one entry per layer of `layers`.

        Raises:
            UserError: It is an interchange, whose rows may differ from layer to layer.
        """
        if isinstance(self.patch, Interchange):
            raise UserError("an Interchange needs unrolled layers; set scan_layers to False")
        if self.entries is None:
            return jax.tree.map(lambda x: jnp.asarray(x)[None], self.patch)
        if self.entries == tuple(range(jnp.shape(self.patch.value)[0])):
            return self.patch
        entries = np.array(self.entries)
        return jax.tree.map(lambda x: jnp.asarray(x)[entries], self.patch)


@dataclasses.dataclass(frozen=True)
class LayersTaps:
    """The taps of all layers of a stack, before they take the form that the layout wants."""

    record: tuple[tuple[str, ...], ...]  # local sites, per layer
    patches: Mapping[str, Sequence[_Part]]  # by local site
    relevance: bool = False

    def one_by_one(self) -> list[LayerTaps]:
        """One `LayerTaps` per layer, for layers that are unrolled."""
        layers = [LayerTaps({}, record, self.relevance) for record in self.record]
        for site, parts in self.patches.items():
            for part in parts:
                for i, layer in enumerate(part.layers):
                    layers[layer].patches[site] = part.one(i)
        return layers

    def stacked(self) -> LayerTaps:
        """One `LayerTaps` with a leading layer axis, for a scan.

        Raises:
            UserError: Patches of one site "set" in some layers and "add" in others.
        """
        record = tuple(dict.fromkeys(site for layer in self.record for site in layer))
        layers = len(self.record)
        patches: dict[str, Patch | Interchange] = {
            site: _joined(site, parts, layers) for site, parts in self.patches.items()
        }
        return LayerTaps(patches, record, self.relevance)


def _joined(site: str, parts: Sequence[_Part], layers: int) -> Patch:
    """Patches of some layers as one of all; what no patch names gets one that changes nothing."""
    some = [part.stacked() for part in parts]
    if len({patch.mode for patch in some}) > 1:
        raise UserError(f"patches of site {site!r} mix modes over layers; scan needs one mode")
    if parts[0].layers == tuple(range(layers)):  # a glob of all layers goes in as it is
        return some[0]
    values = [jnp.asarray(patch.value) for patch in some]
    shape = jnp.broadcast_shapes(*(value.shape[1:] for value in values))
    value = jnp.zeros((layers, *shape), jnp.result_type(*values))
    wheres = [
        jnp.ones(len(part.layers)) if patch.where is None else jnp.asarray(patch.where, "float32")
        for patch, part in zip(some, parts, strict=True)
    ]
    # A value broadcasts from its last axis on, `where` from its first.
    rank = max(where.ndim for where in wheres)
    wheres = [where.reshape(where.shape + (1,) * (rank - where.ndim)) for where in wheres]
    weight = jnp.zeros((layers, *jnp.broadcast_shapes(*(where.shape[1:] for where in wheres))))
    for part, own, where in zip(parts, values, wheres, strict=True):
        at = np.array(part.layers)
        own = own.reshape(len(at), *(1,) * (len(shape) + 1 - own.ndim), *own.shape[1:])
        value = value.at[at].set(jnp.broadcast_to(own, (len(at), *shape)).astype(value.dtype))
        weight = weight.at[at].set(jnp.broadcast_to(where, (len(at), *weight.shape[1:])))
    return Patch(value, weight, some[0].mode)


def stack_taps(
    taps: Taps | None, config: HasStacks, stack: str
) -> tuple[LayerTaps | None, LayersTaps | None]:
    """Picks the taps of one stack: those of its own sites and those of its layers.

    Raises:
        UserError: A site is unknown, two patches name the same one, a patch's mode is not "set"
            or "add", or a glob's patch has not one entry per site.
    """
    if taps is None:
        return None, None
    own: dict[str, Patch | Interchange] = {}
    layers: dict[str, list[_Part]] = {}
    for name, found in _patched(taps.patches, config).items():
        patch = taps.patches[name]
        places: dict[str, list[tuple[int, int]]] = {}
        for entry, site in enumerate(found):
            if site.stack == stack and site.layer is None:
                entries = (entry,) if is_glob(name) else None
                own[site.local] = _Part(patch, (), entries).one()
            elif site.stack == stack and site.layer is not None:
                places.setdefault(site.local, []).append((site.layer, entry))
        for local, pairs in places.items():
            numbers, entries = zip(*pairs, strict=True)
            part = _Part(patch, numbers, entries if is_glob(name) else None)
            layers.setdefault(local, []).append(part)
    record = [site for site in matching(config, taps.record) if site.stack == stack]

    def recorded(layer: int | None) -> tuple[str, ...]:
        return tuple(site.local for site in record if site.layer == layer)

    of_layers = tuple(recorded(i) for i in range(config.stacks[stack].layers))
    of_stack = LayerTaps(own, recorded(None), taps.relevance)
    return of_stack, LayersTaps(of_layers, layers, taps.relevance)


def _patched(
    patches: Mapping[str, Patch | Interchange], config: HasStacks
) -> dict[str, tuple[Site, ...]]:
    """The sites that each patch names, all patches checked."""
    known = sites_by_name(config)
    found: dict[str, tuple[Site, ...]] = {}
    named_by: dict[str, str] = {}
    for name, patch in patches.items():
        if name not in known and not is_glob(name):
            raise unknown_name("tap site", name, known)
        if isinstance(patch, Interchange):
            if is_glob(name):
                raise UserError(f"an Interchange is for one site; {name!r} is a glob")
        elif patch.mode not in ("set", "add"):
            raise UserError(f"patch of {name} has mode {patch.mode!r}; use 'set' or 'add'")
        found[name] = matching(config, [name])
        for site in found[name]:
            other = named_by.setdefault(site.name, name)
            if other != name:
                raise UserError(
                    f"patches {other!r} and {name!r} both name {site.name}; leave it to one of them"
                )
        if is_glob(name) and isinstance(patch, Patch):
            _check_leading_axis(name, patch, [site.name for site in found[name]])
    return found


def _check_leading_axis(glob: str, patch: Patch, names: Sequence[str]) -> None:
    for what, array in (("value", patch.value), ("where", patch.where)):
        shape = jnp.shape(array) if array is not None else (len(names),)
        if shape[:1] != (len(names),):
            raise UserError(
                f"patch of {glob!r}: {what} has shape {list(shape)}; its first axis must have "
                f"{len(names)} entries, one per site that the glob names: {', '.join(names)}"
            )


def name_records(
    taps: Taps | None,
    config: HasStacks,
    stack: str,
    own: Mapping[str, jax.Array],
    layers: Iterable[Mapping[str, jax.Array]],
) -> dict[str, jax.Array]:
    """Records under their full names, in the order in which they are computed.

    Args:
        taps: As given to the model.
        config: The model's.
        stack: Whose records they are.
        own: Records of the stack's own sites, by local name.
        layers: Each layer's records, by local name.
    """
    if taps is None:
        return {}
    out = {Site(stack, None, local).name: x for local, x in own.items()}
    for i, found in enumerate(layers):
        out |= {Site(stack, i, local).name: x for local, x in found.items()}
    names = (site.name for site in matching(config, taps.record))
    return {name: out[name] for name in names if name in out}
