"""The folder of results of a trace: rows, averages, figures and a page."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from closedbook.eval.report import charts, html
from closedbook.eval.report.text import clip, visible
from closedbook.knowledge import result_folders
from closedbook.knowledge.leaving_out import LeftOut
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.result_folders import Table
from closedbook.knowledge.tracing import drawing, roles
from closedbook.knowledge.tracing.cases import Score
from closedbook.knowledge.tracing.kinds import default_width
from closedbook.knowledge.tracing.study import Row, Settings
from closedbook.knowledge.tracing.summary import effects, summarise

_TEMPLATES = pathlib.Path(__file__).parent / "templates"
_KEPT = 1000  # characters of a text on the page
_BEST = 8  # cells that a row of the page's table names


def meta(
    model: LoadedModel,
    settings: Settings,
    *,
    model_name: str,
    source: str,
    rows: Sequence[Row],
    unknown: int,
    left: LeftOut,
    score: Score,
    noise_from: str,
) -> dict[str, Any]:
    """What a trace says of itself: the model, the data and every convention.

    Args:
        model: What was traced.
        settings: What was measured.
        model_name: As the user names it.
        source: Of the facts; "" for one prompt.
        rows: Of the facts that were traced.
        unknown: Facts that the model answers wrong, which were left out.
        left: Facts that cannot be put to the model.
        score: What was followed.
        noise_from: Where the level of the noise comes from, in words.
    """
    noise = settings.noise
    widths = {
        name: default_width(stack.layers) if settings.width is None else settings.width
        for name, stack in model.config.stacks.items()
    }
    followed = {
        "answer": "the probability of the model's own whole answer, its end included",
        "first": "the probability of the first token of the model's own answer",
    }
    windows = {
        "code": "as kmeng01/rome: of an even width one layer more below than above",
        "paper": "centred, as the paper says: as many layers below as above",
    }
    severed = {
        "code": "as kmeng01/rome: frozen outputs come from a run with other noise",
        "paper": "frozen outputs come from a run with the same noise",
    }
    return {
        "model": model_name,
        "title": model.config.title,
        "step": model.step,
        "data": source,
        "facts": len(rows),
        "unknown": unknown,
        "left_out": left.as_json(),
        "score": score,
        "noise": noise.level,
        "windows": widths,
        "conventions": {
            "Measured": "each restoration is run"
            if settings.exact
            else f"estimated by {settings.approximations[0]}: min(1, P* exp(change)) per sample",
            "Followed": followed[score],
            "Noise": f"{noise.distribution}, level {noise.level:.4f} ({noise_from}), "
            f"{noise.samples} samples, RandomState({noise.seed}) anew for every fact",
            "Restored": "the activations of the run without noise, at one token; states of one "
            "layer, outputs of parts of a window of layers",
            "Windows": ", ".join(f"{name} {width}" for name, width in widths.items())
            + f" layers wide, {windows[settings.convention]}",
            "Severed": severed[settings.convention],
            "Layers": "numbered from 0; a state is what stands after the layer",
        },
    }


def write(
    out: str | os.PathLike[str],
    rows: Sequence[Row],
    about: Mapping[str, Any],
    command: Mapping[str, Any],
    *,
    force: bool = False,
) -> pathlib.Path:
    """Writes results.jsonl, summary.json, command.json, report.html, figures and tables.

    Args:
        out: The folder to make.
        rows: Of `study.run`, one at least.
        about: Of `meta`.
        command: Of `result_folders.command`.
        force: Whether to replace results that are there.

    Returns:
        The folder.

    Raises:
        UserError: The folder must not be written (see `check_target`), or the disk refuses.
    """
    summary = summarise(rows)
    return result_folders.write(
        out,
        page=render(rows, about, summary),
        summary={**about, **summary},
        rows=rows,
        command=command,
        figures=drawing.specs(rows, summary),
        tables={"effects": _effects(summary)},
        force=force,
    )


def render(rows: Sequence[Row], about: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """The page: one HTML file that needs no network."""
    drawn = drawing.specs(rows, summary, charts.PAGE)
    return html.page(
        _TEMPLATES / "trace.html",
        script=_TEMPLATES / "trace.js",
        data=_table_data(rows),
        meta=about,
        s=summary,
        row=rows[0] if len(rows) == 1 else None,
        kind_title=drawing.title,
        figures={
            name: html.figure(spec, f"{spec['description']}; tables/effects.csv has the numbers.")
            for name, spec in drawn.items()
        },
    )


def _effects(summary: Mapping[str, Any]) -> Table:
    columns = ("kind", "role", "layer", "facts", "effect", "low", "high")
    curves = [
        (kind["name"], role["role"], role["facts"], role["effects"])
        for kind in summary["kinds"]
        for role in kind["roles"]
    ]
    curves += [
        (f"{each['name']}, severed", roles.LAST, summary["facts"], each["effects"])
        for each in summary["severed"]
    ]
    rows = [
        (kind, role, layer, facts, each.mean, each.low, each.high)
        for kind, role, facts, effects in curves
        for layer, each in enumerate(effects)
    ]
    return Table(columns, rows)


def _table_data(rows: Sequence[Row]) -> dict[str, Any]:
    """The facts as the page's script reads them: one list a row.

    A row holds: id, prompt, subject, answer, P, P*, relation, and its largest effects as texts.
    """
    return {
        "rows": [
            [
                _text(row["id"]),
                _text(row["prompt"]),
                _text(row["subject"]),
                _text(row["answer"]),
                row["clean"],
                row["corrupted"],
                _text(row["relation"] or "prompt"),
                [
                    _text(f"{100 * c.effect:+.1f}  {c.kind}, layer {c.layer}, {c.text} ({c.token})")
                    for c in best(row, list(row["scores"]), _BEST)
                ],
            ]
            for row in rows
        ]
    }


class Cell(NamedTuple):
    """One restored activation of a fact."""

    effect: float
    kind: str
    layer: int
    token: int
    text: str  # of the token
    role: str


def best(row: Row, kinds: Sequence[str], number: int = 1) -> list[Cell]:
    """The cells of a fact with the largest indirect effects, the largest first.

    Args:
        row: Of `results.jsonl`.
        kinds: Among which.
        number: How many.
    """
    found = []
    for kind in kinds:
        stack = kind.partition(".")[0]
        # Of a subject of one token, its first and its last: that is called the last.
        roles = {n: role for role, places in row["roles"][stack].items() for n in places}
        values = effects(row, kind)
        for token, layer in np.ndindex(*values.shape):
            effect, text = float(values[token, layer]), row["tokens"][stack][token]
            found.append(Cell(effect, kind, layer, token, text, roles[token]))
    return sorted(found, reverse=True)[:number]


def _text(value: Any) -> str:
    return visible(clip(str(value), _KEPT))
