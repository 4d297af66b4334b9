"""What a comparison of systems holds; shares and intervals from 0 to 1, intervals 95%."""

import dataclasses
from collections.abc import Mapping, Sequence

from closedbook.eval.analysis.summarized import Summarized
from closedbook.eval.intervals import Estimate


@dataclasses.dataclass(frozen=True, kw_only=True)
class Meta:
    """What was compared."""

    protocol: str  # the headline
    n: int  # questions that all systems answered
    n_questions: int  # distinct ones among them
    aligned_by: str  # "id" or "question"
    golds_differ: int  # questions whose gold answers are not the same in all files
    golds_differ_in: Sequence[str] = ()  # the first of these


@dataclasses.dataclass(frozen=True, kw_only=True)
class System:
    """One system's file."""

    name: str
    rows: int
    compared: int
    left_out: int  # rows whose question not all systems answered
    left_out_ids: Sequence[str]  # of the first of these
    answers_differ: int  # questions whose gold answers in this file are not those of all files
    em_own: float  # share that is right by its own file's answers


@dataclasses.dataclass(frozen=True, kw_only=True)
class SystemScore:
    """One system's scores under one protocol."""

    system: str
    em: Estimate
    f1: Estimate | None  # None where the protocol has none


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdjustedScore:
    """One system's score once the judge has looked at its errors, under the headline."""

    system: str
    adjusted: Estimate
    phrasing: int  # answers that the judge accepts and exact match does not
    doubts: Sequence[str]  # why it cannot be trusted, and its ends are bounds


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdjustedPair:
    """The difference of two systems' adjusted scores, first minus second."""

    systems: tuple[str, str]
    difference: Estimate  # the interval is that of drawing questions alone


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adjusted:
    """The adjusted scores of all systems, over the questions that are not flagged."""

    flagged: int  # questions that are left out, for all systems alike
    scores: Sequence[AdjustedScore]
    pairs: Sequence[AdjustedPair]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparedSlice:
    """All systems on one part of the questions."""

    slice: str
    value: str
    n: int
    em: Sequence[Estimate]  # per system
    adjusted: Sequence[Estimate]  # per system


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """Two systems under one protocol; counts are of questions that are right."""

    systems: tuple[str, str]
    both: int
    only_first: int
    only_second: int
    neither: int
    difference: Estimate  # of exact match, first minus second
    difference_f1: Estimate | None
    p: float  # McNemar's exact test
    detectable: float  # difference that would be found with power 0.8
    p_holm: float  # p with Holm's correction for all pairs of the protocol


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProtocolTable:
    """All systems and all pairs of them under one protocol."""

    protocol: str
    scores: Sequence[SystemScore]
    pairs: Sequence[Pair]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far two systems know the same, under the headline."""

    systems: tuple[str, str]
    agreement: float  # share of the questions that both or neither answers right
    kappa: float | None  # Cohen's; None where chance alone agrees on all


@dataclasses.dataclass(frozen=True, kw_only=True)
class SolvedBy:
    """How many questions a number of systems answers right, under the headline."""

    right: int  # systems
    count: int  # questions
    share: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparedExample:
    """One question with every system's answer."""

    id: str | int | None
    question: str
    answers: Sequence[str]  # of all files
    predictions: Mapping[str, str]  # by the system's name
    correct: Mapping[str, bool]  # under the headline
    accepted: Mapping[str, bool]  # the same, or the judge says that it is a gold answer
    slices: Mapping[str, str]  # the part to which the question belongs in each slice


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison(Summarized):
    """A comparison of two systems or more."""

    meta: Meta
    systems: Sequence[System]
    protocols: Sequence[ProtocolTable]  # the headline first
    adjusted: Adjusted
    slices: Sequence[ComparedSlice]
    agreement: Sequence[Agreement]  # per pair
    solved_by: Sequence[SolvedBy]  # none of the systems, one, ..., all of them
    examples: Sequence[ComparedExample]
