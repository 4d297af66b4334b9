"""Averages over facts: total and indirect effects by the role of a token, with 95% intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from closedbook.eval.intervals import Estimate, of_columns, of_mean
from closedbook.knowledge.tracing import roles
from closedbook.knowledge.tracing.study import Row

_RESAMPLES = 2000
_RECALL = "recall"


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """Means over facts, each with its 95% interval; of one subject alone it is the value.

    Facts are drawn with replacement, those of one subject together; of fewer than ten subjects the
    intervals are Student's. An average over the tokens of a role is taken within each fact first,
    so that long names count no more than short ones.

    Args:
        rows: Of `study.run`.

    Returns:
        "facts"; "clean", "corrupted", "total_effect" (ATE), estimates; "kinds", a list of "name",
        "layers", "roles" (each "role", "facts", "effects": AIE, an estimate per layer) and "best"
        (the largest AIE: "role", "layer", "effect"); "severed", a list of "name" and "effects",
        with the state at the subject's last token restored; "approximations", a list of "method",
        "kind", "facts", "pearson", "spearman", "recall" (estimates; agreement within each fact's
        map, facts whose map has one value left out) and "recall_facts", whose map has more cells
        than are looked for; "verified", a list of "kind", "facts" and "effect" (of the cell that
        measures highest of each fact's); "lenses", a list of "lens" and "layers" ("probability"
        and "first_right", estimates, per layer).
    """
    subjects = [row["subject"] for row in rows]
    clean, corrupted = (np.array([[row[key]] for row in rows]) for key in ("clean", "corrupted"))
    found: dict[str, Any] = {
        "facts": len(rows),
        "clean": _share(clean[:, 0], subjects),
        "corrupted": _share(corrupted[:, 0], subjects),
        "total_effect": _estimate((clean - corrupted)[:, 0], subjects),
        "kinds": [_kind(rows, name) for name in rows[0]["scores"]],
        "severed": [],
    }
    for name in rows[0].get("severed", {}):
        curves = np.array([row["severed"][name] for row in rows])
        effects = _estimates(curves - corrupted, subjects)
        found["severed"].append({"name": name, "effects": effects})
    found["approximations"] = [
        entry
        for method in rows[0].get("agreement", {})
        for kind in rows[0]["agreement"][method]
        if (entry := _agreement(rows, method, kind))
    ]
    found["verified"] = []
    for kind in rows[0].get("verified", {}):
        best = [max(cell["score"] for cell in row["verified"][kind]) for row in rows]
        effect = _estimate(np.array(best) - corrupted[:, 0], subjects)
        found["verified"].append({"kind": kind, "facts": len(rows), "effect": effect})
    found["lenses"] = [
        {"lens": lens, "layers": _lens(rows, lens, subjects)} for lens in rows[0].get("lenses", {})
    ]
    return found


def _agreement(rows: Sequence[Row], method: str, kind: str) -> dict[str, Any] | None:
    pairs = [(row["subject"], row["agreement"][method][kind]) for row in rows]
    some = [(subject, each) for subject, each in pairs if each is not None]
    if not some:
        return None
    entry: dict[str, Any] = {"method": method, "kind": kind, "facts": len(some)}
    for column in some[0][1]:
        there = [(subject, each[column]) for subject, each in some if each[column] is not None]
        values = np.array([value for _, value in there])
        subjects = [subject for subject, _ in there]
        of = _share if column == _RECALL else _estimate
        entry[column] = of(values, subjects) if there else None
        if column == _RECALL:
            entry["recall_facts"] = len(there)
    return entry


def _lens(rows: Sequence[Row], lens: str, subjects: Sequence[str]) -> list[dict[str, Estimate]]:
    layers = len(rows[0]["lenses"][lens])
    return [
        {
            key: _share(
                np.array([float(row["lenses"][lens][layer][key]) for row in rows]), subjects
            )
            for key in ("probability", "first_right")
        }
        for layer in range(layers)
    ]


def _kind(rows: Sequence[Row], name: str) -> dict[str, Any]:
    stack = name.partition(".")[0]
    by_role: dict[str, list[tuple[str, np.ndarray]]] = {}
    for row in rows:
        effects = np.array(row["scores"][name]) - row["corrupted"]
        for role, mean in roles.means(effects, row["roles"][stack]).items():
            by_role.setdefault(role, []).append((row["subject"], mean))
    made: list[dict[str, Any]] = []
    for role in roles.ROLES:
        if role not in by_role:
            continue
        subjects, curves = zip(*by_role[role], strict=True)
        effects = _estimates(np.stack(curves), subjects)
        made.append({"role": role, "facts": len(curves), "effects": effects})
    best = max(
        (
            {"role": each["role"], "layer": layer, "effect": effect}
            # Of a subject of one token, its first and its last: that is called the last.
            for each in sorted(made, key=lambda each: each["role"] != roles.LAST)
            for layer, effect in enumerate(each["effects"])
        ),
        key=lambda each: each["effect"].mean,
    )
    layers = len(rows[0]["scores"][name][0])
    return {"name": name, "layers": layers, "roles": made, "best": best}


def _estimates(values: np.ndarray, subjects: Sequence[str]) -> list[Estimate]:
    """The means of columns of values from -1 to 1, [facts, columns]; all are of the same draws."""
    means = values.mean(axis=0)
    if len(set(subjects)) == 1:
        return [Estimate(mean=float(m), low=float(m), high=float(m)) for m in means]
    found = of_columns(values, clusters=np.array(subjects), resamples=_RESAMPLES)
    return [
        Estimate(mean=float(m), low=max(low, -1.0), high=min(high, 1.0))
        for m, (low, high) in zip(means, found, strict=True)
    ]


def _estimate(values: np.ndarray, subjects: Sequence[str]) -> Estimate:
    """The mean of values [facts]."""
    return _estimates(values[:, None], subjects)[0]


def _share(values: np.ndarray, subjects: Sequence[str]) -> Estimate:
    """The mean of values [facts] from 0 to 1, whose interval stays there.

    Of several subjects with equal values it is no point; of one subject it is the value.
    """
    mean = float(values.mean())
    if len(set(subjects)) == 1:
        return Estimate(mean=mean, low=mean, high=mean)
    low, high = of_mean(values, clusters=np.array(subjects), resamples=_RESAMPLES)
    return Estimate(mean=mean, low=low, high=high)


def effects(row: Mapping[str, Any], kind: str) -> np.ndarray:
    """The indirect effects of a fact's row, [tokens, layers]."""
    return np.array(row["scores"][kind]) - row["corrupted"]
