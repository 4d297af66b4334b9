"""The encoder-decoder T5, versions 1.0 and 1.1, and umT5."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from closedbook.models.attention import MASKED, KVCache
from closedbook.models.decoding import DecodingState, Packing
from closedbook.models.layers import Dropout, Embedding, Kernel, RMSNorm, constrain
from closedbook.models.stack import PerLayer, layers_of
from closedbook.models.t5.config import T5Config
from closedbook.models.t5.layers import (
    FAN_IN_TRUNCATED,
    DecoderLayer,
    EncoderLayer,
    Positions,
    Records,
    position_bias,
)
from closedbook.models.taps import Tap, Taps, name_records, stack_taps
from closedbook.vocabulary import EOS_ID, PAD_ID


def _biases(
    config: T5Config, mask: jax.Array, positions: Positions, *, bidirectional: bool
) -> tuple[jax.Array, Positions | None]:
    """Attention biases of a stack, and the positions for layers that have biases of their own.

    Args:
        config: The model's.
        mask: What may be seen, bool [batch, 1, queries, keys] or what broadcasts to it.
        positions: Of queries and keys.
        bidirectional: Whether keys after the query are seen.
    """
    if config.relpos_per_layer:
        return jnp.where(mask, 0.0, MASKED), positions
    bias = position_bias(config, bidirectional=bidirectional)(*positions)
    return jnp.where(mask, bias, MASKED), None


class Encoder(nn.Module):
    """Token embeddings to encoded inputs."""

    config: T5Config

    @nn.compact
    def __call__(
        self, x: jax.Array, mask: jax.Array, taps: Taps | None
    ) -> tuple[jax.Array, Records]:
        """Encoded inputs [batch, length, emb], and what was recorded.

        Args:
            x: Embedded inputs [batch, length, emb].
            mask: What may be seen, bool [batch, 1, length or 1, length].
            taps: As given to the model.
        """
        cfg = self.config
        layers = layers_of(cfg, "encoder")
        own, layer_taps = stack_taps(taps, cfg, "encoder")
        tap = Tap(own)
        x = Dropout(cfg.dropout_rate, name="input_dropout")(tap("embed", x))
        places = jnp.arange(x.shape[1])
        bias, positions = _biases(cfg, mask, (places, places), bidirectional=True)
        per_layer = (layers.taps(layer_taps),)
        shared = (bias, positions)
        x, (records,) = layers.run(EncoderLayer, (cfg,), x, shared=shared, own=per_layer)
        x = tap(
            "final_norm",
            RMSNorm(cfg.precision, cfg.norm_epsilon, name="encoder_norm")(
                x, constant=tap.relevance
            ),
        )
        x = Dropout(cfg.dropout_rate, over_length=False, name="output_dropout")(x)
        return x, name_records(taps, cfg, "encoder", tap.records, layers.apart(records))


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
        cache: PerLayer[KVCache] | None,
        index: jax.Array | None,
    ) -> tuple[jax.Array, Records, PerLayer[KVCache] | PerLayer[None]]:
        """The normalised output [batch, length, emb], what was recorded, and the new cache.

        Args:
            x: Embedded targets [batch, length, emb].
            encoded: Encoded inputs [batch, inputs, emb]; None where the cache holds their keys.
            mask: Which targets may be seen, beside causality: bool, broadcasts to
                [batch, 1, length, keys].
            cross_mask: Which inputs may be seen: bool, broadcasts to [batch, 1, length, inputs].
            taps: As given to the model.
            cache: Of the step before; None outside decoding.
            index: Position of the first target in the cache, an int32 scalar.
        """
        cfg = self.config
        layers = layers_of(cfg, "decoder")
        own, layer_taps = stack_taps(taps, cfg, "decoder")
        tap = Tap(own)
        x = Dropout(cfg.dropout_rate, name="input_dropout")(tap("embed", x))
        keys = jnp.arange(mask.shape[-1])
        queries = jnp.arange(x.shape[1]) + (0 if index is None else index)
        seen = mask & (keys[None, :] <= queries[:, None])[None, None]
        bias, positions = _biases(cfg, seen, (queries, keys), bidirectional=False)
        cross_bias = jnp.where(cross_mask, 0.0, MASKED)
        x, (records, cache) = layers.run(
            DecoderLayer,
            (cfg,),
            x,
            shared=(encoded, bias, cross_bias, positions, index),
            own=(layers.taps(layer_taps), layers.nothing() if cache is None else cache),
        )
        x = tap(
            "final_norm",
            RMSNorm(cfg.precision, cfg.norm_epsilon, name="decoder_norm")(
                x, constant=tap.relevance
            ),
        )
        x = Dropout(cfg.dropout_rate, name="output_dropout")(x)
        named = name_records(taps, cfg, "decoder", tap.records, layers.apart(records))
        return x, named, cache

    @nn.compact
    def cross_keys(self, encoded: jax.Array) -> PerLayer[tuple[jax.Array, jax.Array]]:
        """Each layer's keys and values of encoded inputs [batch, inputs, emb]."""
        layers = layers_of(self.config, "decoder")
        return layers.call(DecoderLayer, (self.config,), "cross_keys", encoded)

    @nn.compact
    def logits(self, x: jax.Array) -> jax.Array:
        """The output matrix of 1.1: [batch, length, emb] to [batch, length, vocab]."""
        cfg, axes = self.config, ("embed", "vocab")
        name = "logits_dense"
        return Kernel(cfg.vocab_size, axes, FAN_IN_TRUNCATED, cfg.precision, name=name)(x)


class T5(nn.Module):
    """T5 (Raffel et al. 2020). Give `rngs={"dropout": key}` to `apply` to train with dropout.

    Tokens are int32, 0 is padding. Where rows hold several packed examples, segment ids say
    which tokens belong together (1, 2, ...; 0 for padding).
    """

    config: T5Config

    @property
    def pad_id(self) -> int:
        """Fills up rows."""
        return PAD_ID

    @property
    def eos_id(self) -> int:
        """Ends inputs and targets."""
        return EOS_ID

    @property
    def vocab_size(self) -> int:
        """Tokens that have a logit, those of no text included."""
        return self.config.vocab_size

    def framed(self, ids: Sequence[int]) -> list[int]:
        """An input of the ids of a text: they are followed by EOS."""
        return [*ids, self.eos_id]

    def cut(self, ids: Sequence[int], longest: int) -> Sequence[int]:
        """An input that ends in EOS and has at most `longest` ids: the first ones are kept."""
        return ids if len(ids) <= longest else [*ids[: longest - 1], self.eos_id]

    def example(self) -> tuple[jax.Array, jax.Array]:
        """Inputs and targets [1, 2] for `init`: shapes of parameters need no more."""
        tokens = jnp.ones((1, 2), jnp.int32)
        return tokens, tokens

    def setup(self) -> None:
        cfg, axes = self.config, ("vocab", "embed")
        self.token_embedder = Embedding(
            cfg.vocab_size, cfg.emb_dim, axes, nn.initializers.normal(1.0), cfg.precision
        )
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
        x, records = self.read_targets(
            encoded,
            encoder_input_tokens,
            decoder_input_tokens,
            encoder_segment_ids,
            decoder_segment_ids,
            taps,
        )
        return self.logits(x), records

    def read_targets(
        self,
        encoded: jax.Array,
        encoder_input_tokens: jax.Array,
        decoder_input_tokens: jax.Array,
        encoder_segment_ids: jax.Array | None = None,
        decoder_segment_ids: jax.Array | None = None,
        taps: Taps | None = None,
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The decoder's normalised output [batch, length, emb] for given targets, and records."""
        length = decoder_input_tokens.shape[1]
        mask = jnp.ones((1, 1, 1, length), bool)
        cross_mask = (encoder_input_tokens > 0)[:, None, None, :]
        if decoder_segment_ids is not None:
            mask = _same_segment(decoder_segment_ids, decoder_segment_ids)
            cross_mask = cross_mask & _same_segment(decoder_segment_ids, encoder_segment_ids)
        x = self.token_embedder(decoder_input_tokens)
        x, records, _ = self.decoder(x, encoded, mask, cross_mask, taps, None, None)
        return x, records

    def start(
        self, inputs: jax.Array, copies: int, max_length: int, packing: Packing | None = None
    ) -> tuple[jax.Array, DecodingState]:
        """Encodes the inputs; the answers have no tokens yet.

        Args:
            inputs: int32 [batch, length]; rows of padding alone only fill the batch.
            copies: Hypotheses per input, which share its cross-attention keys.
            max_length: Positions that an answer may take.
            packing: How inputs share rows of the encoder, which then reads fewer paddings.

        Returns:
            The first decoder inputs [batch * copies], which are `begin_id`, and the state.
        """
        if packing is None:
            encoded, _ = self.encode(inputs)
            cross = self.decoder.cross_keys(encoded)
        else:
            encoded, _ = self.encode(packing.packed(inputs), jnp.asarray(packing.segments))
            cross = jax.tree.map(packing.unpacked, self.decoder.cross_keys(encoded))
        rows = inputs.shape[0] * copies

        def nothing_yet(pair: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            *layers, _, heads, _, depth = pair[0].shape
            zeros = jnp.zeros((*layers, rows, heads, max_length, depth), encoded.dtype)
            return zeros, zeros

        own = jax.tree.map(nothing_yet, cross, is_leaf=_is_pair)
        row_axis = jax.tree.leaves(own)[0].ndim - 4
        first = jnp.full(rows, self.config.begin_id, jnp.int32)
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
        return self.logits(x), state.replace(own=own)

    def __call__(
        self,
        encoder_input_tokens: jax.Array,
        decoder_input_tokens: jax.Array,
        encoder_segment_ids: jax.Array | None = None,
        decoder_segment_ids: jax.Array | None = None,
        taps: Taps | None = None,
    ) -> jax.Array | tuple[jax.Array, Records]:
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

    def states(
        self,
        encoder_input_tokens: jax.Array,
        decoder_input_tokens: jax.Array,
        encoder_segment_ids: jax.Array | None = None,
        decoder_segment_ids: jax.Array | None = None,
    ) -> jax.Array:
        """What `logits` takes, [batch, targets, emb], for the arguments of `__call__`."""
        encoded, _ = self.encode(encoder_input_tokens, encoder_segment_ids)
        return self.read_targets(
            encoded,
            encoder_input_tokens,
            decoder_input_tokens,
            encoder_segment_ids,
            decoder_segment_ids,
        )[0]

    def logits(self, x: jax.Array) -> jax.Array:
        """The decoder's normalised outputs [..., length, emb] to logits [..., length, vocab]."""
        if self.config.logits_via_embedding:  # of T5 1.0, scaled by emb_dim ** -0.5
            logits = self.token_embedder.attend(x) / np.sqrt(x.shape[-1])
        else:
            logits = self.decoder.logits(x)
        logits = logits.astype(self.config.precision.accumulate)
        return constrain(logits, "batch", "length", "vocab")


def _is_pair(x: object) -> bool:
    return isinstance(x, tuple)


def _is_cache(x: object) -> bool:
    return isinstance(x, KVCache)


def _same_segment(queries: jax.Array, keys: jax.Array | None) -> jax.Array:
    assert keys is not None, "packed targets need the inputs' segment ids"
    return queries[:, None, :, None] == keys[:, None, None, :]
