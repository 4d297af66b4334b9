"""Beam search by the rules of T5X, or by those of Hugging Face's transformers."""

import math

import jax
import jax.numpy as jnp
from flax import struct

from closedbook.inference.protocol import Decoder, start, step
from closedbook.inference.steps import (
    Decoded,
    brevity_penalty,
    is_filler,
    top_k,
)
from closedbook.models.decoding import Packing
from closedbook.models.parameters import Params


class _Beams(struct.PyTreeNode):
    """Hypotheses after `index` tokens: those that go on and the best finished ones.

    Sequences are [batch, beams, length], `done` is [batch], the rest [batch, beams], best first. A
    place that nothing has taken yet has log-probability and score -inf.
    """

    index: jax.Array
    done: jax.Array
    live: jax.Array
    live_log_probs: jax.Array
    finished: jax.Array
    finished_log_probs: jax.Array
    finished_scores: jax.Array


def beam_search(
    module: Decoder,
    params: Params,
    inputs: jax.Array,
    *,
    max_decode_length: int,
    num_beams: int = 1,
    alpha: float = 0.6,
    rules: str = "t5x",
    leave: jax.Array | int = 0,
    packing: Packing | None = None,
) -> Decoded:
    """Beam search as T5X does it (t5x/decoding.py, after Wu et al. 2016).

    Each step takes the 2 * num_beams most probable continuations, so that num_beams of them go on
    even if the others all end. Those that end are ranked by log-probability divided by
    ((5 + length) / 6) ** alpha and the best num_beams are kept. An example is done when nothing
    that goes on can still beat its worst kept one. Where no hypothesis has ended within
    `max_decode_length`, those that went on are returned.

    The rules "huggingface" are those of transformers' generate() as it is without other settings
    (early_stopping=False). They differ in four points: an end counts only among the num_beams most
    probable continuations; what reaches `max_decode_length` counts as ended; scores are divided by
    length ** alpha; and an example is done when the best that goes on, were it to end at its
    present length, does not beat the worst kept one, though longer ones might.

    Args:
        module: The network.
        params: Its parameters, without metadata boxes.
        inputs: int32 [batch, length]; rows of padding alone finish at once.
        max_decode_length: Tokens of an answer, EOS included.
        num_beams: Hypotheses kept and returned.
        alpha: Exponent of the penalty of short answers; 0 for plain log-probabilities.
        rules: "t5x" or "huggingface".
        leave: The search ends as soon as no more than so many inputs need it longer, an int32
            scalar; `Decoded.done` says which were left.
        packing: How inputs share rows of the encoder.
    """
    batch, beams, length = inputs.shape[0], num_beams, max_decode_length
    pad_id = module.pad_id
    filler = is_filler(inputs, pad_id)
    empty = jnp.full((batch, beams), -jnp.inf)
    hypotheses = _Beams(
        index=jnp.int32(0),
        done=filler,
        live=jnp.full((batch, beams, length), pad_id, jnp.int32),
        # All beams begin alike; only the first counts, or they would stay alike.
        live_log_probs=empty.at[:, 0].set(0.0),
        finished=jnp.full((batch, beams, length), pad_id, jnp.int32),
        finished_log_probs=empty,
        finished_scores=empty,
    )
    first, state = start(module, params, inputs, beams, length, packing)

    def goes_on(carry: tuple) -> jax.Array:
        hypotheses, _ = carry
        return (hypotheses.index < length) & ((~hypotheses.done).sum() > leave)

    def body(carry: tuple) -> tuple:
        hypotheses, state = carry
        index = hypotheses.index
        before = jnp.maximum(index - 1, 0)
        last = jax.lax.dynamic_index_in_dim(hypotheses.live, before, axis=2, keepdims=False)
        tokens = jnp.where(index == 0, first, last.reshape(batch * beams))
        logits, state = step(module, params, tokens[:, None], index, state)
        logits = logits.reshape(batch, beams, -1)
        hypotheses, parents = _advance(
            hypotheses, logits, beams, alpha, rules, module.eos_id, pad_id
        )
        return hypotheses, state.continued(parents)

    found, _ = jax.lax.while_loop(goes_on, body, (hypotheses, state))
    ended = (found.finished_scores[:, 0] > -jnp.inf)[:, None]
    live_scores = found.live_log_probs / _penalty(rules, alpha, length)
    tokens = jnp.where(ended[..., None], found.finished, found.live)
    log_probs = jnp.where(ended, found.finished_log_probs, found.live_log_probs)
    scores = jnp.where(ended, found.finished_scores, live_scores)
    keep = ~filler[:, None]
    return Decoded(
        jnp.where(keep[..., None], tokens, pad_id),
        jnp.where(keep, log_probs, 0.0),
        jnp.where(keep, scores, 0.0),
        done=found.done | (found.index == length),
    )


def log_possible(module: Decoder, max_decode_length: int) -> float:
    """The natural logarithm of the number of answers that a network could give.

    An answer is a sequence of tokens that ends, or that has reached the longest length: with b
    tokens that do not end it, and the length L, there are b^0 + b^1 + ... + b^L.

    Args:
        module: The network.
        max_decode_length: Tokens of an answer, EOS included.
    """
    if not 0 <= module.eos_id < module.vocab_size:  # nothing ends an answer
        return max_decode_length * math.log(module.vocab_size)
    others = module.vocab_size - 1
    if others < 2:
        return math.log(max_decode_length + 1) if others else 0.0
    # (b^(L + 1) - 1) / (b - 1)
    longest = (max_decode_length + 1) * math.log(others)
    return longest + math.log(-math.expm1(-longest)) - math.log(others - 1)


def _penalty(rules: str, alpha: float, length: jax.Array | int) -> jax.Array:
    """By what log-probabilities of so many tokens are divided."""
    if rules == "huggingface":
        return jnp.power(jnp.asarray(length, jnp.float32), alpha)
    return brevity_penalty(alpha, length)


def _advance(
    state: _Beams,
    logits: jax.Array,
    beams: int,
    alpha: float,
    rules: str,
    eos_id: int,
    pad_id: int,
) -> tuple[_Beams, jax.Array]:
    """Adds one token to the hypotheses.

    Args:
        state: Hypotheses so far.
        logits: Of the next token, [batch, hypotheses, vocab].
        beams: How many to keep.
        alpha: Exponent of the penalty of short answers.
        rules: "t5x" or "huggingface".
        eos_id, pad_id: Ends hypotheses; fills places without one.

    Returns:
        The new hypotheses, and for each that goes on the beam that it continues, [batch, beams].
    """
    batch, _, vocab = logits.shape
    # The best 2 * beams of all lie among the best 2 * beams of each.
    each = min(2 * beams, vocab)
    values, tokens = top_k(logits, each)
    log_probs = values - jax.nn.logsumexp(logits, axis=-1, keepdims=True)
    log_probs = (log_probs + state.live_log_probs[..., None]).reshape(batch, -1)
    lacking = max(0, 2 * beams - log_probs.shape[1])
    log_probs = jnp.pad(log_probs, ((0, 0), (0, lacking)), constant_values=-jnp.inf)
    log_probs, places = jax.lax.top_k(log_probs, 2 * beams)
    places = jnp.minimum(places, tokens.shape[1] * each - 1)
    parents = places // each
    tokens = jnp.take_along_axis(tokens.reshape(batch, -1), places, axis=1)
    longer = _pick(state.live, parents)
    longer = jax.lax.dynamic_update_slice(longer, tokens[..., None], (0, 0, state.index))
    ends = tokens == eos_id

    live_log_probs, onward = jax.lax.top_k(jnp.where(ends, -jnp.inf, log_probs), beams)
    index, limit = state.index + 1, longer.shape[-1]
    kept_anew = ends
    if rules == "huggingface":
        among_first = jnp.arange(2 * beams) < beams
        kept_anew = (ends | (index == limit)) & among_first & ~state.done[:, None]
    scores = jnp.where(kept_anew, log_probs / _penalty(rules, alpha, index), -jnp.inf)
    scores = jnp.concatenate([state.finished_scores, scores], axis=1)
    finished_scores, kept = jax.lax.top_k(scores, beams)
    finished = jnp.concatenate([state.finished, longer], axis=1)
    finished_log_probs = jnp.concatenate([state.finished_log_probs, log_probs], axis=1)
    finished_log_probs = _pick(finished_log_probs, kept)
    taken = finished_scores > -jnp.inf
    if rules == "huggingface":
        hope = live_log_probs[:, 0] / _penalty(rules, alpha, index)
        done = taken[:, -1] & (finished_scores[:, -1] >= hope)
    else:
        # Log-probabilities only fall, so the longest answer's penalty bounds what can come.
        done = finished_scores[:, -1] > live_log_probs[:, 0] / _penalty(rules, alpha, limit)
    state = _Beams(
        index=index,
        done=state.done | done,
        live=_pick(longer, onward),
        live_log_probs=live_log_probs,
        finished=jnp.where(taken[..., None], _pick(finished, kept), pad_id),
        finished_log_probs=jnp.where(taken, finished_log_probs, -jnp.inf),
        finished_scores=finished_scores,
    )
    return state, _pick(parents, onward)


def _pick(x: jax.Array, beams: jax.Array) -> jax.Array:
    """Hypotheses `beams` [batch, n] of `x` [batch, beams, ...]."""
    return jax.vmap(lambda row, index: row[index])(x, beams)
