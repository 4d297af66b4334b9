"""T5 1.0 and 1.1: configuration, published sizes, network."""

from closedbook.models.t5.config import T5Config
from closedbook.models.t5.network import T5
from closedbook.models.t5.sizes import SIZES, flops_per_step, parameter_count, size

__all__ = ["SIZES", "T5", "T5Config", "flops_per_step", "parameter_count", "size"]
