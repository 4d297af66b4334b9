"""A layer of T5's encoder and one of its decoder, put together from the shared parts."""

import functools
from typing import Any, TypeAlias

import flax.linen as nn
import jax
import numpy as np

from closedbook.models.attention import Attention, KVCache
from closedbook.models.layers import Dropout, FeedForward, RMSNorm, constrain
from closedbook.models.t5.config import T5Config
from closedbook.models.t5.positions import RelativePositionBias
from closedbook.models.taps import LayerTaps, Tap

Records: TypeAlias = dict[str, jax.Array]  # by the site's name
Positions: TypeAlias = tuple[jax.Array, jax.Array]  # of queries and keys, int32, one axis each
_FAN_IN_NORMAL = nn.initializers.variance_scaling(1.0, "fan_in", "normal")
FAN_IN_TRUNCATED = nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")


def _attention(config: T5Config, site: str, name: str, *, cross: bool = False) -> Attention:
    def query_init(*args: Any) -> jax.Array:  # the 1/sqrt(head_dim) of other transformers
        return _FAN_IN_NORMAL(*args) / np.sqrt(config.head_dim)

    return Attention(
        heads=config.num_heads,
        head_dim=config.head_dim,
        site=site,
        cross=cross,
        query_init=query_init,
        kernel_init=_FAN_IN_NORMAL,
        dropout_rate=config.dropout_rate,
        precision=config.precision,
        query_scale=config.head_dim**-0.5 if config.scale_attn_logits else 1.0,
        name=name,
    )


def position_bias(config: T5Config, *, bidirectional: bool) -> RelativePositionBias:
    """The biases of a stack, or of one of its layers where each has its own."""
    return RelativePositionBias(
        heads=config.num_heads,
        buckets=config.relpos_buckets,
        max_distance=config.relpos_max_distance,
        bidirectional=bidirectional,
        precision=config.precision,
        name="relpos_bias",
    )


def _feed_forward(config: T5Config) -> FeedForward:
    return FeedForward(
        width=config.mlp_dim,
        activations=config.mlp_activations,
        kernel_init=FAN_IN_TRUNCATED,
        dropout_rate=config.dropout_rate,
        precision=config.precision,
        name="mlp",
    )


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward unit, each normalised before and added after."""

    config: T5Config

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        bias: jax.Array,
        positions: Positions | None,
        taps: LayerTaps | None,
    ) -> tuple[jax.Array, tuple[Records]]:
        """The residual stream [batch, length, emb] after the layer, and what was recorded.

        Args:
            x: The residual stream before the layer.
            bias: Broadcasts to [batch, heads, length, length].
            positions: Of queries and keys, where the layer has biases of its own.
            taps: The layer's taps.
        """
        cfg, tap = self.config, Tap(taps)
        if positions is not None:
            bias = bias + position_bias(cfg, bidirectional=True)(*positions)
        norm = functools.partial(RMSNorm, cfg.precision, cfg.norm_epsilon)
        drop = functools.partial(Dropout, cfg.dropout_rate)
        x = tap("resid_pre", constrain(x, "batch", "length", "embed"))
        y = norm(name="pre_attention_layer_norm")(x, constant=tap.relevance)
        y, _ = _attention(cfg, "attention", "attention")(y, bias, tap)
        x = x + drop(name="attention_dropout")(y)
        y = norm(name="pre_mlp_layer_norm")(x, constant=tap.relevance)
        y = _feed_forward(cfg)(y, tap)
        x = tap("resid_post", x + drop(name="mlp_dropout")(y))
        return x, (tap.records,)


class DecoderLayer(nn.Module):
    """Self-attention, attention to the encoded inputs, feed-forward unit."""

    config: T5Config

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        encoded: jax.Array | None,
        bias: jax.Array,
        cross_bias: jax.Array,
        positions: Positions | None,
        index: jax.Array | None,
        taps: LayerTaps | None,
        cache: KVCache | None,
    ) -> tuple[jax.Array, tuple[Records, KVCache | None]]:
        """The residual stream [batch, length, emb] after the layer, records, the new cache.

        Args:
            x: The residual stream before the layer.
            encoded: Encoded inputs [batch, inputs, emb]; None where the cache holds their keys.
            bias: Of self-attention; broadcasts to [batch, heads, length, keys].
            cross_bias: Of cross-attention; broadcasts to [batch, heads, length, inputs].
            positions: Of queries and keys, where the layer has biases of its own.
            index: Position of the first token in the cache, an int32 scalar; None without one.
            taps: The layer's taps.
            cache: The layer's keys and values so far.
        """
        cfg, tap = self.config, Tap(taps)
        if positions is not None:
            bias = bias + position_bias(cfg, bidirectional=False)(*positions)
        norm = functools.partial(RMSNorm, cfg.precision, cfg.norm_epsilon)
        drop = functools.partial(Dropout, cfg.dropout_rate)
        x = tap("resid_pre", constrain(x, "batch", "length", "embed"))
        y = norm(name="pre_self_attention_layer_norm")(x, constant=tap.relevance)
        own = _attention(cfg, "self_attention", "self_attention")
        y, cache = own(y, bias, tap, cache=cache, index=index)
        x = x + drop(name="self_attention_dropout")(y)
        y = norm(name="pre_cross_attention_layer_norm")(x, constant=tap.relevance)
        y, cache = self._cross()(y, cross_bias, tap, source=encoded, cache=cache)
        x = x + drop(name="cross_attention_dropout")(y)
        y = norm(name="pre_mlp_layer_norm")(x, constant=tap.relevance)
        y = _feed_forward(cfg)(y, tap)
        x = tap("resid_post", x + drop(name="mlp_dropout")(y))
        return x, (tap.records, cache)

    @nn.compact
    def cross_keys(
        self, carry: None, encoded: jax.Array
    ) -> tuple[None, tuple[jax.Array, jax.Array]]:
        """Keys and values [batch, heads, inputs, head_dim] of encoded inputs [batch, inputs, emb].

        The carry is there for the scan over layers.
        """
        return carry, self._cross().keys_and_values(encoded)

    def _cross(self) -> Attention:
        name = "encoder_decoder_attention"
        return _attention(self.config, "cross_attention", name, cross=True)
