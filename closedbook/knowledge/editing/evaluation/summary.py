"""Means over trials, each with its interval and its own name."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from closedbook.eval import intervals
from closedbook.eval.intervals import Estimate
from closedbook.knowledge.editing.evaluation import forced, generations
from closedbook.knowledge.editing.evaluation.cases import DENIED, GROUPS, KEPT, RIPPLE, TOLD, YES_NO
from closedbook.knowledge.editing.evaluation.trials import Trial

WRITTEN = ("GE", "RS")
WHEN = ("before", "after")
PUBLISHED = ("success", "success on rephrases", "drawdown", "retain rate", "deterioration")
_MOST_ENTROPY = 100 * math.log2(4 * generations.TOKENS)  # GE of a text without any repetition
FORCED = ("ES", "EM", "PS", "PM", "NS", "NM", "token accuracy", "token accuracy, rephrased")


def of_trials(trials: Sequence[Trial]) -> dict[str, Any]:
    """Everything that a table shows of one variant.

    Keys: `free` (group -> share of right answers; of kept groups, among those right before),
    `judged` (group -> the same by the judge), `before` (ripple groups of the original), `forced`
    (name -> mean over edits), `S`, `yes_no` and `written` (name -> `before` and `after`),
    `published` (`PUBLISHED` -> mean), `counts` (group -> questions, lost, changed), `n`, `seconds`.
    Intervals draw whole edits.
    """
    found: dict[str, Any] = {"n": len(trials), "free": {}, "judged": {}, "before": {}, "counts": {}}
    for group in GROUPS:
        rows = [
            (number, hit, old, new)
            for number, trial in enumerate(trials)
            for hit, old, new in zip(
                trial.hits.get(group, ()),
                trial.before.get(group, ()),
                trial.changed.get(group, ()),
                strict=True,
            )
            if old or group not in KEPT
        ]
        if not rows:
            continue
        found["free"][group] = _share([r[1] for r in rows], [r[0] for r in rows])
        if group in (*RIPPLE, *DENIED):
            found["before"][group] = _share([r[2] for r in rows], [r[0] for r in rows])
        found["counts"][group] = {
            "questions": len(rows),
            "lost": sum(old and not hit for _, hit, old, _ in rows),
            "changed": sum(new for *_, new in rows),
        }
        if group in TOLD:
            pairs = [(n, each) for n, t in enumerate(trials) for each in t.judged.get(group, ())]
            found["judged"][group] = _share([each for _, each in pairs], [n for n, _ in pairs])
    found["forced"] = {
        name: _of_name(name, values)
        for name in FORCED
        if (values := [trial.forced[name] for trial in trials if name in trial.forced])
    }
    parts = [found["forced"].get(name) for name in ("ES", "PS", "NS")]
    found["S"] = forced.harmonic([p.mean for p in parts]) if all(parts) else None
    for key, names in (("yes_no", YES_NO), ("written", WRITTEN)):
        of_edits = {n: [p for t in trials if (p := getattr(t, key).get(n))] for n in names}
        found[key] = {
            name: {when: _of_name(name, each) for when, each in zip(WHEN, columns, strict=True)}
            for name, columns in (
                (name, zip(*each, strict=True)) for name, each in of_edits.items()
            )
            if of_edits[name]
        }
    found["published"] = _published(found, trials)
    found["seconds"] = float(np.mean([trial.seconds for trial in trials])) if trials else 0.0
    return found


def _published(found: Mapping[str, Any], trials: Sequence[Trial]) -> dict[str, Estimate]:
    """MEND's and KnowledgeEditor's measures for closed-book question answering, by free answers.

    Kept questions are all that the cases have, whether they were right before or not; those of the
    atlas all were.
    """
    rows = [
        (number, old, new, same)
        for number, trial in enumerate(trials)
        for group in KEPT
        for old, new, same in zip(
            trial.before.get(group, ()),
            trial.hits.get(group, ()),
            (not each for each in trial.changed.get(group, ())),
            strict=True,
        )
    ]
    made = {
        name: found["free"][group]
        for name, group in (("success", TOLD[0]), ("success on rephrases", TOLD[2]))
        if group in found["free"]
    }
    if not rows:
        return made
    edits, old, new, same = (list(each) for each in zip(*rows, strict=True))
    lost = np.subtract(old, new, dtype=np.float64)
    made["drawdown"] = _any(lost, edits, 1.0)
    made["retain rate"] = _share(same, edits)
    if any(old):
        made["deterioration"] = _any(lost / np.mean(old), edits, 1.0 / float(np.mean(old)))
    return made


def _share(hits: Sequence[bool], clusters: Sequence[int]) -> Estimate:
    return intervals.share(hits, clusters=clusters, resamples=2000)


def _of_name(name: str, values: Sequence[float]) -> Estimate:
    """A mean over edits, by what its numbers can be: entropies, magnitudes, or shares."""
    if name == "GE":
        return _any(values, None, _MOST_ENTROPY, 0.0)
    if name.endswith("M"):
        return _any(values, None, 1.0)
    low, high = intervals.of_mean(values, resamples=2000)
    return Estimate(mean=float(np.mean(values)), low=low, high=high)


def _any(
    values: Sequence[float] | np.ndarray,
    clusters: Sequence[int] | None,
    most: float,
    least: float | None = None,
) -> Estimate:
    """A mean of numbers between -most (or `least`) and most: of one edit nothing else is known."""
    low, high = intervals.of_any(values, clusters=clusters, resamples=2000)
    low, high = max(low, -most if least is None else least), min(high, most)
    return Estimate(mean=float(np.mean(values)), low=low, high=high)
