"""What answers without the model: frequency, chance, extracted triples, retrieved text."""

from closedbook.knowledge.probing.baselines.columns import Baseline, of_triples
from closedbook.knowledge.probing.baselines.counting import (
    chance_precision,
    chance_reciprocal_rank,
    extracted,
    frequency,
)

__all__ = [
    "Baseline",
    "chance_precision",
    "chance_reciprocal_rank",
    "extracted",
    "frequency",
    "of_triples",
]
