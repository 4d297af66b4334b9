"""Meshes, logical-axis rules, what many processes tell each other, what a device can do."""

from closedbook.parallel.mesh import Partitioner
from closedbook.parallel.rules import standard_logical_axis_rules

__all__ = ["Partitioner", "standard_logical_axis_rules"]
