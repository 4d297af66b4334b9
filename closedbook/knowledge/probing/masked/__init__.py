"""Masked language models (BERT, RoBERTa, ...) asked for facts, as LAMA first did."""

from closedbook.knowledge.probing.masked.loading import is_masked, load
from closedbook.knowledge.probing.masked.prompting import MaskedPrompting
from closedbook.knowledge.probing.masked.scoring import MaskedAnswers, MaskedScorer

__all__ = ["MaskedAnswers", "MaskedPrompting", "MaskedScorer", "is_masked", "load"]
