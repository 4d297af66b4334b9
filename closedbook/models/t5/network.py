"""The encoder-decoder T5, versions 1.0 and 1.1."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from closedbook.models.decoding import DecodingState
from closedbook.models.layers import (
    MASKED,
    Attention,
    Dropout,
    FeedForward,
    KVCache,
    RelativePositionBias,
    RMSNorm,
    constrain,
    dense,
    product,
    with_axes,
)
from closedbook.models.t5.config import T5Config
from closedbook.models.taps import (
    LayerTaps,
    Tap,
    Taps,
    name_records,
    stack_over_layers,
    stack_taps,
)
from closedbook.vocabulary import EOS_ID, PAD_ID


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward unit, each normalised before and added after."""

    config: T5Config

    @nn.compact
    def __call__(self, x: jax.Array, bias: jax.Array, taps: LayerTaps | None) -> Any:
        cfg, tap = self.config, Tap(taps)
        drop = functools.partial(Dropout, cfg.dropout_rate)
        x = tap("resid_pre", constrain(x, "batch", "length", "embed"))
        y = RMSNorm(name="pre_attention_layer_norm")(x)
        y, _ = Attention(cfg, "attention", name="attention")(y, bias, tap)
        x = x + drop(name="attention_dropout")(y)
        y = RMSNorm(name="pre_mlp_layer_norm")(x)
        y = FeedForward(cfg, name="mlp")(y, tap)
        x = tap("resid_post", x + drop(name="mlp_dropout")(y))
        return x, tap.records


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
        index: jax.Array | None,
        taps: LayerTaps | None,
        cache: KVCache | None,
    ) -> Any:
        cfg, tap = self.config, Tap(taps)
        drop = functools.partial(Dropout, cfg.dropout_rate)
        x = tap("resid_pre", constrain(x, "batch", "length", "embed"))
        y = RMSNorm(name="pre_self_attention_layer_norm")(x)
        own = Attention(cfg, "self_attention", name="self_attention")
        y, cache = own(y, bias, tap, cache=cache, index=index)
        x = x + drop(name="self_attention_dropout")(y)
        y = RMSNorm(name="pre_cross_attention_layer_norm")(x)
        cross = Attention(cfg, "cross_attention", name="encoder_decoder_attention")
        y, cache = cross(y, cross_bias, tap, source=encoded, cache=cache)
        x = x + drop(name="cross_attention_dropout")(y)
        y = RMSNorm(name="pre_mlp_layer_norm")(x)
        y = FeedForward(cfg, name="mlp")(y, tap)
        x = tap("resid_post", x + drop(name="mlp_dropout")(y))
        return x, (tap.records, cache)

    @nn.compact
    def cross_keys(self, carry: None, encoded: jax.Array) -> tuple[None, Any]:
        """Keys and values of encoded inputs; the carry is there for the scan over layers."""
        cross = Attention(self.config, "cross_attention", name="encoder_decoder_attention")
        return carry, cross.keys_and_values(encoded)


def _remat(layer: type[nn.Module], policy: str) -> Any:
    if policy == "none":
        return layer
    policies = {"full": None, "minimal": jax.checkpoint_policies.dots_with_no_batch_dims_saveable}
    # Under scan the barrier against common-subexpression elimination only costs time.
    return nn.remat(layer, prevent_cse=False, policy=policies[policy])


def _apply_layers(
    layer: type[nn.Module], config: T5Config, length: int, x: jax.Array, shared: tuple, own: tuple
) -> Any:
    """Runs a stack's layers inside its compact `__call__`, scanned or unrolled.

    Args:
        layer: The layer's class; called as `layer(config)(x, *shared, *own_i)`.
        config: The model's.
        length: Number of layers.
        x: The residual stream [batch, length, emb].
        shared: Arguments that all layers get.
        own: For each further argument a list with one entry a layer (unrolled), or one pytree
            with a leading layer axis (scanned).

    Returns:
        The residual stream and the layers' second outputs, a list or stacked.
    """
    made = _remat(layer, config.remat_policy)
    if not config.scan_layers:
        outputs = []
        for i in range(length):
            x, out = made(config, name=f"layers_{i}")(x, *shared, *(o[i] for o in own))
            outputs.append(out)
        return x, outputs
    scanned = nn.scan(
        made,
        variable_axes={"params": 1},
        split_rngs={"params": True, "dropout": True},
        in_axes=(nn.broadcast,) * len(shared) + (0,) * len(own),
        length=length,
        metadata_params={nn.PARTITION_NAME: "layers"},
    )
    return scanned(config, name="layers")(x, *shared, *own)


class Encoder(nn.Module):
    """Token embeddings [batch, length, emb] to encoded inputs."""

    config: T5Config

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array, taps: Taps | None) -> Any:
        """Args: embedded inputs, mask [batch, 1, queries or 1, keys] of what may be seen, taps."""
        cfg = self.config
        own, layer_taps = stack_taps(taps, cfg, "encoder")
        tap = Tap(own)
        x = Dropout(cfg.dropout_rate, name="input_dropout")(tap("embed", x))
        positions = jnp.arange(x.shape[1])
        bias = RelativePositionBias(cfg, True, name="relpos_bias")(positions, positions)
        bias = jnp.where(mask, bias, MASKED)
        per_layer: Any = stack_over_layers(layer_taps) if cfg.scan_layers else layer_taps
        layers = cfg.num_encoder_layers
        x, records = _apply_layers(EncoderLayer, cfg, layers, x, (bias,), (per_layer,))
        x = tap("final_norm", RMSNorm(name="encoder_norm")(x))
        x = Dropout(cfg.dropout_rate, over_length=False, name="output_dropout")(x)
        if taps is None:
            return x, {}
        return x, name_records(taps, cfg, "encoder", tap.records, records)


class Decoder(nn.Module):
    """Embedded targets and encoded inputs to the last layer's normalised output."""

    config: T5Config

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        encoded: jax.Array | None,
        mask: jax.Array,
        cross_mask: jax.Array,
        taps: Taps | None,
        cache: Any,
        index: jax.Array | None,
    ) -> Any:
        cfg = self.config
        own, layer_taps = stack_taps(taps, cfg, "decoder")
        tap = Tap(own)
        x = Dropout(cfg.dropout_rate, name="input_dropout")(tap("embed", x))
        keys = jnp.arange(mask.shape[-1])
        queries = jnp.arange(x.shape[1]) + (0 if index is None else index)
        bias = RelativePositionBias(cfg, False, name="relpos_bias")(queries, keys)
        bias = jnp.where(mask & (keys[None, :] <= queries[:, None])[None, None], bias, MASKED)
        cross_bias = jnp.where(cross_mask, 0.0, MASKED)
        layers = cfg.num_decoder_layers
        per_layer: Any = stack_over_layers(layer_taps) if cfg.scan_layers else layer_taps
        if cache is None and not cfg.scan_layers:
            cache = [None] * layers
        shared = (encoded, bias, cross_bias, index)
        x, out = _apply_layers(DecoderLayer, cfg, layers, x, shared, (per_layer, cache))
        if cfg.scan_layers:
            records, cache = out
        else:
            records, cache = [r for r, _ in out], [c for _, c in out]
        x = tap("final_norm", RMSNorm(name="decoder_norm")(x))
        x = Dropout(cfg.dropout_rate, name="output_dropout")(x)
        named = {} if taps is None else name_records(taps, cfg, "decoder", tap.records, records)
        return x, named, cache

    @nn.compact
    def cross_keys(self, encoded: jax.Array) -> Any:
        """Each layer's keys and values of encoded inputs: a list, or stacked over layers."""
        cfg = self.config
        if not cfg.scan_layers:
            layers = range(cfg.num_decoder_layers)
            return [
                DecoderLayer(cfg, name=f"layers_{i}").cross_keys(None, encoded)[1] for i in layers
            ]
        scanned = nn.scan(
            DecoderLayer,
            variable_axes={"params": 1},
            split_rngs={"params": True},
            in_axes=nn.broadcast,
            length=cfg.num_decoder_layers,
            methods=["cross_keys"],
        )
        return scanned(cfg, name="layers").cross_keys(None, encoded)[1]

    @nn.compact
    def logits(self, x: jax.Array) -> jax.Array:
        """The output matrix of 1.1: [batch, length, emb] to [batch, length, vocab]."""
        init = nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")
        axes = ("embed", "vocab")
        return dense(self, "logits_dense", x, self.config.vocab_size, axes, init)


class Embedding(nn.Module):
    """The token embedding, shared by both stacks and, in 1.0, by the output."""

    config: T5Config

    def setup(self) -> None:
        init = with_axes(nn.initializers.normal(1.0), ("vocab", "embed"))
        shape = (self.config.vocab_size, self.config.emb_dim)
        self.embedding = self.param("embedding", init, shape, jnp.float32)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        # A gather, not T5X's product with one-hot rows: 1.24x faster a step on a CPU.
        return jnp.take(self.embedding, tokens, axis=0).astype(self.config.dtype)

    def attend(self, x: jax.Array) -> jax.Array:
        """Scores of all pieces, scaled by emb_dim ** -0.5 as in T5 1.0."""
        return product(x, self.embedding.T.astype(x.dtype)) / np.sqrt(x.shape[-1])


class T5(nn.Module):
    """T5 (Raffel et al. 2020). Give `rngs={"dropout": key}` to `apply` to train with dropout.

    Tokens are int32, 0 is padding. Where rows hold several packed examples, segment ids say
    which tokens belong together (1, 2, ...; 0 for padding).
    """

    config: T5Config

    @property
    def pad_id(self) -> int:
        """Fills up rows, and is the decoder's first input."""
        return PAD_ID

    @property
    def eos_id(self) -> int:
        """Ends inputs and targets."""
        return EOS_ID

    def example(self) -> tuple[jax.Array, jax.Array]:
        """Inputs and targets [1, 2] for `init`: shapes of parameters need no more."""
        tokens = jnp.ones((1, 2), jnp.int32)
        return tokens, tokens

    def setup(self) -> None:
        self.token_embedder = Embedding(self.config)
        self.encoder = Encoder(self.config)
        self.decoder = Decoder(self.config)

    def encode(
        self,
        encoder_input_tokens: jax.Array,
        encoder_segment_ids: jax.Array | None = None,
        taps: Taps | None = None,
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Encodes inputs [batch, length]; returns [batch, length, emb] and the records."""
        mask = (encoder_input_tokens > 0)[:, None, None, :]
        if encoder_segment_ids is not None:
            mask = mask & _same_segment(encoder_segment_ids, encoder_segment_ids)
        return self.encoder(self.token_embedder(encoder_input_tokens), mask, taps)

    def decode(
        self,
        encoded: jax.Array,
        encoder_input_tokens: jax.Array,
        decoder_input_tokens: jax.Array,
        encoder_segment_ids: jax.Array | None = None,
        decoder_segment_ids: jax.Array | None = None,
        taps: Taps | None = None,
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Logits float32 [batch, length, vocab] of given targets, and the records."""
        length = decoder_input_tokens.shape[1]
        mask = jnp.ones((1, 1, 1, length), bool)
        cross_mask = (encoder_input_tokens > 0)[:, None, None, :]
        if decoder_segment_ids is not None:
            mask = _same_segment(decoder_segment_ids, decoder_segment_ids)
            cross_mask = cross_mask & _same_segment(decoder_segment_ids, encoder_segment_ids)
        x = self.token_embedder(decoder_input_tokens)
        x, records, _ = self.decoder(x, encoded, mask, cross_mask, taps, None, None)
        return self._logits(x), records

    def start(
        self, inputs: jax.Array, copies: int, max_length: int
    ) -> tuple[jax.Array, DecodingState]:
        """Encodes the inputs; the answers have no tokens yet.

        Args:
            inputs: int32 [batch, length]; rows of padding alone only fill the batch.
            copies: Hypotheses per input, which share its cross-attention keys.
            max_length: Positions that an answer may take.

        Returns:
            The first decoder inputs [batch * copies], which are padding, and the state.
        """
        encoded, _ = self.encode(inputs)
        cross = self.decoder.cross_keys(encoded)
        rows = inputs.shape[0] * copies

        def nothing_yet(pair: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            *layers, _, heads, _, depth = pair[0].shape
            zeros = jnp.zeros((*layers, rows, heads, max_length, depth), encoded.dtype)
            return zeros, zeros

        own = jax.tree.map(nothing_yet, cross, is_leaf=_is_pair)
        row_axis = jax.tree.leaves(own)[0].ndim - 4
        first = jnp.full(rows, self.pad_id, jnp.int32)
        return first, DecodingState(own, (cross, inputs), row_axis)

    def step(
        self, tokens: jax.Array, index: jax.Array, state: DecodingState
    ) -> tuple[jax.Array, DecodingState]:
        """One step of cached decoding.

        Args:
            tokens: Decoder inputs [batch * copies, length]; several each to score given answers.
            index: Position of the first of them, an int32 scalar.
            state: From `start` or from the step before.

        Returns:
            Logits float32 [batch * copies, length, vocab] and the new state.
        """
        cross, inputs = state.shared
        cache = jax.tree.map(lambda a, b: KVCache(*a, *b), state.own, cross, is_leaf=_is_pair)
        max_length = jax.tree.leaves(state.own)[0].shape[-2]
        mask = jnp.ones((1, 1, 1, max_length), bool)
        cross_mask = (inputs > 0)[:, None, None, :]
        x = self.token_embedder(tokens)
        x, _, cache = self.decoder(x, None, mask, cross_mask, None, cache, index)
        own = jax.tree.map(lambda c: (c.key, c.value), cache, is_leaf=_is_cache)
        return self._logits(x), state.replace(own=own)

    def __call__(
        self,
        encoder_input_tokens: jax.Array,
        decoder_input_tokens: jax.Array,
        encoder_segment_ids: jax.Array | None = None,
        decoder_segment_ids: jax.Array | None = None,
        taps: Taps | None = None,
    ) -> Any:
        """Teacher-forced logits float32 [batch, targets, vocab]; with taps also the records."""
        encoded, seen = self.encode(encoder_input_tokens, encoder_segment_ids, taps)
        logits, records = self.decode(
            encoded,
            encoder_input_tokens,
            decoder_input_tokens,
            encoder_segment_ids,
            decoder_segment_ids,
            taps,
        )
        return logits if taps is None else (logits, seen | records)

    def _logits(self, x: jax.Array) -> jax.Array:
        tied = self.config.logits_via_embedding
        logits = self.token_embedder.attend(x) if tied else self.decoder.logits(x)
        return constrain(logits.astype(jnp.float32), "batch", "length", "vocab")


def _is_pair(x: Any) -> bool:
    return isinstance(x, tuple)


def _is_cache(x: Any) -> bool:
    return isinstance(x, KVCache)


def _same_segment(queries: jax.Array, keys: jax.Array | None) -> jax.Array:
    assert keys is not None, "packed targets need the inputs' segment ids"
    return queries[:, None, :, None] == keys[:, None, None, :]
