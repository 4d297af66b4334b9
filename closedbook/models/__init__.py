"""Models of two families, T5 and decoder-only ones, and their taps."""

from closedbook.models.decoder_only import DecoderOnly, DecoderOnlyConfig
from closedbook.models.decoding import DecodingState
from closedbook.models.families import abstract_parameters, network, parameter_count
from closedbook.models.parameters import unboxed
from closedbook.models.sites import sites
from closedbook.models.t5.config import T5Config
from closedbook.models.t5.network import T5
from closedbook.models.t5.sizes import SIZES, flops_per_step, size
from closedbook.models.taps import Interchange, Patch, Taps

__all__ = [
    "SIZES",
    "T5",
    "DecoderOnly",
    "DecoderOnlyConfig",
    "DecodingState",
    "Interchange",
    "Patch",
    "T5Config",
    "Taps",
    "abstract_parameters",
    "flops_per_step",
    "network",
    "parameter_count",
    "sites",
    "size",
    "unboxed",
]
