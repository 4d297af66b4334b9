"""Meshes, logical-axis rules and the start of many processes."""

from closedbook.parallel.mesh import Partitioner
from closedbook.parallel.rules import standard_logical_axis_rules

__all__ = ["Partitioner", "standard_logical_axis_rules"]
