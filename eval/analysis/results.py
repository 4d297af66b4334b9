"""What an analysis of one predictions file holds; shares from 0 to 1, all intervals 95%."""

import dataclasses
import enum
import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from closedbook.errors import UserError
from closedbook.eval.analysis.audit import Disagreement, StopCost
from closedbook.eval.analysis.confidence import Reliability
from closedbook.eval.analysis.kinds import Kind
from closedbook.eval.analysis.slices import SliceScore
from closedbook.eval.analysis.summarized import Summarized
from closedbook.eval.analysis.taxonomy import FourWay
from closedbook.eval.equivalence.reasons import Grade
from closedbook.eval.equivalence.simpleqa import Shares
from closedbook.eval.intervals import UNKNOWN, Estimate
from closedbook.eval.predictions import Prediction

if TYPE_CHECKING:
    import pandas as pd


class Outcome(enum.StrEnum):
    """What a reader is told of a row."""

    CORRECT = "correct"
    PHRASING = "phrasing"
    INCOMPLETE = "incomplete?"  # a candidate; nobody has said so
    UNANSWERABLE = "unanswerable"
    WRONG = "wrong"


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgeUsed:
    """Which judge of equivalence was asked."""

    mode: str  # its name, as the command line has it
    threshold: float  # probability from which answers are equivalent
    weights: str | None  # their version


@dataclasses.dataclass(frozen=True, kw_only=True)
class Meta:
    """What was analysed, and with what."""

    source: str | None  # the file's name
    n: int  # rows
    n_questions: int  # distinct ones
    task: str | None  # of all rows; None where they differ
    split: str | None
    protocol: str  # the headline
    judge: JudgeUsed
    also: Sequence[str]  # names of the other systems whose predictions were at hand
    training_rows: int | None  # None without a training set
    closedbook: str  # version
    form: str | None = None  # what the file was taken for, in words
    notes: Mapping[str, int] = dataclasses.field(default_factory=dict)  # rows, by what is odd
    corrections: bool = False  # whether people's labels replace single verdicts


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProtocolScore:
    """All rows under one protocol."""

    protocol: str
    n: int
    em: Estimate
    f1: Estimate | None  # None where the protocol has none


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlagShare:
    """How many questions have one flag of answerability."""

    flag: str
    count: int  # rows
    share: float  # of all rows
    low: float  # of the share's 95% interval
    high: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Review:
    """A prediction that may be right though no gold answer says so."""

    id: str
    question: str
    answers: Sequence[str]
    prediction: str
    score: float  # 0 to 1, for ranking only: not a probability
    reasons: Sequence[str]  # in words, strongest first


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowScore:
    """One row under one protocol."""

    em: float  # 0 or 1
    f1: float | None  # 0 to 1; None where the protocol has none


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """One row and all that was found of it."""

    row: Prediction
    id: str  # the row's, or its number from 1
    scores: Mapping[str, RowScore]  # by protocol, the headline first
    correct: bool  # under the headline
    verdict: Outcome
    label: Kind | None  # what people said of it
    probability: float  # the judge's, that the prediction says the same as a gold answer
    grade: Grade  # the judge's: correct, incorrect or not attempted
    reason: str  # the judge's, a code of `closedbook.eval.equivalence.reasons.Reason`
    evidence: str  # the words that show it
    flag: str | None  # of answerability
    flag_reason: str  # with the words that show it; empty without a flag
    candidate: float  # score of the review; 0 where there is none
    slices: Mapping[str, str]  # the part to which the row belongs in each slice

    def as_dict(self) -> dict[str, Any]:
        """The row as examples.jsonl has it: its own keys, as they were read, and the findings."""
        found = {name: getattr(self, name) for name in _PLAIN}
        found["scores"] = {name: vars(score) for name, score in self.scores.items()}
        return self.row.as_dict() | found


_PLAIN = tuple(field.name for field in dataclasses.fields(Example) if field.name != "row")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Analysis(Summarized):
    """The analysis of one predictions file."""

    meta: Meta
    protocols: Sequence[ProtocolScore]  # the headline first
    disagreements: Sequence[Disagreement]
    audit: Sequence[StopCost]
    taxonomy: FourWay
    grades: Shares  # SimpleQA's, by the judge
    answerability: Sequence[FlagShare]  # the most frequent first
    slices: Sequence[SliceScore]
    confidence: Reliability | None  # None where the rows state none
    candidates: Sequence[Review]  # the likeliest first
    examples: Sequence[Example]  # one per row

    def __repr__(self) -> str:
        """The headline in one line; the examples are too many to show."""
        wrong = ", ".join(f"{row.count:,} {row.name}" for row in self.taxonomy.rows if row.asserted)
        source = f" of {self.meta.source}" if self.meta.source else ""
        return (
            f"<Analysis{source}: exact match {_percent(self.taxonomy.em)} ({self.meta.protocol}, "
            f"n {self.meta.n:,}), adjusted {_percent(self.taxonomy.adjusted)}; wrong: {wrong}>"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        rows = [
            (f"exact match ({self.meta.protocol})", _percent(self.taxonomy.em)),
            ("adjusted", _percent(self.taxonomy.adjusted)),
            *((row.name, f"{row.count:,}") for row in self.taxonomy.rows if row.asserted),
            ("to review", f"{len(self.candidates):,}"),
        ]
        cells = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
            for name, value in rows
        )
        title = html.escape(self.meta.source or "Predictions")
        return f"<table><caption>{title}, n {self.meta.n:,}</caption>{cells}</table>"

    def to_pandas(self) -> "pd.DataFrame":
        """A row per example: its own keys and all that was found of it.

        Raises:
            UserError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise UserError("to_pandas needs pandas: pip install pandas") from error
        return pd.DataFrame([example.as_dict() for example in self.examples])


def _percent(value: Estimate) -> str:
    if value == UNKNOWN:
        return "not known"
    return f"{100 * value.mean:.1f}% [{100 * value.low:.1f}, {100 * value.high:.1f}]"
