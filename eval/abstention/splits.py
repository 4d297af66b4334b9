"""Whether the promise of a threshold is held: calibrated on halves of a file, counted on all of it.

On the other half alone the count would be noisier than the promise; on all rows the truth of this
file is known.
"""

import dataclasses
import math

import numpy as np

from closedbook.eval import intervals
from closedbook.eval.abstention import thresholds
from closedbook.eval.abstention.thresholds import Scored
from closedbook.eval.intervals import Estimate

SPLITS = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Held:
    """What came of many random halves."""

    splits: int
    broken: Estimate  # share of them whose threshold lets more than the risk be wrong, in all rows
    found: Estimate  # share of them that gave a threshold
    coverage: float  # mean share of all answers given; 0 where there was no threshold


def held(
    scored: Scored, *, risk: float, delta: float, most: int, splits: int = SPLITS, seed: int = 0
) -> Held:
    """Calibrates on random halves of the questions, and counts on all answers.

    Args:
        scored: All answers.
        risk, delta, most: As `thresholds.find` has them.
        splits: Number of halves, at least 1.
        seed: Of the halves.
    """
    random = np.random.default_rng(seed)
    questions = int(scored.questions.max()) + 1
    broken, found, coverage = [], [], []
    for split in range(splits):
        half = np.zeros(questions, bool)
        half[random.permutation(questions)[: math.ceil(questions / 2)]] = True
        one = thresholds.find(scored.of(half), risk=risk, delta=delta, most=most, seed=split)
        found.append(one is not None)
        broken.append(one is not None and scored.risk_from(one.threshold) > risk + 1e-12)
        coverage.append(0.0 if one is None else scored.coverage_from(one.threshold))
    return Held(
        splits=splits,
        broken=intervals.share(broken),
        found=intervals.share(found),
        coverage=float(np.mean(coverage)),
    )
