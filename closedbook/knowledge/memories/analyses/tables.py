"""Means per layer, with n and interval, out of the measures of positions and memories."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from closedbook.eval import intervals
from closedbook.eval.intervals import Estimate
from closedbook.knowledge.memories.analyses import metrics
from closedbook.knowledge.memories.analyses.agreement import Agreement
from closedbook.knowledge.memories.analyses.layers import THRESHOLDS, Activity, Predictions
from closedbook.knowledge.memories.analyses.lens import Lens
from closedbook.knowledge.memories.analyses.patterns import Common
from closedbook.knowledge.memories.analyses.removal import WHICH, Changes, Side
from closedbook.knowledge.memories.cells import Sign
from closedbook.knowledge.memories.values import READINGS, Reading

Row = dict[str, Any]  # of a table: text, numbers, None
_BINS = 20
_HIGHEST = 100  # values with the highest probability, of which the paper tells the layers
_QUARTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_DRAWS = 2000  # of a bootstrap


def mean(values: np.ndarray, top: float = 1.0) -> Row:
    """Mean, 95% interval and n of numbers between 0 and `top`, each of its own."""
    values = np.asarray(values, np.float64)
    if not len(values):
        return {"mean": None, "low": None, "high": None, "n": 0}
    low, high = intervals.of_mean(values, top=top, resamples=_DRAWS)
    return {"mean": float(values.mean()), "low": low, "high": high, "n": len(values)}


def share(hits: np.ndarray) -> Row:
    """Share, 95% interval (Wilson's) and n."""
    found: Estimate = intervals.share(hits)
    known = len(hits) > 0
    return {
        "mean": found.mean if known else None,
        "low": found.low if known else None,
        "high": found.high if known else None,
        "n": len(hits),
    }


def removal(found: Changes, sides: tuple[Side, ...]) -> list[Row]:
    """Per layer, text and removed token: the mean relative change, drawn by memories."""
    rows = []
    for side, name in enumerate(sides):
        for layer in range(int(found.layer.max(initial=-1)) + 1):
            for which, token in enumerate(WHICH):
                own = (found.layer == layer) & (found.side == side) & (found.which == which)
                if not own.any():
                    continue
                values = found.change[own]
                low, high = intervals.of_any(values, clusters=found.cell[own], resamples=_DRAWS)
                infinite = not np.isfinite([low, high]).all()
                rows.append(
                    {
                        "layer": layer,
                        "text": name,
                        "token": token,
                        "mean": float(values.mean()),
                        "low": None if infinite else low,
                        "high": None if infinite else high,
                        "median": float(np.median(values)),
                        "n": len(values),
                        "memories": len(np.unique(found.cell[own])),
                    }
                )
    return rows


def agreements(found: Mapping[Sign, Agreement]) -> list[Row]:
    """Per layer, sign and reading: how many values promote their trigger's next token first."""
    rows = []
    for sign, reading, layer in _grid(found):
        own = found[sign]
        has = own.next[layer] >= 0
        top = own.found[reading].top[layer][has]
        rows.append(
            {
                "layer": layer,
                "sign": sign,
                "reading": reading,
                **share(own.agrees(reading)[layer][has]),
                "dealt": metrics.dealt_anew(top, own.next[layer][has]) if has.any() else None,
            }
        )
    return rows


def ranks(found: Mapping[Sign, Agreement]) -> list[Row]:
    """Per layer, sign and reading: quantiles of the next token's rank in the value's order."""
    rows = []
    for sign, reading, layer in _grid(found):
        own = found[sign].found[reading].rank[layer]
        own = own[own > 0]
        if len(own):
            levels = np.quantile(own, _QUARTILES)
            names = (f"q{round(100 * level)}" for level in _QUARTILES)
            of = {name: float(level) for name, level in zip(names, levels, strict=True)}
            rows.append({"layer": layer, "sign": sign, "reading": reading, **of, "n": len(own)})
    return rows


def by_probability(found: Mapping[Sign, Agreement]) -> list[Row]:
    """Agreement of memories in order of the highest probability of their values' distributions."""
    rows = []
    for sign, own in found.items():
        for reading in READINGS:
            has = own.next >= 0
            probability = own.found[reading].probability[has]
            agrees = own.agrees(reading)[has]
            number = max(1, min(_BINS, len(probability) // 10))
            place = metrics.bins_of(probability, number)
            for one in range(number) if len(probability) else ():
                inside = place == one
                rows.append(
                    {
                        "bin": one,
                        "sign": sign,
                        "reading": reading,
                        "probability": float(probability[inside].mean()),
                        **share(agrees[inside]),
                    }
                )
    return rows


def highest(found: Mapping[Sign, Agreement]) -> list[Row]:
    """In which layers the memories are whose values have the highest probabilities."""
    rows = []
    for sign, own in found.items():
        for reading in READINGS:
            probability = own.found[reading].probability
            layers, cells = probability.shape
            number = min(_HIGHEST, probability.size)
            order = np.argsort(-probability, axis=None, kind="stable")[:number]
            agrees = own.agrees(reading).ravel()[order]
            for layer in range(layers):
                inside = order // cells == layer
                rows.append(
                    {
                        "layer": layer,
                        "sign": sign,
                        "reading": reading,
                        "among_highest": int(inside.sum()),
                        "of": number,
                        "agreeing": int(agrees[inside].sum()),
                    }
                )
    return rows


def active(found: Activity, *, relu: bool) -> list[Row]:
    """Per layer and rule: the mean share of a layer's memories that are active at a position."""
    rules = {"coefficient above 0": found.active} if relu else {}
    for number, threshold in enumerate(THRESHOLDS):
        rule = f"|m||v| above {100 * threshold:g}% of the layer's largest"
        rules[rule] = found.strong[..., number]
    return [
        {"layer": layer, "rule": rule, **mean(shares[:, layer])}
        for layer in range(found.active.shape[1])
        for rule, shares in rules.items()
    ]


def composition(found: Predictions, prefixes: np.ndarray) -> list[Row]:
    """Per layer and reading: how often no memory promotes what the layer predicts.

    Args:
        found: Of positions.
        prefixes: Tokens of each position's prefix, int [positions].
    """
    rows = []
    for reading in READINGS:
        for layer in range(found.active.shape[1]):
            of = {"all": found.new_to_all, "active": found.new_to_active}
            for among, new in of.items():
                hits = new[reading][:, layer]
                short = prefixes[~hits] < 5
                rows.append(
                    {
                        "layer": layer,
                        "reading": reading,
                        "memories": among,
                        **share(hits),
                        "short_where_one_does": float(short.mean()) if len(short) else None,
                        "short": float((prefixes < 5).mean()),
                    }
                )
    return rows


def refinement(found: Predictions) -> list[Row]:
    """Per layer and reading: how often the residual already predicts the output, how surely."""
    return [
        {
            "layer": layer,
            "reading": reading,
            **share(found.residual[reading][:, layer] == found.output),
            **_named("probability", mean(found.probability[reading][:, layer])),
        }
        for reading in READINGS
        for layer in range(found.active.shape[1])
    ]


def lens(found: Lens) -> list[Row]:
    """Per encoder layer: how often the decoder predicts the same from it, and how surely."""
    return [
        {
            "layer": layer,
            **share(found.top[:, layer] == found.output),
            **_named("probability", mean(found.probability[:, layer])),
        }
        for layer in range(found.top.shape[1])
    ]


def cases(found: Predictions) -> list[Row]:
    """Per layer, reading and case: the share of positions."""
    rows = []
    for reading in READINGS:
        of = metrics.cases(found.residual[reading], found.update[reading], found.after[reading])
        for layer in range(of.shape[1]):
            for number, name in enumerate(metrics.CASES):
                rows.append(
                    {
                        "layer": layer,
                        "reading": reading,
                        "case": name,
                        **share(of[:, layer] == number),
                    }
                )
    return rows


def patterns(found: Mapping[Sign, Common]) -> list[Row]:
    """Per layer, sign and kind: the share of a memory's triggers that agree, and by chance."""
    rows = []
    for sign, own in found.items():
        for kind, shares in own.share.items():
            for layer in range(len(shares)):
                known = ~np.isnan(shares[layer])
                dealt = own.dealt[kind][layer]
                rows.append(
                    {
                        "layer": layer,
                        "sign": sign,
                        "kind": kind,
                        **mean(shares[layer][known]),
                        "dealt": float(np.nanmean(dealt)) if (~np.isnan(dealt)).any() else None,
                    }
                )
    return rows


def _grid(found: Mapping[Sign, Agreement]) -> list[tuple[Sign, Reading, int]]:
    return [
        (sign, reading, layer)
        for sign, own in found.items()
        for reading in READINGS
        for layer in range(len(own.next))
    ]


def _named(name: str, row: Row) -> Row:
    return {name: row["mean"], f"{name}_low": row["low"], f"{name}_high": row["high"]}
