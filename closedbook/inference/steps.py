"""What all ways of decoding share: the result, a step, the cache's beams, maxima."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from closedbook.models import T5, T5Config
from closedbook.models.attention import KVCache

EOS = 1
_CHUNK = 128  # tokens of the vocabulary whose maximum is taken at once


class Decoded(struct.PyTreeNode):
    """Answers to a batch of inputs, best first.

    Attributes:
        tokens: int32 [batch, beams, length]; 0 after EOS.
        log_probs: float32 [batch, beams]; the sum of the log-probabilities of the tokens, EOS
            included, under the model as it is (no temperature). -inf where a beam search has
            fewer finished hypotheses than beams.
        scores: float32 [batch, beams]; log_probs / brevity penalty, by which they are ranked.

    Rows without any input token (fillers of a batch) have tokens 0 and log_probs 0.
    """

    tokens: jax.Array
    log_probs: jax.Array
    scores: jax.Array


def brevity_penalty(alpha: float, length: Any) -> jax.Array:
    """((5 + length) / 6) ** alpha (Wu et al. 2016, equation 14); length counts EOS."""
    return jnp.power((5.0 + jnp.asarray(length, jnp.float32)) / 6.0, alpha)


def lengths(tokens: jax.Array) -> jax.Array:
    """Tokens up to and with EOS, all where there is none: [..., length] to [...]."""
    ended = tokens == EOS
    return jnp.where(ended.any(-1), jnp.argmax(ended, axis=-1) + 1, tokens.shape[-1])


def start(
    config: T5Config, params: Any, encoder_input_tokens: jax.Array, beams: int, length: int
) -> Any:
    """Encodes the inputs; returns the decoder cache for `beams` hypotheses of each."""
    model, variables = T5(config), {"params": params}
    encoded, _ = model.apply(variables, encoder_input_tokens, method="encode")
    return model.apply(variables, encoded, beams, length, method="start_decoding")


def next_step(
    config: T5Config,
    params: Any,
    tokens: jax.Array,
    index: jax.Array,
    cache: Any,
    encoder_input_tokens: jax.Array,
) -> tuple[jax.Array, Any]:
    """Logits [batch * beams, vocab] after `tokens` [batch * beams] at position `index`."""
    variables = {"params": params}
    logits, cache = T5(config).apply(
        variables, tokens[:, None], index, cache, encoder_input_tokens, method="decode_step"
    )
    return logits[:, 0], cache


def roll_out(
    config: T5Config,
    params: Any,
    encoder_input_tokens: jax.Array,
    *,
    max_decode_length: int,
    copies: int,
    choose: Callable[[jax.Array, jax.Array], jax.Array],
) -> tuple[jax.Array, jax.Array]:
    """Decodes until every row has ended; each choice of a token is final.

    Args:
        config: The model's.
        params: The model's parameters.
        encoder_input_tokens: [batch, inputs].
        max_decode_length: Tokens of an answer, EOS included.
        copies: Answers an input.
        choose: Takes logits [batch * copies, vocab] and the position, returns the tokens.

    Returns:
        Tokens [batch, copies, length] and their summed log-probabilities [batch, copies].
    """
    rows = encoder_input_tokens.shape[0] * copies

    def append(logits: jax.Array, done: jax.Array, written: tuple) -> tuple:
        index, tokens, log_probs = written
        token = choose(logits, index)
        gain = jnp.take_along_axis(logits, token[:, None], axis=-1)[:, 0]
        gain = gain - jax.nn.logsumexp(logits, axis=-1)
        token = jnp.where(done, 0, token)
        log_probs = log_probs + jnp.where(done, 0.0, gain)
        tokens = jax.lax.dynamic_update_slice(tokens, token[:, None], (0, index))
        return token, done | (token == EOS), (index + 1, tokens, log_probs)

    def goes_on(carry: tuple) -> jax.Array:
        _, done, (index, _, _), _ = carry
        return (index < max_decode_length) & ~done.all()

    def body(carry: tuple) -> tuple:
        token, done, written, cache = carry
        logits, cache = next_step(config, params, token, written[0], cache, encoder_input_tokens)
        return *append(logits, done, written), cache

    written = jnp.int32(0), jnp.zeros((rows, max_decode_length), jnp.int32), jnp.zeros(rows)
    filler = jnp.repeat(is_filler(encoder_input_tokens), copies)
    cache = start(config, params, encoder_input_tokens, copies, max_decode_length)
    carry = (jnp.zeros(rows, jnp.int32), filler, written, cache)
    _, _, (_, tokens, log_probs), _ = jax.lax.while_loop(goes_on, body, carry)
    return tokens.reshape(-1, copies, max_decode_length), log_probs.reshape(-1, copies)


def is_filler(encoder_input_tokens: jax.Array) -> jax.Array:
    """Rows [batch] that hold no input and only fill the batch."""
    return ~(encoder_input_tokens > 0).any(axis=-1)


def _map_own(cache: Any, function: Any) -> Any:
    """Applies a function to each layer's own keys and values, not to those of the inputs."""

    def change(layer: KVCache) -> KVCache:
        return layer.replace(key=function(layer.key), value=function(layer.value))

    return jax.tree.map(change, cache, is_leaf=lambda x: isinstance(x, KVCache))


def gather_cache(cache: Any, parents: jax.Array) -> Any:
    """Rows of the cache that continue: parents [batch, beams] are beams of the same example."""
    batch, beams = parents.shape
    if beams == 1:
        return cache

    def pick(x: jax.Array) -> jax.Array:
        if x.ndim == 5:
            return jax.vmap(pick)(x)
        # A gather within each example, so that a batch divided over devices stays in place.
        rows = x.reshape(batch, beams, *x.shape[1:])
        return jax.vmap(lambda row, parent: row[parent])(rows, parents).reshape(x.shape)

    return _map_own(cache, pick)


def argmax(x: jax.Array) -> jax.Array:
    """First index of the maximum over the last axis.

    Through `top_k`: 3.6 times faster than XLA's own argmax over a vocabulary on a CPU, and 3.2
    times faster than a minimum over the indices where the maximum stands.
    """
    return top_k(x, 1)[1][..., 0]


def top_k(x: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    """The k largest values over the last axis, descending, and their indices.

    They lie in the k chunks with the largest maxima, so one fast pass over the vocabulary finds
    the chunks and only those are sorted. Equal to `jax.lax.top_k`, ties included.
    """
    size = x.shape[-1]
    chunks = -(-size // _CHUNK)
    if chunks < 2 * k:
        return jax.lax.top_k(x, k)
    padding = [(0, 0)] * (x.ndim - 1) + [(0, chunks * _CHUNK - size)]
    x = jnp.pad(x, padding, constant_values=-jnp.inf).reshape(*x.shape[:-1], chunks, _CHUNK)
    _, found = jax.lax.top_k(x.max(axis=-1), k)
    found = jnp.sort(found, axis=-1)  # so that among equal values the first index wins
    near = jnp.take_along_axis(x, found[..., None], axis=-2)
    values, local = jax.lax.top_k(near.reshape(*near.shape[:-2], k * _CHUNK), k)
    chunk = jnp.take_along_axis(found, local // _CHUNK, axis=-1)
    return values, chunk * _CHUNK + local % _CHUNK
