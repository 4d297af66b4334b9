"""Taps: the one way to look inside a forward pass or to reach into it.

A site is a name that starts with its stack, because both stacks share the embedding module:
`encoder.embed`, `encoder.3.resid_pre`, `encoder.3.attention.out`, `decoder.3.cross_attention.out`,
`decoder.3.mlp.coefficients`. `sites(config)` lists them all.

    taps = Taps(record=("encoder.*.mlp.out",), patches={"encoder.3.mlp.out": Patch(value, where)})
    logits, records = model.apply({"params": params}, **batch, taps=taps)

With layers under scan, records and patches are stacked over layers inside the program and taken
apart outside it, so names mean the same in both layouts. Without taps nothing is added to the
compiled program.
"""

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from closedbook.errors import UserError, unknown_name
from closedbook.models.t5.config import T5Config

_ATTENTION = ("weights", "out")
_MLP = ("mlp.coefficients", "mlp.out")
LAYER_SITES: dict[str, tuple[str, ...]] = {
    "encoder": ("resid_pre", *(f"attention.{s}" for s in _ATTENTION), *_MLP, "resid_post"),
    "decoder": (
        "resid_pre",
        *(f"self_attention.{s}" for s in _ATTENTION),
        *(f"cross_attention.{s}" for s in _ATTENTION),
        *_MLP,
        "resid_post",
    ),
}
STACK_SITES = ("embed", "final_norm")


class Patch(struct.PyTreeNode):
    """A change to a site's activation, at chosen positions.

    Attributes:
        value: What to write or add; broadcasts against the site, for example
            [batch, length, emb] or [emb].
        where: Which positions change, [batch, length] of bool or of weights in [0, 1];
            everywhere if None. For `*.weights` [batch, heads, queries, keys] it has that shape.
        mode: "set" overwrites, "add" adds.
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


class Taps(struct.PyTreeNode):
    """What to record and what to patch in one forward pass.

    Attributes:
        record: Names of sites, with `*` for any run of characters.
        patches: Site name to `Patch`.
    """

    patches: Mapping[str, Patch] = struct.field(default_factory=dict)
    record: tuple[str, ...] = struct.field(pytree_node=False, default=())


class LayerTaps(struct.PyTreeNode):
    """The taps of one layer (or of a stack of layers, stacked on axis 0), by local site name."""

    patches: dict[str, Patch]
    record: tuple[str, ...] = struct.field(pytree_node=False)


class Tap:
    """Applies a layer's taps as the layer runs; does nothing when there are none."""

    def __init__(self, taps: LayerTaps | None) -> None:
        self._taps = taps
        self.records: dict[str, jax.Array] = {}

    def __call__(self, site: str, x: jax.Array) -> jax.Array:
        if self._taps is None:
            return x
        if site in self._taps.patches:
            x = self._taps.patches[site](x)
        if site in self._taps.record:
            self.records[site] = x
        return x


def sites(config: T5Config) -> tuple[str, ...]:
    """Names of all sites of a model, in the order in which they are computed."""
    names: list[str] = []
    for stack, layers in _layer_counts(config).items():
        names.append(f"{stack}.embed")
        names += [f"{stack}.{i}.{s}" for i in range(layers) for s in LAYER_SITES[stack]]
        names.append(f"{stack}.final_norm")
    return tuple(names)


def matching(config: T5Config, patterns: Sequence[str]) -> tuple[str, ...]:
    """Names of the sites that the patterns name.

    Raises:
        UserError: A pattern names no site.
    """
    names = sites(config)
    found: set[str] = set()
    for pattern in patterns:
        hits = fnmatch.filter(names, pattern)
        if not hits:
            raise unknown_name("tap site", pattern, names)
        found.update(hits)
    return tuple(name for name in names if name in found)


def _layer_counts(config: T5Config) -> dict[str, int]:
    return {"encoder": config.num_encoder_layers, "decoder": config.num_decoder_layers}


def stack_taps(taps: Taps | None, config: T5Config, stack: str) -> tuple[Any, list[Any]]:
    """Splits taps into a stack's own (`embed`, `final_norm`) and one `LayerTaps` a layer.

    Returns:
        Taps of the stack's own sites, and one entry a layer; None where there is nothing to do.

    Raises:
        UserError: A site is unknown or a patch's mode is not "set" or "add".
    """
    layers = _layer_counts(config)[stack]
    if taps is None:
        return None, [None] * layers
    for name, patch in taps.patches.items():
        if name not in sites(config):
            raise unknown_name("tap site", name, sites(config))
        if patch.mode not in ("set", "add"):
            raise UserError(f"patch of {name} has mode {patch.mode!r}; use 'set' or 'add'")
    record = [name for name in matching(config, taps.record) if name.startswith(stack + ".")]

    def pick(prefix: str, local: Sequence[str]) -> LayerTaps:
        return LayerTaps(
            record=tuple(s for s in local if prefix + s in record),
            patches={s: taps.patches[prefix + s] for s in local if prefix + s in taps.patches},
        )

    own = pick(f"{stack}.", STACK_SITES)
    return own, [pick(f"{stack}.{i}.", LAYER_SITES[stack]) for i in range(layers)]


def stack_over_layers(layers: list[Any]) -> Any:
    """One `LayerTaps` with a leading layer axis for a scan, out of one a layer.

    A layer without a patch that another layer has gets one that changes nothing.
    """
    if all(taps is None for taps in layers):
        return None
    record = tuple(dict.fromkeys(site for taps in layers for site in taps.record))
    names = dict.fromkeys(site for taps in layers for site in taps.patches)
    patches = {}
    for name in names:
        present = [taps.patches.get(name) for taps in layers]
        some = [patch for patch in present if patch is not None]
        if len({patch.mode for patch in some}) > 1:
            raise UserError(f"patches of site {name!r} mix modes over layers; scan needs one mode")
        shape = jnp.broadcast_shapes(*(jnp.shape(patch.value) for patch in some))
        weights = [1.0 if patch.where is None else patch.where for patch in some]
        where = jnp.broadcast_shapes(*(jnp.shape(weight) for weight in weights)) or (1,)
        dtype = jnp.result_type(*(patch.value for patch in some))

        def full(patch: Patch | None, shape=shape, where=where, dtype=dtype) -> Any:
            if patch is None:
                return jnp.zeros(shape, dtype), jnp.zeros(where)
            weight = 1.0 if patch.where is None else jnp.asarray(patch.where, jnp.float32)
            value = jnp.broadcast_to(jnp.asarray(patch.value, dtype), shape)
            return value, jnp.broadcast_to(weight, where)

        values, masks = zip(*(full(patch) for patch in present), strict=True)
        patches[name] = Patch(jnp.stack(values), jnp.stack(masks), some[0].mode)
    return LayerTaps(record=record, patches=patches)


def name_records(
    taps: Taps, config: T5Config, stack: str, own: dict[str, jax.Array], layers: Any
) -> dict[str, jax.Array]:
    """Records under their full names.

    Args:
        taps: As given to the model.
        config: The model's.
        stack: "encoder" or "decoder".
        own: Records of the stack's own sites.
        layers: A list with each layer's records, or one dict stacked over layers.
    """
    record = matching(config, taps.record)
    out = {f"{stack}.{site}": value for site, value in own.items()}
    for i in range(_layer_counts(config)[stack]):
        found = layers[i] if isinstance(layers, list) else {s: v[i] for s, v in layers.items()}
        out |= {f"{stack}.{i}.{site}": value for site, value in found.items()}
    return {name: out[name] for name in record if name in out}
