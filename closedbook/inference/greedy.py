"""Greedy decoding: the most probable token at each step."""

import jax

from closedbook.inference.protocol import Decoder
from closedbook.inference.steps import Decoded, argmax, brevity_penalty, lengths, roll_out
from closedbook.models.decoding import Packing
from closedbook.models.parameters import Params


def greedy(
    module: Decoder,
    params: Params,
    inputs: jax.Array,
    *,
    max_decode_length: int,
    alpha: float = 0.6,
    packing: Packing | None = None,
) -> Decoded:
    """The most probable token at each step, until EOS or `max_decode_length`.

    Args:
        module: The network.
        params: Its parameters, without metadata boxes.
        inputs: int32 [batch, length]; rows of padding alone finish at once.
        max_decode_length: Tokens of an answer, EOS included.
        alpha: Exponent of the brevity penalty of the reported scores.
        packing: How inputs share rows of the encoder.

    Returns:
        One hypothesis per input; beams is 1.
    """
    tokens, log_probs = roll_out(
        module,
        params,
        inputs,
        max_decode_length=max_decode_length,
        copies=1,
        choose=lambda logits, index: argmax(logits),
        packing=packing,
    )
    return Decoded(
        tokens, log_probs, log_probs / brevity_penalty(alpha, lengths(tokens, module.eos_id))
    )
