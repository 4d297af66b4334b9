"""Facts to ask about, trace and rewrite: many data sets, one form (`Fact`, `Facts`)."""

from closedbook.tasks.facts.form import Fact, Facts, Neighbour, Relation
from closedbook.tasks.facts.recognise import read_facts, recognise

__all__ = ["Fact", "Facts", "Neighbour", "Relation", "read_facts", "recognise"]
