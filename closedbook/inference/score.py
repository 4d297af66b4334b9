"""Log-probabilities of given answers, by teacher forcing."""

from typing import Any

import jax
import jax.numpy as jnp

from closedbook.models import T5, T5Config


def score(
    config: T5Config,
    params: Any,
    encoder_input_tokens: jax.Array,
    target_tokens: jax.Array,
    weights: jax.Array | None = None,
) -> jax.Array:
    """Sums of the log-probabilities of targets.

    Args:
        config: The model's.
        params: The model's parameters, without metadata boxes.
        encoder_input_tokens: int32 [batch, inputs].
        target_tokens: int32 [batch, length], EOS included where it counts, 0 after it.
        weights: Of each target token, [batch, length]; if None 1 up to the last token other than
            padding, 0 after it.

    Returns:
        float32 [batch].
    """
    if weights is not None:
        weights = weights[:, None]
    candidates = target_tokens[:, None]
    return score_candidates(config, params, encoder_input_tokens, candidates, weights)[:, 0]


def score_candidates(
    config: T5Config,
    params: Any,
    encoder_input_tokens: jax.Array,
    candidates: jax.Array,
    weights: jax.Array | None = None,
) -> jax.Array:
    """Sums of the log-probabilities of several answers to each input, which is encoded once.

    Args:
        config: The model's.
        params: The model's parameters, without metadata boxes.
        encoder_input_tokens: int32 [batch, inputs].
        candidates: int32 [batch, candidates, length], EOS included where it counts.
        weights: Of each token, like `candidates`; if None 1 up to the last token other than
            padding, 0 after it. An empty candidate has 0.

    Returns:
        float32 [batch, candidates].
    """
    if weights is None:
        # Padding may stand inside what a model has decoded, and there it counts.
        weights = jnp.flip(jnp.cumsum(jnp.flip(candidates > 0, -1), -1), -1) > 0
    model, variables = T5(config), {"params": params}
    encoded, _ = model.apply(variables, encoder_input_tokens, method="encode")
    targets = candidates.reshape(-1, candidates.shape[-1])
    shifted = jnp.pad(targets[:, :-1], ((0, 0), (1, 0)))
    logits, _ = model.apply(variables, encoded, encoder_input_tokens, shifted, method="decode")
    chosen = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    log_probs = chosen - jax.nn.logsumexp(logits, axis=-1)
    return jnp.where(weights != 0, log_probs.reshape(candidates.shape) * weights, 0.0).sum(-1)
