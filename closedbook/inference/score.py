"""Log-probabilities of given answers, by teacher forcing."""

import jax
import jax.numpy as jnp

from closedbook.inference.protocol import Decoder, start, step
from closedbook.models.parameters import Params


def score_candidates(
    module: Decoder,
    params: Params,
    inputs: jax.Array,
    candidates: jax.Array,
    weights: jax.Array | None = None,
) -> jax.Array:
    """Sums of the log-probabilities of several answers to each input, which is encoded once.

    Args:
        module: The network.
        params: Its parameters, without metadata boxes.
        inputs: int32 [batch, length].
        candidates: int32 [batch, candidates, length], EOS included where it counts.
        weights: Of each token, like `candidates`; if None 1 up to the last token other than
            padding, 0 after it. An empty candidate has 0.

    Returns:
        float32 [batch, candidates].
    """
    if weights is None:
        # Padding may stand inside what a model has decoded, and there it counts.
        told = candidates != module.pad_id
        weights = jnp.flip(jnp.cumsum(jnp.flip(told, -1), -1), -1) > 0
    _, number, length = candidates.shape
    targets = candidates.reshape(-1, length)
    first, state = start(module, params, inputs, number, length)
    given = jnp.concatenate([first[:, None], targets[:, :-1]], axis=1)
    logits, _ = step(module, params, given, jnp.int32(0), state)
    chosen = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    log_probs = chosen - jax.nn.logsumexp(logits, axis=-1)
    return jnp.where(weights != 0, log_probs.reshape(candidates.shape) * weights, 0.0).sum(-1)
