"""Greedy decoding: the most probable token at each step."""

from typing import Any

import jax

from closedbook.inference.steps import Decoded, argmax, brevity_penalty, lengths, roll_out
from closedbook.models import T5Config


def greedy(
    config: T5Config,
    params: Any,
    encoder_input_tokens: jax.Array,
    *,
    max_decode_length: int,
    alpha: float = 0.6,
) -> Decoded:
    """The most probable token at each step, until EOS or `max_decode_length`.

    Args:
        config: The model's.
        params: The model's parameters, without metadata boxes.
        encoder_input_tokens: [batch, inputs]; rows of padding alone finish at once.
        max_decode_length: Tokens of an answer, EOS included.
        alpha: Exponent of the brevity penalty of the reported scores.

    Returns:
        One hypothesis an input; beams is 1.
    """
    tokens, log_probs = roll_out(
        config,
        params,
        encoder_input_tokens,
        max_decode_length=max_decode_length,
        copies=1,
        choose=lambda logits, index: argmax(logits),
    )
    return Decoded(tokens, log_probs, log_probs / brevity_penalty(alpha, lengths(tokens)))
