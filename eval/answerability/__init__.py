"""Which questions nobody could answer as they stand."""

from closedbook.eval.answerability.assessment import FLAGS, Answerability, assess, assess_all

__all__ = ["FLAGS", "Answerability", "assess", "assess_all"]
