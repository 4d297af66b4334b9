"""Correlations of what a model knows with what might explain it, with intervals.

LAMA's analysis correlates P@1 with how often subject and object occur, with the log-probability of
the answer, and with lengths. A fact's hit is 0 or 1, for which Pearson's is the point-biserial
correlation.
"""

import collections
import dataclasses
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from closedbook.eval import intervals
from closedbook.tasks.facts.form import Fact, Facts

RESAMPLES = 2_000
_ROUNDING = 1e-9
_FEWEST = 10  # facts, and clusters; of fewer a coefficient or its interval say nothing


@dataclasses.dataclass(frozen=True, kw_only=True)
class Correlation:
    """A coefficient with its 95% interval; all NaN where one of the variables never varies."""

    value: float
    low: float
    high: float
    n: int


def explained(
    facts: Facts, everything: Facts, rows: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Pearson's correlation of being right with what might explain it, clustered by relation.

    LAMA counts how often subject and object occur in the text that a model has read; that text is
    not at hand, so that the data's own facts, and page views where the data has them, stand for it.
    Source: Petroni et al. 2019, figure 3, without the cosine of subject and object.

    Args:
        facts: Those that were asked.
        everything: Those of which they are a sample: names are counted there.
        rows: Of the probe.

    Returns:
        "name", "value", "low", "high", "n" and "within" of each variable that varies, as does
        being right, and that ten facts have. "within" is the coefficient of deviations from the
        relation's means, which relations as such cannot explain (None where nothing varies within
        relations). Ends of intervals are None where they are infinite.
    """
    # Of one candidate alone nothing was asked.
    hits = np.array([float(row["rank"] == 1) if row["candidates"] > 1 else np.nan for row in rows])
    relations = [fact.relation for fact in facts.facts]
    one = len(set(relations)) == 1
    clusters = None if one else relations
    found = []
    for name, values in _variables(facts, everything, rows).items():
        x = np.array(values, np.float64)
        each = correlate(x, hits, clusters=clusters)
        if math.isnan(each.value) or each.n < _FEWEST:
            continue
        both = ~(np.isnan(x) | np.isnan(hits))  # a relation's mean is over the same facts in both
        inside = correlate(
            _within(np.where(both, x, np.nan), relations),
            _within(np.where(both, hits, np.nan), relations),
            clusters=clusters,
        )
        none = one or math.isnan(inside.value)
        found.append({"name": name, **_json(each), "within": None if none else _json(inside)})
    return found


def _variables(
    facts: Facts, everything: Facts, rows: Sequence[Mapping[str, Any]]
) -> dict[str, list[float]]:
    of_objects = collections.Counter((fact.relation, fact.object) for fact in everything.facts)
    named = collections.Counter(
        name for fact in everything.facts for name in {fact.subject, fact.object}
    )
    asked = facts.facts
    return {
        "log-probability of the model's best": [row["top"][0]["log_prob"] for row in rows],
        "log-probability of the object": [row["log_prob"] for row in rows],
        "facts that name the subject (log)": [
            math.log(named[fact.subject]) if fact.subject else math.nan for fact in asked
        ],
        "facts with the object (log)": [
            math.log(of_objects[fact.relation, fact.object]) for fact in asked
        ],
        "characters of the subject": [len(fact.subject) or math.nan for fact in asked],
        "words of the subject": [len(fact.subject.split()) or math.nan for fact in asked],
        "tokens of the subject": [row["subject_tokens"] or math.nan for row in rows],
        "tokens of the object": [row["tokens"] for row in rows],
        "page views of the subject (log)": [_views(fact, "s_pop") for fact in asked],
        "page views of the object (log)": [_views(fact, "o_pop") for fact in asked],
    }


def _views(fact: Fact, key: str) -> float:
    """PopQA's monthly page views; in a user's own row the field may be anything else."""
    try:
        views = float(fact.meta.get(key, ""))
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return math.log(views + 1) if math.isfinite(views) and views >= 0 else math.nan


def _within(values: np.ndarray, relations: Sequence[str]) -> np.ndarray:
    """Values less the mean of their relation; rounding is not left as if it varied."""
    of = np.array(relations)
    found = values.copy()
    for name in set(relations):
        found[of == name] -= np.nanmean(values[of == name]) if _some(values[of == name]) else 0.0
    return np.where(np.abs(found) < _ROUNDING, 0.0, found)


def _some(values: np.ndarray) -> bool:
    return bool((~np.isnan(values)).any())


def _json(found: Correlation) -> dict[str, Any]:
    return {
        name: value if math.isfinite(value) else None
        for name, value in dataclasses.asdict(found).items()
    }


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values share the mean of theirs.

    >>> ranks(np.array([10.0, 30.0, 10.0]))
    array([1.5, 3. , 1.5])
    """
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[places]


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's r; NaN where a variable never varies.

    >>> round(pearson(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])), 12)
    0.5
    """
    return float(_pearson(_moments(x, y).mean(axis=0)[None])[0])


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rho: Pearson's r of the ranks.

    >>> round(spearman(np.array([1.0, 2.0, 9.0]), np.array([1.0, 2.0, 3.0])), 12)
    1.0
    """
    return pearson(ranks(x), ranks(y))


def correlate(
    x: np.ndarray,
    y: np.ndarray,
    *,
    kind: Literal["pearson", "spearman"] = "pearson",
    clusters: Sequence[Hashable] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Correlation:
    """A correlation with its percentile bootstrap interval over facts or whole clusters of them.

    Of Spearman's the ranks are those in all facts, also within a draw. Facts in which a variable is
    NaN are left out.

    Args:
        x: [facts].
        y: [facts].
        kind: Which coefficient.
        clusters: One key per fact, such as its relation; draws then take whole clusters. Fewer
            than ten tell too little of others, and the interval is infinite.
        resamples: Number of draws.
        seed: Of NumPy's PCG64.

    Raises:
        ValueError: The lengths differ, or the kind is another.
    """
    if kind not in ("pearson", "spearman"):
        raise ValueError(f"kind is {kind!r}; choose pearson or spearman")
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.shape != y.shape:
        raise ValueError(f"{len(x)} values of one variable and {len(y)} of the other")
    kept = ~(np.isnan(x) | np.isnan(y))
    x, y = x[kept], y[kept]
    if clusters is not None:
        clusters = [key for key, keep in zip(clusters, kept, strict=True) if keep]
    n = len(x)
    if n < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Correlation(value=np.nan, low=np.nan, high=np.nan, n=n)
    if kind == "spearman":
        x, y = ranks(x), ranks(y)
    value = pearson(x, y)
    if clusters is not None and len(set(clusters)) < _FEWEST:
        return Correlation(value=value, low=-np.inf, high=np.inf, n=n)
    moments = _moments(x, y)
    drawn = _pearson(
        intervals.drawn_means(moments, clusters=clusters, resamples=resamples, seed=seed)
    )
    low, high = np.nanquantile(drawn, [0.025, 0.975])  # a draw of equal values has no coefficient
    return Correlation(value=value, low=float(low), high=float(high), n=n)


def _moments(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[facts, 5]: x, y, their squares and their product, of standardised variables."""
    x, y = _standardised(x), _standardised(y)
    return np.stack([x, y, x * x, y * y, x * y], axis=1)


def _standardised(values: np.ndarray) -> np.ndarray:
    centred = np.asarray(values, np.float64) - np.mean(values)
    spread = centred.std()
    return centred / spread if spread else centred


def _pearson(means: np.ndarray) -> np.ndarray:
    """r of each row of mean moments, [rows]."""
    x, y, xx, yy, xy = means.T
    spread = np.clip(xx - x * x, 0, None) * np.clip(yy - y * y, 0, None)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(spread > 1e-12, (xy - x * y) / np.sqrt(spread), np.nan)
    return np.clip(found, -1, 1)
