"""An analysis made up for the reports' tests."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from closedbook.eval.analysis.audit import Disagreement, StopCost, Why
from closedbook.eval.analysis.calibration import Bin, Point
from closedbook.eval.analysis.confidence import Measures, Reliability
from closedbook.eval.analysis.kinds import Kind
from closedbook.eval.analysis.results import (
    Analysis,
    Example,
    FlagShare,
    JudgeUsed,
    Meta,
    Outcome,
    ProtocolScore,
    Review,
    RowScore,
)
from closedbook.eval.analysis.slices import SliceScore
from closedbook.eval.analysis.taxonomy import FourWay, KindShare
from closedbook.eval.equivalence import simpleqa
from closedbook.eval.equivalence.reasons import Grade
from closedbook.eval.intervals import Estimate
from closedbook.eval.predictions import Alternative, Prediction
from closedbook.eval.report import html

OUTCOMES = (
    *(Outcome.CORRECT, Outcome.PHRASING, Outcome.INCOMPLETE),
    *(Outcome.UNANSWERABLE, Outcome.WRONG),
)


def _interval(mean: float) -> Estimate:
    return Estimate(mean=mean, low=max(0.0, mean - 0.02), high=min(1.0, mean + 0.02))


def example(number: int, **changes: Any) -> Example:
    """Row `number` of a made-up file; outcomes go round. Changes are of the row or the example."""
    outcome = OUTCOMES[number % len(OUTCOMES)]
    correct = outcome == Outcome.CORRECT
    score = RowScore(em=float(correct), f1=1.0 if correct else 0.5)
    row: dict[str, Any] = {
        "question": f"who discovered island number {number}",
        "answers": [f"Captain {number}", f"Captain J. {number}"],
        "prediction": f"Captain {number}" if correct else f"Admiral {number}",
        "score": -0.01 * number,
        "alternatives": [Alternative(text=f"Sailor {number}", score=-3.5)],
        "task": "islands",
        "split": "test",
        "step": 100,
    }
    row |= {key: changes.pop(key) for key in row.keys() & changes.keys()}
    fields: dict[str, Any] = {
        "row": Prediction(**row),
        "id": f"q{number}",
        "scores": {"squad": score, "nq_open": score},
        "correct": correct,
        "verdict": outcome,
        "label": None,
        "probability": 0.9 if outcome == Outcome.PHRASING else 0.1,
        "grade": Grade.CORRECT if correct else Grade.INCORRECT,
        "reason": "name" if outcome == Outcome.PHRASING else "different",
        "evidence": f"evidence of row {number}",
        "flag": "time_dependent" if outcome == Outcome.UNANSWERABLE else None,
        "flag_reason": "now" if outcome == Outcome.UNANSWERABLE else "",
        "candidate": 0.75 if outcome == Outcome.INCOMPLETE else 0.0,
        "slices": {"question word": "who", "answer type": "person"},
    }
    return Example(**{**fields, **changes})


def _measures() -> Measures:
    drawn = random.Random(0)
    bins = [
        Bin(
            low=k / 10,
            high=(k + 1) / 10,
            n=drawn.randint(5, 90),
            confidence=(k + 0.5) / 10,
            accuracy=(k + 0.5) / 12,
        )
        for k in range(10)
    ]
    return Measures(
        ece=Estimate(mean=0.081, low=0.06, high=0.1),
        ece_equal_width=None,
        macro_ce=None,
        brier=Estimate(mean=0.19, low=0.17, high=0.21),
        aurc=Estimate(mean=0.231, low=0.2, high=0.26),
        excess_aurc=None,
        coverage_at_90=Estimate(mean=0.4, low=0.35, high=0.44),
        bins=bins,
        bins_equal_width=bins,
        risk_coverage=[Point(coverage=k / 50, risk=0.5 * k / 50) for k in range(1, 51)],
    )


def _four_way(n: int) -> FourWay:
    shares = {
        Kind.TRUE_NEGATIVE: 0.62,
        Kind.PHRASING: 0.133,
        Kind.INCOMPLETE: 0.133,
        Kind.UNANSWERABLE: 0.114,
    }
    return FourWay(
        labelled=False,
        n=n,
        wrong=round(0.634 * n),
        rows=tuple(
            KindShare(
                name=kind,
                asserted=kind != Kind.INCOMPLETE,
                count=round(share * n),
                share=share,
                low=share - 0.05,
                high=share + 0.05,
            )
            for kind, share in shares.items()
        ),
        em=_interval(0.366),
        adjusted=_interval(0.5765),
        how="from the judge's verdicts",
    )


def analysis_of(examples: list[Example], **changes: Any) -> Analysis:
    """An analysis around the given examples, every part of it filled."""
    n = len(examples)
    ids = [row.id for row in examples]
    parts: dict[str, Any] = {
        "meta": Meta(
            source="made_up.jsonl",
            n=n,
            n_questions=n,
            task="islands",
            split="test",
            protocol="squad",
            judge=JudgeUsed(mode="learned", threshold=0.5, weights="1"),
            also=[],
            training_rows=None,
            closedbook="0.1.0",
        ),
        "protocols": [
            ProtocolScore(protocol="squad", n=n, em=_interval(0.366), f1=_interval(0.42)),
            ProtocolScore(protocol="nq_open", n=n, em=_interval(0.35), f1=None),
        ],
        "disagreements": [
            Disagreement(
                protocols=("squad", "nq_open"),
                alike=(["trivia_qa"], []),
                only_first=3,
                only_second=1,
                why=[Why(reason="case", right="squad", count=4, ids=ids[:4])],
            )
        ],
        "audit": [
            StopCost(
                rule="stop at a comma",
                em=_interval(0.31),
                change=Estimate(mean=-0.056, low=-0.08, high=-0.03),
                lost=12,
                gained=0,
                ids=ids[:2],
                answers_cut=9,
                answers=50,
                gold_unreachable=3,
                ceiling=0.9,
            )
        ],
        "taxonomy": _four_way(n),
        "grades": simpleqa.of_grades([row.grade for row in examples], ids),
        "answerability": [
            FlagShare(flag="time_dependent", count=20, share=0.1, low=0.08, high=0.13)
        ],
        "slices": [
            SliceScore(
                slice="question word",
                value="who",
                n=n,
                em=_interval(0.366),
                adjusted=_interval(0.5765),
            )
        ],
        "confidence": Reliability(
            source="exp(score)",
            probability=True,
            n=n,
            missing=0,
            strict=_measures(),
            adjusted=_measures(),
        ),
        "candidates": [
            Review(
                id=row.id,
                question=row.row.question,
                answers=row.row.answers,
                prediction=row.row.prediction,
                score=0.75,
                reasons=["several systems agree"],
            )
            for row in examples
            if row.verdict == Outcome.INCOMPLETE
        ][:30],
        "examples": examples,
    }
    return Analysis(**{**parts, **changes})


@pytest.fixture
def make_example() -> Callable[..., Example]:
    """`example`: tests cannot import from here."""
    return example


@pytest.fixture
def make_analysis() -> Callable[..., Analysis]:
    """`analysis_of`: tests cannot import from here."""
    return analysis_of


@pytest.fixture
def analysis() -> Analysis:
    """Forty ordinary rows."""
    return analysis_of([example(number) for number in range(40)])


@pytest.fixture(scope="session")
def document() -> str:
    """The page of forty ordinary rows."""
    return html.render_html(analysis_of([example(number) for number in range(40)]))
