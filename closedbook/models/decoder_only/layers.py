"""A layer of a decoder-only model, put together from the shared parts."""

import functools
from typing import TypeAlias

import flax.linen as nn
import jax
import numpy as np

from closedbook.models.attention import Attention, KVCache
from closedbook.models.decoder_only.config import DecoderOnlyConfig
from closedbook.models.decoder_only.positions import Rotation, rotated
from closedbook.models.layers import Dropout, FeedForward, LayerNorm, RMSNorm, constrain
from closedbook.models.taps import LayerTaps, Tap

Records: TypeAlias = dict[str, jax.Array]  # by the site's name
KERNEL_INIT = nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")


def norm(config: DecoderOnlyConfig, name: str) -> nn.Module:
    """The normalisation that a config asks for."""
    kind = {"layer": LayerNorm, "rms": RMSNorm}[config.norm]
    return kind(config.precision, config.norm_epsilon, name=name)


class DecoderLayer(nn.Module):
    """Self-attention and feed-forward unit, each normalised before and added after."""

    config: DecoderOnlyConfig

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        bias: jax.Array,
        turn: Rotation | None,
        index: jax.Array | None,
        taps: LayerTaps | None,
        cache: KVCache | None,
    ) -> tuple[jax.Array, tuple[Records, KVCache | None]]:
        """The residual stream [batch, length, emb] after the layer, records, the new cache.

        Args:
            x: The residual stream before the layer.
            bias: Broadcasts to [batch, 1, length, keys].
            turn: Rotary positions of the tokens; None where positions are added to the inputs.
            index: Where the first token stands in the cache, an int32 scalar; None without one.
            taps: The layer's taps.
            cache: The layer's keys and values so far.
        """
        cfg, tap = self.config, Tap(taps)
        drop = functools.partial(Dropout, cfg.dropout_rate)
        attention = Attention(
            heads=cfg.num_heads,
            head_dim=cfg.head_dim,
            site="attention",
            cross=False,
            query_init=KERNEL_INIT,
            kernel_init=KERNEL_INIT,
            dropout_rate=cfg.dropout_rate,
            precision=cfg.precision,
            kv_heads=cfg.kv_heads,
            bias=cfg.attention_bias,
            query_scale=float(1 / np.sqrt(cfg.head_dim)),
            name="attention",
        )
        feed_forward = FeedForward(
            width=cfg.mlp_dim,
            activations=cfg.mlp_activations,
            kernel_init=KERNEL_INIT,
            dropout_rate=cfg.dropout_rate,
            precision=cfg.precision,
            bias=cfg.mlp_bias,
            name="mlp",
        )
        x = tap("resid_pre", constrain(x, "batch", "length", "embed"))
        y = norm(cfg, "pre_attention_layer_norm")(x, constant=tap.relevance)
        place = None if turn is None else functools.partial(rotated, turn=turn)
        y, cache = attention(y, bias, tap, cache=cache, index=index, turn=place)
        x = x + drop(name="attention_dropout")(y)
        y = norm(cfg, "pre_mlp_layer_norm")(x, constant=tap.relevance)
        y = feed_forward(y, tap)
        x = tap("resid_post", x + drop(name="mlp_dropout")(y))
        return x, (tap.records, cache)
