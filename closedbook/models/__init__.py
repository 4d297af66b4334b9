"""Models and their taps. T5 is the one family so far."""

from closedbook.models.decoding import DecodingState
from closedbook.models.families import abstract_parameters, network
from closedbook.models.parameters import unboxed
from closedbook.models.sites import sites
from closedbook.models.t5.config import T5Config
from closedbook.models.t5.network import T5
from closedbook.models.t5.sizes import SIZES, flops_per_step, parameter_count, size
from closedbook.models.taps import Patch, Taps

__all__ = [
    "SIZES",
    "T5",
    "DecodingState",
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
