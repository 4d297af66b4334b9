"""What a diagnosis holds; scores are shares of exact match, from 0 to 1."""

import dataclasses
import enum
from collections.abc import Sequence

from closedbook.eval.analysis.summarized import Summarized


class Kind(enum.StrEnum):
    """What about files, predictions or rules changes a score."""

    QUESTIONS = "questions"  # other rows: another split, a sample, repeated questions
    GOLD = "gold answers"  # another version of the data set, or its first answers alone
    PREFIX = "prefix"  # words before every answer
    SUFFIX = "suffix"  # and after
    RUN_ON = "run-on text"  # the text goes on after the answer
    LAST = "answer at the end"  # the text goes on before it
    FORMAT = "format"  # the answer is wrapped in JSON
    TRUNCATION = "truncation"  # the answer is cut short
    STOP = "stop rule"  # of a harness
    PROTOCOL = "protocol"
    RULE = "comparison"  # letter case, the whole text
    SYSTEMS = "the systems"  # what is left


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cause:
    """One thing that changes a score, or a part of a gap between two."""

    kind: Kind
    points: float  # by which the score changes; of two files, the part of the gap
    score: float  # that follows; of two files, that of the file in which the cause is
    rows: int  # whose verdict changes
    text: str  # in words


@dataclasses.dataclass(frozen=True, kw_only=True)
class Side:
    """One file."""

    name: str
    rows: int
    questions: int  # distinct ones
    score: float
    splits: Sequence[str]  # that its rows name


@dataclasses.dataclass(frozen=True, kw_only=True)
class Diagnosis(Summarized):
    """What explains a score, or the gap between two."""

    protocol: str
    sides: Sequence[Side]  # one or two; of two, mine and theirs
    # The largest first. Of two files they add up to the second score less the first; of one file
    # each is a change by itself.
    causes: Sequence[Cause]
    notes: Sequence[str]  # what else to know

    @property
    def gap(self) -> float | None:
        """The second score less the first; None of one file."""
        return None if len(self.sides) < 2 else self.sides[1].score - self.sides[0].score
