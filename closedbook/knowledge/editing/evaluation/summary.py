"""Means over trials, each with its interval and its own name."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from closedbook.eval import intervals
from closedbook.eval.intervals import Estimate
from closedbook.knowledge.editing.evaluation import forced
from closedbook.knowledge.editing.evaluation.cases import DENIED, GROUPS, KEPT, RIPPLE, TOLD
from closedbook.knowledge.editing.evaluation.trials import Trial

FORCED = ("ES", "EM", "PS", "PM", "NS", "NM", "token accuracy", "token accuracy, rephrased")


def of_trials(trials: Sequence[Trial]) -> dict[str, Any]:
    """Everything that a table shows of one variant.

    Keys: `free` (group -> share of right answers; of kept groups, among those right before),
    `judged` (group -> the same by the judge), `before` (ripple groups of the original), `forced`
    (name -> mean over edits), `S`, `mend` (success on rephrases, drawdown, retain rate), `counts`
    (group -> questions, lost, changed), `n`, `seconds`. Intervals draw whole edits.
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
        name: _mean(values, name)
        for name in FORCED
        if (values := [trial.forced[name] for trial in trials if name in trial.forced])
    }
    parts = [found["forced"].get(name) for name in ("ES", "PS", "NS")]
    found["S"] = forced.harmonic([p.mean for p in parts]) if all(parts) else None
    found["mend"] = _mend(found, trials)
    found["seconds"] = float(np.mean([trial.seconds for trial in trials])) if trials else 0.0
    return found


def _mend(found: Mapping[str, Any], trials: Sequence[Trial]) -> dict[str, Estimate | float]:
    """MEND's and KnowledgeEditor's measures for closed-book question answering."""
    made: dict[str, Estimate | float] = {}
    if TOLD[2] in found["free"]:
        made["success on rephrases"] = found["free"][TOLD[2]]
    old, new, kept = [], [], []
    for trial in trials:
        for group in KEPT:
            old += trial.before.get(group, [])
            new += trial.hits.get(group, [])
            kept += [not each for each in trial.changed.get(group, [])]
    if old:
        made["drawdown"] = float(np.mean(old) - np.mean(new))
        made["retain rate"] = float(np.mean(kept))
    return made


def _share(hits: Sequence[bool], clusters: Sequence[int]) -> Estimate:
    return intervals.share(hits, clusters=clusters, resamples=2000)


def _mean(values: Sequence[float], name: str) -> Estimate:
    """A mean over edits; magnitudes may be negative, so that they lie between -1 and 1."""
    if not name.endswith("M"):
        low, high = intervals.of_mean(values, resamples=2000)
    else:
        low, high = intervals.of_any(values, resamples=2000)
        low, high = max(low, -1.0), min(high, 1.0)  # of one edit nothing is known
    return Estimate(mean=float(np.mean(values)), low=low, high=high)
