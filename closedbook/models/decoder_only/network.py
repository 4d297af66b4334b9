"""The decoder-only transformer."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from closedbook.errors import UserError
from closedbook.models.attention import MASKED, KVCache
from closedbook.models.decoder_only.config import DecoderOnlyConfig
from closedbook.models.decoder_only.layers import KERNEL_INIT, DecoderLayer, Records, norm
from closedbook.models.decoder_only.positions import rotation, sinusoids
from closedbook.models.decoding import DecodingState
from closedbook.models.layers import Dropout, Embedding, Kernel, constrain
from closedbook.models.stack import PerLayer, layers_of
from closedbook.models.taps import Tap, Taps, name_records, stack_taps

_EMBEDDING_INIT = nn.initializers.normal(0.02)  # GPT-2's


class Decoder(nn.Module):
    """Embedded tokens to the last layer's normalised output."""

    config: DecoderOnlyConfig

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        positions: jax.Array,
        mask: jax.Array,
        taps: Taps | None,
        cache: PerLayer[KVCache] | None,
        index: jax.Array | None,
    ) -> tuple[jax.Array, Records, PerLayer[KVCache] | PerLayer[None]]:
        """The normalised output [batch, length, emb], what was recorded, and the new cache.

        Args:
            x: Embedded tokens [batch, length, emb].
            positions: Of the tokens, int32 [batch, length].
            mask: What may be seen: bool, broadcasts to [batch, 1, length, keys].
            taps: As given to the model.
            cache: Of the step before; None outside decoding.
            index: Where the first token stands in the cache, an int32 scalar.
        """
        cfg = self.config
        layers = layers_of(cfg, "decoder")
        own, layer_taps = stack_taps(taps, cfg, "decoder")
        tap = Tap(own)
        x = Dropout(cfg.dropout_rate, name="input_dropout")(tap("embed", x))
        bias = jnp.where(mask, 0.0, MASKED)
        turn = rotation(cfg, positions) if cfg.positions == "rotary" else None
        x, (records, cache) = layers.run(
            DecoderLayer,
            (cfg,),
            x,
            shared=(bias, turn, index),
            own=(layers.taps(layer_taps), layers.nothing() if cache is None else cache),
        )
        x = tap("final_norm", norm(cfg, "decoder_norm")(x, constant=tap.relevance))
        named = name_records(taps, cfg, "decoder", tap.records, layers.apart(records))
        return x, named, cache

    @nn.compact
    def logits(self, x: jax.Array) -> jax.Array:
        """The output matrix: [batch, length, emb] to [batch, length, vocab]."""
        cfg, axes = self.config, ("embed", "vocab")
        return Kernel(cfg.vocab_size, axes, KERNEL_INIT, cfg.precision, name="logits_dense")(x)


class DecoderOnly(nn.Module):
    """Predicts the next token. Give `rngs={"dropout": key}` to `apply` to train with dropout.

    Tokens are int32 and stand at the beginning of a row; `config.pad_id` fills it up. Where rows
    hold several packed texts, segment ids say which tokens belong together (1, 2, ...; 0 for
    padding).
    """

    config: DecoderOnlyConfig

    @property
    def pad_id(self) -> int:
        """Fills up rows; -1 where every id is a piece."""
        return self.config.pad_id

    @property
    def eos_id(self) -> int:
        """Ends a text."""
        return self.config.eos_id

    @property
    def vocab_size(self) -> int:
        """Tokens that have a logit, those of no text included."""
        return self.config.vocab_size

    def framed(self, ids: Sequence[int]) -> list[int]:
        """A prompt of the ids of a text: after BOS where the model was trained so.

        Raises:
            UserError: There are no ids and no BOS either, so there is nothing to go on with.
        """
        cfg = self.config
        if cfg.bos_id >= 0 and (cfg.add_bos or not ids):
            return [cfg.bos_id, *ids]
        if not ids:
            raise UserError("the prompt is empty, and the model has no token that begins a text")
        return list(ids)

    def cut(self, ids: Sequence[int], longest: int) -> Sequence[int]:
        """A prompt of at most `longest` ids: BOS and the last ones are kept."""
        if len(ids) <= longest:
            return ids
        first = ids[:1] if self.config.add_bos and ids[0] == self.config.bos_id else []
        return [*first, *ids[len(ids) - longest + len(first) :]]

    def example(self) -> tuple[jax.Array]:
        """Tokens [1, 2] for `init`: shapes of parameters need no more."""
        return (jnp.zeros((1, 2), jnp.int32),)

    def setup(self) -> None:
        cfg = self.config
        self.token_embedder = Embedding(
            cfg.vocab_size, cfg.emb_dim, ("vocab", "embed"), _EMBEDDING_INIT, cfg.precision
        )
        if cfg.positions == "learned":
            self.position_embedder = Embedding(
                cfg.max_positions, cfg.emb_dim, ("length", "embed"), _EMBEDDING_INIT, cfg.precision
            )
        self.decoder = Decoder(cfg)

    def __call__(
        self,
        decoder_input_tokens: jax.Array,
        decoder_segment_ids: jax.Array | None = None,
        taps: Taps | None = None,
    ) -> jax.Array | tuple[jax.Array, Records]:
        """Logits float32 [batch, length, vocab] of the token after each; with taps also records.

        Args:
            decoder_input_tokens: int32 [batch, length]. Padding after a text is seen by no token
                of the text; its own logits mean nothing.
            decoder_segment_ids: int32 [batch, length] of packed rows; positions start anew with
                each text.
            taps: What to record and to patch.
        """
        x, records = self._read(decoder_input_tokens, decoder_segment_ids, taps)
        logits = self.logits(x)
        return logits if taps is None else (logits, records)

    def states(
        self, decoder_input_tokens: jax.Array, decoder_segment_ids: jax.Array | None = None
    ) -> jax.Array:
        """What `logits` takes, [batch, length, emb], for the arguments of `__call__`."""
        return self._read(decoder_input_tokens, decoder_segment_ids, None)[0]

    def _read(
        self,
        decoder_input_tokens: jax.Array,
        decoder_segment_ids: jax.Array | None,
        taps: Taps | None,
    ) -> tuple[jax.Array, Records]:
        """The decoder's normalised output [batch, length, emb], and records."""
        batch, length = decoder_input_tokens.shape
        self._check_length(length)
        index = jnp.arange(length)
        mask = _causal(index, index)
        positions = jnp.broadcast_to(index, (batch, length))
        if decoder_segment_ids is not None:
            ids = decoder_segment_ids
            mask = mask & (ids[:, None, :, None] == ids[:, None, None, :])
            begins = jnp.pad(ids[:, 1:] != ids[:, :-1], ((0, 0), (1, 0)), constant_values=True)
            positions = index - jax.lax.cummax(jnp.where(begins, index, 0), axis=1)
        x = self._embedded(decoder_input_tokens, positions)
        x, records, _ = self.decoder(x, positions, mask, taps, None, None)
        return x, records

    def start(
        self, inputs: jax.Array, copies: int, max_length: int
    ) -> tuple[jax.Array, DecodingState]:
        """Reads the prompts, once for all continuations of each.

        Args:
            inputs: Prompts int32 [batch, length], of unequal lengths; rows of padding alone only
                fill the batch.
            copies: Continuations per prompt, which share its keys.
            max_length: Positions that a continuation may take.

        Returns:
            The last token of each prompt [batch * copies], which the first step reads, and the
            state.
        """
        length = inputs.shape[1]
        self._check_length(length - 1 + max_length)
        index = jnp.arange(length)
        ends = jnp.max(jnp.where(inputs != self.pad_id, index + 1, 0), axis=1)
        last = jnp.maximum(ends - 1, 0)
        positions = jnp.broadcast_to(index, inputs.shape)
        x = self._embedded(inputs, positions)
        empty = self._empty_cache(inputs.shape[0], length)
        mask = _causal(index, index)
        _, _, prompt = self.decoder(x, positions, mask, None, empty, jnp.int32(0))
        own = self._empty_cache(inputs.shape[0] * copies, max_length)
        first = jnp.take_along_axis(inputs, last[:, None], axis=1)[:, 0]
        row_axis = jax.tree.leaves(own)[0].ndim - 4
        return jnp.repeat(first, copies), DecodingState(own, (prompt, last), row_axis)

    def step(
        self, tokens: jax.Array, index: jax.Array, state: DecodingState
    ) -> tuple[jax.Array, DecodingState]:
        """One step of cached decoding.

        Args:
            tokens: int32 [batch * copies, length]; several each to score given continuations.
            index: How many tokens were read since `start`, an int32 scalar.
            state: From `start` or from the step before.

        Returns:
            Logits float32 [batch * copies, length, vocab] and the new state.
        """
        x, _, own = self._go_on(tokens, index, state, None)
        return self.logits(x), state.replace(own=own)

    def resume(
        self, tokens: jax.Array, state: DecodingState, taps: Taps
    ) -> tuple[jax.Array, Records]:
        """Reads the rest of texts whose beginnings `start` has read, under taps.

        What taps change in the rest changes nothing in the beginnings, so that those need be read
        once for many changes. A text's tokens may not see those after it: the result is what
        `__call__` gives at these places.

        Args:
            tokens: int32 [batch, length]: the last token that `start` was given, and those after
                it. What fills up rows is seen by no token before it.
            state: From `start`, of one continuation per prompt.
            taps: What to record and to patch; positions count from the first of `tokens`.

        Returns:
            The normalised output [batch, length, emb], of which `logits` makes what follows, and
            the records.
        """
        x, records, _ = self._go_on(tokens, jnp.int32(0), state, taps)
        return x, records

    def _go_on(
        self, tokens: jax.Array, index: jax.Array, state: DecodingState, taps: Taps | None
    ) -> tuple[jax.Array, Records, PerLayer[KVCache]]:
        """The normalised output at tokens after a state, records, and keys and values so far."""
        prompt, last = state.shared

        def after_prompt(own: KVCache, shared: KVCache) -> KVCache:
            return own.replace(prompt_key=shared.key, prompt_value=shared.value)

        cache = jax.tree.map(after_prompt, state.own, prompt, is_leaf=_is_cache)
        rows, length = tokens.shape
        last = jnp.repeat(last, rows // last.shape[0])
        offsets = index + jnp.arange(length)
        positions = last[:, None] + offsets
        own_length, prompt_length = (
            jax.tree.leaves(each)[0].shape[-2] for each in (state.own, prompt)
        )
        # A prompt's last token is the first that steps read, so its key is among their own.
        of_prompt = (jnp.arange(prompt_length) < last[:, None])[:, None, None, :]
        of_own = _causal(offsets, jnp.arange(own_length))
        shape = (rows, 1, length)
        mask = jnp.concatenate(
            [
                jnp.broadcast_to(of_prompt, (*shape, prompt_length)),
                jnp.broadcast_to(of_own, (*shape, own_length)),
            ],
            axis=-1,
        )
        x = self._embedded(tokens, positions)
        x, records, cache = self.decoder(x, positions, mask, taps, cache, index)
        own = jax.tree.map(
            lambda c: c.replace(prompt_key=None, prompt_value=None), cache, is_leaf=_is_cache
        )
        return x, records, own

    def tree(self, tokens: jax.Array, positions: jax.Array, seen: jax.Array) -> jax.Array:
        """The normalised output [batch, nodes, emb] at each node of trees of tokens.

        `logits` makes of it what follows a node, for those nodes where somebody asks. Texts that
        begin alike are one tree: a path down from its root is a text, and what they share is read
        once. A row may hold several trees.

        Args:
            tokens: int32 [batch, nodes], in any order.
            positions: int32 [batch, nodes], of each in its text.
            seen: bool [batch, nodes, nodes], which nodes (last axis) each one may see: itself and
                those before it on its path.
        """
        x = self._embedded(tokens, positions)
        x, _, _ = self.decoder(x, positions, seen[:, None], None, None, None)
        return x

    def _embedded(self, tokens: jax.Array, positions: jax.Array) -> jax.Array:
        """Tokens and positions [batch, length] to inputs of the layers [batch, length, emb]."""
        cfg = self.config
        x = self.token_embedder(jnp.maximum(tokens, 0))  # padding may be -1, which is no row
        if cfg.embedding_scale != 1.0:
            x = x * cfg.embedding_scale
        if cfg.positions == "learned":
            # Of padding alone may a position lie beyond the last row.
            x = x + self.position_embedder(jnp.minimum(positions, cfg.max_positions - 1))
        elif cfg.positions == "sinusoidal":
            x = x + sinusoids(positions, cfg.emb_dim).astype(x.dtype)
        return x

    def logits(self, x: jax.Array) -> jax.Array:
        """The decoder's normalised outputs [..., length, emb] to logits [..., length, vocab]."""
        tied = self.config.logits_via_embedding
        logits = self.token_embedder.attend(x) if tied else self.decoder.logits(x)
        logits = logits.astype(self.config.precision.accumulate)
        return constrain(logits, "batch", "length", "vocab")

    def _empty_cache(self, rows: int, length: int) -> PerLayer[KVCache]:
        cfg = self.config
        layers = layers_of(cfg, "decoder")
        shape = layers.array_shape((rows, cfg.kv_heads, length, cfg.head_dim))

        def empty(_: None) -> KVCache:
            zeros = jnp.zeros(shape, cfg.precision.compute)
            return KVCache(zeros, zeros)

        return layers.each(empty, layers.nothing())

    def _check_length(self, length: int) -> None:
        """Refuses what has no position; others than learned ones go on for ever."""
        if self.config.positions == "learned" and length > self.config.max_positions:
            raise UserError(
                f"the model has {self.config.max_positions} positions, and a text with its "
                f"continuation may take {length}; give shorter ones"
            )


def _causal(queries: jax.Array, keys: jax.Array) -> jax.Array:
    """Which keys may be seen, bool [1, 1, queries, keys], by their places."""
    return (keys[None, :] <= queries[:, None])[None, None]


def _is_cache(x: object) -> bool:
    return isinstance(x, KVCache)
