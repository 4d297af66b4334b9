"""One function for all ways of decoding."""

from typing import Any

import jax

from closedbook.inference.greedy import greedy
from closedbook.inference.sampling import sample
from closedbook.inference.search import beam_search
from closedbook.inference.settings import DecodeSettings
from closedbook.inference.steps import Decoded
from closedbook.models import T5Config


def decode(
    config: T5Config,
    settings: DecodeSettings,
    params: Any,
    encoder_input_tokens: jax.Array,
    rows: jax.Array | None = None,
) -> Decoded:
    """Decodes a batch as `settings` says; jit it with config and settings static.

    Args:
        config: The model's.
        settings: The method and its settings.
        params: The model's parameters, without metadata boxes.
        encoder_input_tokens: int32 [batch, inputs]; rows of padding alone only fill the batch.
        rows: Numbers of the inputs [batch], on which the samples depend; 0, 1, ... if None.
    """
    length, alpha = settings.max_decode_length, settings.alpha
    if settings.method == "greedy":
        return greedy(config, params, encoder_input_tokens, max_decode_length=length, alpha=alpha)
    if settings.method == "beam":
        return beam_search(
            config,
            params,
            encoder_input_tokens,
            max_decode_length=length,
            num_beams=settings.num_beams,
            alpha=alpha,
            rules=settings.beam_rules,
        )
    return sample(
        config,
        params,
        encoder_input_tokens,
        jax.random.key(settings.seed),
        max_decode_length=length,
        num_samples=settings.num_samples,
        temperature=settings.temperature,
        top_k=settings.top_k,
        top_p=settings.top_p,
        alpha=alpha,
        rows=rows,
    )
