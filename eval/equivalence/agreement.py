"""How well a judge agrees with humans: kappa, precision and recall, calibration, with intervals."""

import dataclasses
from collections.abc import Mapping

import numpy as np

RESAMPLES = 1000


def kappa(right: np.ndarray, positive: np.ndarray) -> float:
    """Cohen's kappa of two columns of yes and no; 0 where chance alone explains all.

    >>> kappa(np.array([True, True, False, False]), np.array([True, False, False, False]))
    0.5
    """
    agree = float(np.mean(right == positive))
    a, b = float(np.mean(right)), float(np.mean(positive))
    chance = a * b + (1 - a) * (1 - b)
    return (agree - chance) / (1 - chance) if chance < 1 else 0.0


def precise_recall(probability: np.ndarray, right: np.ndarray, precision: float) -> float:
    """The greatest recall at which the precision is at least as asked; 0 where it never is."""
    order = np.argsort(-probability, kind="stable")
    hits = np.cumsum(right[order])
    found = hits / np.arange(1, len(order) + 1)
    # Rows of one probability stand or fall together.
    last = np.append(np.diff(probability[order]) != 0, True)
    good = (found >= precision) & last
    return float(hits[good].max() / right.sum()) if good.any() else 0.0


def calibration_error(probability: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error over bins of equal width."""
    place = np.minimum((probability * bins).astype(int), bins - 1)
    gaps = [
        abs(float(np.sum(probability[place == number] - right[place == number])))
        for number in range(bins)
    ]
    return sum(gaps) / len(right)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Agreement:
    """How well one judge agrees with humans about one system's answers."""

    n: int  # answers
    right: float  # share that humans call right
    kappa: float
    kappa_interval: tuple[float, float]  # 95%, bootstrap over questions
    precision: float
    recall: float
    recall_at_precision_90: float
    ece: float  # expected calibration error


def measure(
    probability: np.ndarray, positive: np.ndarray, right: np.ndarray, question: np.ndarray
) -> Agreement:
    """All measures of one system.

    Args:
        probability: The judge's, that an answer is right, [n].
        positive: Whether the judge calls it right, bool [n].
        right: Whether humans do, bool [n].
        question: Number of its question, [n].
    """
    true = float(np.sum(positive & right))
    return Agreement(
        n=len(right),
        right=float(np.mean(right)),
        kappa=kappa(right, positive),
        kappa_interval=_interval(right, positive, question),
        precision=true / max(float(positive.sum()), 1.0),
        recall=true / max(float(right.sum()), 1.0),
        recall_at_precision_90=precise_recall(probability, right, 0.9),
        ece=calibration_error(probability, right),
    )


def _interval(right: np.ndarray, positive: np.ndarray, question: np.ndarray) -> tuple[float, float]:
    """Percentile bootstrap over questions."""
    _, inverse = np.unique(question, return_inverse=True)
    answers = ((1, 1), (1, 0), (0, 1), (0, 0))
    cells = np.stack(
        [np.bincount(inverse, weights=(right == a) & (positive == b)) for a, b in answers]
    )
    generator = np.random.default_rng(0)
    count = cells.shape[1]
    drawn = generator.multinomial(count, np.full(count, 1 / count), size=RESAMPLES) @ cells.T
    total = drawn.sum(axis=1)
    both, first, second, none = drawn.T
    agree = (both + none) / total
    a, b = (both + first) / total, (both + second) / total
    chance = a * b + (1 - a) * (1 - b)
    values = (agree - chance) / (1 - chance)
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def table(report: Mapping[str, Agreement]) -> str:
    """The measures as a Markdown table."""
    lines = [
        "| system | n | right | kappa [95%] | precision | recall | recall at P 0.90 | ECE |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in report.items():
        low, high = row.kappa_interval
        lines.append(
            f"| {name} | {row.n:,} | {row.right:.3f} | {row.kappa:.3f} "
            f"[{low:.3f}, {high:.3f}] | {row.precision:.3f} | {row.recall:.3f} "
            f"| {row.recall_at_precision_90:.3f} | {row.ece:.3f} |"
        )
    return "\n".join(lines)
