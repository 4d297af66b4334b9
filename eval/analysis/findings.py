"""What is found of each row by itself, so that parts of a file can be worked on side by side."""

import dataclasses
from collections.abc import Mapping, Sequence

from closedbook.eval import metrics
from closedbook.eval.analysis import audit, scoring, slices
from closedbook.eval.analysis.audit import Cut, Differs
from closedbook.eval.answerability import assessment
from closedbook.eval.answerability.assessment import Answerability
from closedbook.eval.equivalence import judges
from closedbook.eval.equivalence.verdicts import Verdict
from closedbook.eval.predictions import Prediction


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be found."""

    protocols: tuple[str, ...]  # that compare strings, the headline first where it is one
    judge: judges.Judge
    threshold: float | None  # None: the judge's own


@dataclasses.dataclass(kw_only=True)
class Findings:
    """Columns with one entry per row."""

    scores: dict[str, list[metrics.Score]]  # by protocol
    differs: list[tuple[Differs, ...]]
    cuts: list[tuple[Cut, ...]]
    verdicts: list[Verdict]
    flags: list[Answerability]
    parts: list[Mapping[str, str]]  # of slices

    def add(self, other: "Findings") -> None:
        """Puts the rows of another part behind these."""
        for name, column in self.scores.items():
            column += other.scores[name]
        for field in dataclasses.fields(self)[1:]:
            getattr(self, field.name).extend(getattr(other, field.name))

    def right(self) -> dict[str, list[bool]]:
        """Per protocol what is right, row by row."""
        return {name: [one.em == 100 for one in column] for name, column in self.scores.items()}


def empty(asked: Asked) -> Findings:
    """Of no rows."""
    return Findings(
        scores={name: [] for name in asked.protocols},
        **{name: [] for name in ("differs", "cuts", "verdicts", "flags", "parts")},
    )


def of_rows(rows: Sequence[Prediction], asked: Asked) -> Findings:
    """All that is found of rows without looking at others."""
    scores = {name: scoring.scored(rows, name) for name in asked.protocols}
    by_row = list(zip(*scores.values(), strict=True))
    right = [[score.em == 100 for score in row] for row in by_row]
    return Findings(
        scores=scores,
        differs=[
            audit.differs(row, dict(zip(scores, told, strict=True)))
            for row, told in zip(rows, right, strict=True)
        ],
        cuts=[
            audit.cuts(row, told[0], asked.protocols[0])
            for row, told in zip(rows, right, strict=True)
        ],
        verdicts=_judged(rows, asked),
        flags=assessment.assess_all(rows),
        parts=[slices.of_text(row) for row in rows],
    )


def _judged(rows: Sequence[Prediction], asked: Asked) -> list[Verdict]:
    found = asked.judge.judge_all(rows)
    if asked.threshold is None:
        return found
    least = asked.threshold
    return [dataclasses.replace(each, equivalent=each.probability >= least) for each in found]
