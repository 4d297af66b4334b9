"""Whether two answers say the same: the judge, its rivals, and how it learns."""

from closedbook.eval.equivalence.verdicts import Verdict, judge, judge_all

__all__ = ["Verdict", "judge", "judge_all"]
