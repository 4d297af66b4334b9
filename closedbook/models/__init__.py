"""The T5s: configurations, the network, taps."""

from closedbook.models.config import T5Config
from closedbook.models.parameters import unboxed
from closedbook.models.sizes import SIZES, flops_per_step, parameter_count, size
from closedbook.models.t5 import T5
from closedbook.models.taps import Patch, Taps, sites

__all__ = [
    "SIZES",
    "T5",
    "Patch",
    "T5Config",
    "Taps",
    "flops_per_step",
    "parameter_count",
    "sites",
    "size",
    "unboxed",
]
