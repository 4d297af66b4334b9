"""Sampling answers: temperature, top-k, top-p."""

import jax
import jax.numpy as jnp

from closedbook.inference import steps
from closedbook.inference.protocol import Decoder
from closedbook.inference.steps import Decoded, argmax, brevity_penalty, lengths, roll_out
from closedbook.models.decoding import Packing
from closedbook.models.parameters import Params


def sample(
    module: Decoder,
    params: Params,
    inputs: jax.Array,
    key: jax.Array,
    *,
    max_decode_length: int,
    num_samples: int = 1,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    alpha: float = 0.6,
    rows: jax.Array | None = None,
    packing: Packing | None = None,
) -> Decoded:
    """Draws answers from the model's distribution.

    Args:
        module: The network.
        params: Its parameters, without metadata boxes.
        inputs: int32 [batch, length]; rows of padding alone finish at once.
        key: Random key.
        max_decode_length: Tokens of an answer, EOS included.
        num_samples: Answers per input.
        temperature: Divides the logits.
        top_k: Only so many most probable tokens are drawn; 0 for all.
        top_p: Only the fewest most probable tokens that together have at least this probability
            (Holtzman et al. 2020, section 3.1), after `top_k`.
        alpha: Exponent of the brevity penalty of the scores.
        rows: Number of each input [batch], 0, 1, ... if None. Its samples depend on the key and
            its number alone, not on its place or on the other rows of the batch.
        packing: How inputs share rows of the encoder.

    Returns:
        `num_samples` hypotheses per input, best score first, repeats included. Log-probabilities
        are the model's own, without temperature, top-k or top-p.
    """
    batch = inputs.shape[0]
    rows = jnp.arange(batch) if rows is None else rows
    fold_in = jax.vmap(jax.random.fold_in, (None, 0))
    of_input = fold_in(key, rows)
    numbers = jnp.arange(num_samples)
    keys = jax.vmap(fold_in, (0, None))(of_input, numbers).reshape(batch * num_samples)

    def choose(logits: jax.Array, index: jax.Array) -> jax.Array:
        now = jax.vmap(jax.random.fold_in, (0, None))(keys, index)
        return draw(logits, now, temperature=temperature, top_k=top_k, top_p=top_p)

    tokens, log_probs = roll_out(
        module,
        params,
        inputs,
        max_decode_length=max_decode_length,
        copies=num_samples,
        choose=choose,
        packing=packing,
    )
    scores = log_probs / brevity_penalty(alpha, lengths(tokens, module.eos_id))
    order = jnp.argsort(scores, axis=1, descending=True, stable=True)
    ranked = (jnp.take_along_axis(x, order, axis=1) for x in (log_probs, scores))
    return Decoded(jnp.take_along_axis(tokens, order[..., None], axis=1), *ranked)


def draw(
    logits: jax.Array, keys: jax.Array, *, temperature: float, top_k: int, top_p: float
) -> jax.Array:
    """One token per row: logits [rows, vocab] and keys [rows] to int32 [rows]."""
    logits, tokens = logits / temperature, None
    if 0 < top_k < logits.shape[-1]:
        logits, tokens = steps.top_k(logits, top_k)
    if top_p < 1.0:
        logits = _nucleus(logits, top_p)
    noise = jax.vmap(lambda k: jax.random.gumbel(k, logits.shape[1:]))(keys)
    place = argmax(logits + noise)
    if tokens is None:
        return place
    return jnp.take_along_axis(tokens, place[:, None], axis=-1)[:, 0]


def _nucleus(logits: jax.Array, top_p: float) -> jax.Array:
    """Logits [rows, n] with -inf outside the fewest tokens that have probability `top_p`.

    Finds the probability of the last one by bisection over float32's bit patterns, which order
    as positive numbers do: exact in 31 passes, where sorting a vocabulary is far slower.
    """
    probs = jax.nn.softmax(logits, axis=-1)
    bits = jax.lax.bitcast_convert_type(probs, jnp.int32)

    def halve(_: int, bounds: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = bounds
        middle = low + (high - low) // 2
        enough = jnp.where(bits >= middle, probs, 0.0).sum(axis=-1, keepdims=True) >= top_p
        return jnp.where(enough, middle, low), jnp.where(enough, high, middle)

    # At `low` the tokens have enough together, at `high` not.
    low = jnp.zeros((*logits.shape[:-1], 1), jnp.int32)
    high = bits.max(axis=-1, keepdims=True) + 1
    low, _ = jax.lax.fori_loop(0, 31, halve, (low, high))
    return jnp.where(bits >= low, logits, -jnp.inf)
