"""Models that go on with a text: GPT-2, the Llama block, plain transformer language models."""

from closedbook.models.decoder_only.config import DecoderOnlyConfig
from closedbook.models.decoder_only.network import DecoderOnly
from closedbook.models.decoder_only.sizes import (
    SIZES,
    flops_per_step,
    parameter_count,
    parameter_shapes,
    size,
)

__all__ = [
    "SIZES",
    "DecoderOnly",
    "DecoderOnlyConfig",
    "flops_per_step",
    "parameter_count",
    "parameter_shapes",
    "size",
]
