"""When a model should rather not answer: the whole of `closedbook calibrate`."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from closedbook import __version__
from closedbook.errors import UserError
from closedbook.eval import intervals, metrics, summary
from closedbook.eval.abstention import semantic_entropy, splits, surety, thresholds
from closedbook.eval.abstention.semantic_entropy import SemanticEntropy
from closedbook.eval.abstention.splits import Held
from closedbook.eval.abstention.surety import Surety
from closedbook.eval.abstention.thresholds import Scored
from closedbook.eval.analysis import calibration, confidence
from closedbook.eval.analysis.summarized import Summarized
from closedbook.eval.equivalence import judges
from closedbook.eval.intervals import Estimate
from closedbook.eval.predictions import Prediction


@dataclasses.dataclass(frozen=True, kw_only=True)
class Discrimination:
    """How well a number tells right answers from wrong ones."""

    name: str
    n: int  # rows
    auroc: Estimate | None  # None where all or none are right
    less_score: Estimate | None  # its AUROC less that of the score, on the same rows


@dataclasses.dataclass(frozen=True, kw_only=True)
class Coverage:
    """What the beams of the rows cover."""

    n: int  # rows with beams
    exact: int  # of them, rows whose semantic entropy is known exactly
    mass: float  # median probability of a row's beams together
    width: float | None  # median width of the interval of the entropy, in nats


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """A row, and whether it should have been answered."""

    id: str | int | None
    question: str
    prediction: str
    right: bool
    score: float | None  # as the row has it
    answered: bool
    semantic_entropy: SemanticEntropy | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """The test that the threshold passed, on answers that had no part in choosing what to test."""

    rows: int
    given: int  # of them
    wrong: int  # of those given
    p: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibrated(Summarized):
    """A threshold on a model's own score, what it promises and what was held."""

    closedbook: str  # version
    source: str | None  # the file's name
    n: int  # rows
    unscored: int  # rows that state no score; they are not answered
    questions: int  # distinct ones among the rows with a score
    right_if: str  # in words
    risk: float
    delta: float
    seed: int
    score: str  # the rows' key
    smaller_is_surer: bool
    threshold: float | None  # as the rows have it, itself answered; None: answer always
    promise: str  # in words
    tested: Evidence
    coverage: Estimate  # share of the rows with a score that are answered
    wrong_given: Estimate  # share of wrong answers among those given, of the same rows
    wrong_all: Estimate  # the share if all are answered
    held: Held
    discrimination: Sequence[Discrimination]
    beams: Coverage | None
    curve: Sequence[calibration.Point]
    examples: Sequence[Example]


def calibrate(
    rows: Sequence[Prediction],
    *,
    risk: float = 0.1,
    delta: float = 0.1,
    score: str | None = None,
    protocol: str = "squad",
    judge: str | judges.Judge | None = None,
    number_of_splits: int = splits.SPLITS,
    seed: int = 0,
    source: str | None = None,
    progress: Callable[[str, int, int], None] = lambda step, done, total: None,
) -> Calibrated:
    """Finds the threshold under which a model should not answer.

    Args:
        rows: Predictions that say how sure the model was.
        risk: The highest share of wrong answers among those given, above 0 and below 1.
        delta: The highest probability that the threshold breaks it, above 0 and below 1.
        score: As `surety.read` has it.
        protocol: Whose exact match says what is right.
        judge: Answers that it calls the same are right too; exact match alone if None. It also says
            which beams mean the same, and without one the learned judge does.
        number_of_splits: Random halves on which the promise is counted.
        seed: Of all that is drawn.
        source: The file's name.
        progress: Called with the step under way, the number of steps done and that of all steps.

    Raises:
        UserError: A number is out of its range, no row has a score, or no threshold passes.
    """
    for name, value in (("risk", risk), ("delta", delta)):
        if not 0 < value < 1:
            raise UserError(f"--{name} is {value}; give a share above 0 and below 1, such as 0.1")
    if number_of_splits < 1:
        raise UserError(f"--splits is {number_of_splits}; give 1 or more")
    judge = judges.named(judge) if isinstance(judge, str) else judge
    progress("scoring", 0, 4)
    right, right_if = _right(rows, protocol, judge)
    progress("meanings of beams", 1, 4)
    entropies = semantic_entropy.all_of(rows, judge)
    sure = surety.read(rows, score, entropies)
    scored, most = _scored(rows, right, sure)
    progress("testing thresholds", 2, 4)
    found = thresholds.find(scored, risk=risk, delta=delta, most=most, seed=seed)
    if found is None:
        raise UserError(_no_threshold(scored, sure, risk, delta, most))
    progress("random halves", 3, 4)
    given = scored.surety >= found.threshold
    always = math.isinf(found.threshold)
    answered = np.zeros(len(rows), bool)
    answered[sure.rows[given]] = True
    scores = dict(zip(sure.rows.tolist(), sure.values.tolist(), strict=True))
    return Calibrated(
        closedbook=__version__,
        source=source,
        n=len(rows),
        unscored=len(rows) - len(sure.rows),
        questions=int(scored.questions.max()) + 1,
        right_if=right_if,
        risk=risk,
        delta=delta,
        seed=seed,
        score=sure.name,
        smaller_is_surer=sure.sign < 0,
        threshold=None if always else sure.shown(found.threshold),
        promise=promise(risk, delta, most),
        tested=Evidence(rows=found.rows, given=found.given, wrong=found.wrong, p=found.p),
        coverage=intervals.share(given, clusters=scored.questions),
        wrong_given=intervals.share(scored.wrong[given], clusters=scored.questions[given]),
        wrong_all=intervals.share(scored.wrong, clusters=scored.questions),
        held=splits.held(
            scored, risk=risk, delta=delta, most=most, splits=number_of_splits, seed=seed
        ),
        discrimination=_discrimination(rows, right, sure, entropies),
        beams=_coverage(entropies),
        curve=calibration.risk_coverage(scored.surety, 1.0 - scored.wrong),
        examples=[
            Example(
                id=row.id,
                question=row.question,
                prediction=row.prediction,
                right=bool(right[place]),
                score=sure.shown(scores[place]) if place in scores else None,
                answered=bool(answered[place]),
                semantic_entropy=entropies[place],
            )
            for place, row in enumerate(rows)
        ],
    )


def promise(risk: float, delta: float, most: int) -> str:
    """What is guaranteed and what is not, in plain words.

    >>> print(promise(0.1, 0.05, 1)[:73])
    Of all answers that this threshold lets through, at most 10% are wrong. O
    """
    several = (
        f" Where a question has several answers (here up to {most}), questions are what is drawn."
        if most > 1
        else ""
    )
    return (
        f"Of all answers that this threshold lets through, at most {_percent(risk)} are wrong. Of "
        "calibrations like this one, each on as many questions drawn anew at random from the same "
        f"source, at most {_percent(delta)} end with a threshold that breaks this. It holds for "
        "any model, any score and any number of questions. It says nothing of one answer by "
        "itself, of one kind of question among many, or of questions from another source." + several
    )


def _percent(share: float) -> str:
    return f"{100 * share:.10g}%"


def _right(
    rows: Sequence[Prediction], protocol: str, judge: judges.Judge | None
) -> tuple[np.ndarray, str]:
    if not len(rows):
        raise UserError("there are no predictions to calibrate on; give at least one")
    right = np.array([metrics.is_right(row.prediction, row.answers, protocol) for row in rows])
    if judge is None:
        return right, f"exact match ({protocol})"
    same = np.array([verdict.equivalent for verdict in judge.judge_all(rows)])
    return right | same, f"exact match ({protocol}), or the judge {judge.name} says so"


def _scored(rows: Sequence[Prediction], right: np.ndarray, sure: Surety) -> tuple[Scored, int]:
    """The rows that state a score; and how many answers a question has at most."""
    keys = summary.question_keys(rows)
    codes = intervals.cluster_codes([keys[place] for place in sure.rows.tolist()])
    scored = Scored(surety=sure.values, wrong=~right[sure.rows], questions=codes)
    return scored, int(np.bincount(codes).max())


def _no_threshold(scored: Scored, sure: Surety, risk: float, delta: float, most: int) -> str:
    """Why nothing passes, in a sentence with the remedy."""
    least = math.ceil(math.log(delta) / math.log1p(-risk))  # answers, all right, that would pass
    curve = calibration.risk_coverage(scored.surety, 1.0 - scored.wrong)
    enough = [point for point in curve if point.coverage * len(scored.wrong) >= least]
    best = min(enough or curve, key=lambda point: point.risk)
    repeated = f", one of them with {most} rows," if most > 1 else ""
    return (
        f'no threshold on "{sure.name}" passes the test for at most {_percent(risk)} of wrong '
        f"answers with {_percent(1 - delta)} confidence on {int(scored.questions.max()) + 1:,} "
        f"questions{repeated}: at best {100 * best.risk:.1f}% of the surest "
        f"{round(best.coverage * len(scored.wrong)):,} answers are wrong, and at least {least:,} "
        "answers, all right, would have to pass; give more questions, a higher --risk or --delta, "
        "or another --score"
    )


def _discrimination(
    rows: Sequence[Prediction],
    right: np.ndarray,
    sure: Surety,
    entropies: Sequence[SemanticEntropy | None],
) -> list[Discrimination]:
    """AUROC of the score that was asked for, of the sequence's probability and of the entropy."""
    by_name = {sure.name: sure}
    if any(row.score is not None for row in rows):
        by_name.setdefault("score", surety.of_values("score", [row.score for row in rows]))
    if any(one is not None for one in entropies):
        for name, end in (("semantic_entropy", "value"), ("semantic_entropy, least", "low")):
            values = [None if one is None else float(getattr(one, end)) for one in entropies]
            by_name.setdefault(name, surety.of_values(name, values, -1))
    keys = np.array(intervals.cluster_codes(summary.question_keys(rows)))
    base = by_name.get("score")
    return [_told_apart(each, base, right, keys) for each in by_name.values()]


def _told_apart(
    each: Surety, base: Surety | None, right: np.ndarray, keys: np.ndarray
) -> Discrimination:
    correct = right[each.rows].astype(np.float64)
    found = confidence.with_intervals(
        each.values, correct, {"auroc": calibration.auroc}, keys[each.rows], 0
    )
    less = None
    if base is not None and base is not each:
        both, own, theirs = np.intersect1d(each.rows, base.rows, return_indices=True)
        if len(both):
            pair = np.stack([each.values[own], base.values[theirs]], axis=1)
            less = confidence.with_intervals(
                pair,
                right[both].astype(np.float64),
                {"less": _less},
                keys[both],
                0,
            )["less"]
    return Discrimination(name=each.name, n=len(each.rows), auroc=found["auroc"], less_score=less)


def _less(pair: np.ndarray, correct: np.ndarray) -> float:
    return calibration.auroc(pair[:, 0], correct) - calibration.auroc(pair[:, 1], correct)


def _coverage(entropies: Sequence[SemanticEntropy | None]) -> Coverage | None:
    present = [one for one in entropies if one is not None]
    if not present:
        return None
    widths = [math.inf if one.high is None else one.high - one.low for one in present]
    width = float(np.median(widths))
    return Coverage(
        n=len(present),
        exact=sum(width == 0 for width in widths),
        mass=float(np.median([one.covered for one in present])),
        width=None if math.isinf(width) else width,
    )
