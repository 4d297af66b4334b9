"""One function for all ways of decoding."""

import jax

from closedbook.inference.greedy import greedy
from closedbook.inference.protocol import Decoder
from closedbook.inference.sampling import sample
from closedbook.inference.search import beam_search
from closedbook.inference.settings import DecodeSettings
from closedbook.inference.steps import Decoded
from closedbook.models.decoding import Packing
from closedbook.models.parameters import Params


def decode(
    module: Decoder,
    settings: DecodeSettings,
    params: Params,
    inputs: jax.Array,
    rows: jax.Array | None = None,
    leave: jax.Array | int = 0,
    packing: Packing | None = None,
) -> Decoded:
    """Decodes a batch as `settings` says; jit it with module and settings static.

    Args:
        module: The network.
        settings: The method and its settings.
        params: The network's parameters, without metadata boxes.
        inputs: int32 [batch, length]; rows of padding alone only fill the batch.
        rows: Numbers of the inputs [batch], on which the samples depend; 0, 1, ... if None.
        leave: Of a beam search: see `beam_search`.
        packing: How inputs share rows of the encoder: less work, and the same answers.
    """
    length, alpha = settings.max_decode_length, settings.alpha
    if settings.method == "greedy":
        return greedy(
            module, params, inputs, max_decode_length=length, alpha=alpha, packing=packing
        )
    if settings.method == "beam":
        return beam_search(
            module,
            params,
            inputs,
            max_decode_length=length,
            num_beams=settings.num_beams,
            alpha=alpha,
            rules=settings.beam_rules,
            leave=leave,
            packing=packing,
        )
    return sample(
        module,
        params,
        inputs,
        jax.random.key(settings.seed),
        max_decode_length=length,
        num_samples=settings.num_samples,
        temperature=settings.temperature,
        top_k=settings.top_k,
        top_p=settings.top_p,
        alpha=alpha,
        rows=rows,
        packing=packing,
    )
