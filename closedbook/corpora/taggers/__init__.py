"""Taggers: what marks the salient spans of a sentence."""

from closedbook.corpora.taggers.base import CharSpan, Tagger
from closedbook.corpora.taggers.loading import load

__all__ = ["CharSpan", "Tagger", "load"]
