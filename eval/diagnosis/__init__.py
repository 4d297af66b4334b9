"""Why one score is not another: what about files and rules explains it, and how much of it."""

from closedbook.eval.diagnosis.gaps import gap
from closedbook.eval.diagnosis.results import Cause, Diagnosis
from closedbook.eval.diagnosis.single import choices

__all__ = ["Cause", "Diagnosis", "choices", "gap"]
