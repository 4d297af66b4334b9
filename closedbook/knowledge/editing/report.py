"""The page, the numbers and the figure of one run of `closedbook edit`."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from closedbook.eval.analysis.summarized import plain
from closedbook.eval.report import charts, html
from closedbook.eval.report.text import clip, visible
from closedbook.knowledge import result_folders
from closedbook.knowledge.editing.effects import GROUPS, Asked
from closedbook.knowledge.editing.settings import Settings
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.result_folders import Table

if TYPE_CHECKING:
    from closedbook.knowledge.editing.job import Result

_TEMPLATES = pathlib.Path(__file__).parent / "templates"
_LONGEST = 300  # characters of a text on the page
_LOSS = "loss of the search for the value, by step"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """What the folder of results is made of.

    Attributes:
        meta: What the page's head and its table of conventions say.
        summary: As summary.json has it.
        rows: As results.jsonl has them.
        command: As command.json has it.
        figures: Name -> Vega-Lite.
        tables: Name -> table.
        drawn: The figures in the page's own colours.
    """

    meta: Mapping[str, Any]
    summary: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    command: Mapping[str, Any]
    figures: Mapping[str, charts.Spec]
    tables: Mapping[str, Table]
    drawn: Mapping[str, charts.Spec]


def of(
    result: "Result",
    model: LoadedModel,
    source: str,
    settings: Settings,
    arguments: Mapping[str, object],
) -> Report:
    """Everything that is written about a run."""
    effects, records = result.effects, result.delta.records
    changed = [each for each in effects.others if each.changed]
    summary = {
        "edits": len(records),
        "told": effects.told(),
        "kept": effects.kept(),
        "others": effects.counts(),
        "seconds": result.done.seconds,
        "null_space": dict(result.null_ranks),
        "records": list(records),
    }
    meta = {
        "model": source,
        "method": settings.method,
        "edits": records,
        "counts": effects.counts(),
        "told": effects.told(),
        "kept": effects.kept(),
        "prompts": effects.prompts,
        "changed": len(changed),
        "others": len(effects.others),
        "conventions": _conventions(result, settings),
    }
    columns = ("kind", "question", "right", "before", "after", "right before", "right after")
    shown = (*effects.prompts, *changed)
    return Report(
        meta=meta,
        summary=summary,
        rows=[each.as_row() for each in (*effects.prompts, *effects.others)],
        command=result_folders.command(model, source, arguments),
        figures=_figures(records, charts.PAPER),
        tables={"changed": Table(columns, [_cells(each) for each in shown])},
        drawn=_figures(records, charts.PAGE),
    )


def render(made: Report) -> str:
    """The page: one HTML file that needs no network."""
    rows = [row for row in made.rows if row["before"] != row["after"] or row["kind"] not in GROUPS]
    return html.page(
        _TEMPLATES / "edit.html",
        script=_TEMPLATES / "edit.js",
        data=plain({"rows": [_row(row) for row in rows]}),
        m=made.meta,
        figures={name: html.figure(spec, _LOSS) for name, spec in made.drawn.items()},
    )


def _row(row: Mapping[str, Any]) -> list[Any]:
    """A row as the page's script reads it."""
    texts = [visible(clip(str(row[name]), _LONGEST)) for name in ("id", "kind", "question")]
    right = visible(clip(" / ".join(row["objects"]), _LONGEST))
    said = [visible(clip(row[name] or "–", _LONGEST)) for name in ("before", "after")]
    return [*texts, right, *said, int(row["was_right"]), int(row["is_right"])]


def _cells(each: Asked) -> tuple[Any, ...]:
    right = " / ".join(each.objects)
    said = (each.before, each.after, each.was_right, each.is_right)
    return (each.kind, each.question, right, *said)


def _conventions(result: "Result", settings: Settings) -> dict[str, str]:
    """Under which rules the numbers were earned, in words."""
    told = {
        "Answers": "free and greedy, no gold tokens, to their natural end; right by exact match "
        "under SQuAD's normalisation; the rest of a sentence, if it begins with what is right",
        "Before": "the stored original, never a model that was edited already",
        "Key": f"{settings.key_mode}; value seen as {settings.effect}",
        "Places": ", ".join(dict.fromkeys(str(place) for place in result.done.changes)),
        "Search": f"Adam at {settings.value.learning_rate:g}, at most {settings.value.steps} "
        f"steps, decay {settings.value.decay:g}, KL {settings.value.kl:g}, until the loss is "
        f"below {settings.value.stop:g}",
        "Intervals": "95%; of several edits they draw whole edits, of one they are Wilson's over "
        "questions",
    }
    if result.corpus:
        told["Second moment"] = (
            f"mean of {result.keys:,} keys of {result.corpus}, ridge {settings.ridge:g} of its "
            f"mean eigenvalue; keys of the subject's other facts weigh {settings.preserve:g}, "
            f"keys of earlier edits weigh {settings.key_weight * settings.accumulate_keys:g}"
        )
    for place, rank in result.null_ranks.items():
        told[f"Null space of {place}"] = f"{rank} dimensions; as many edits fit in exactly"
    return told


def _figures(
    records: Sequence[Mapping[str, Any]], palette: Mapping[str, str]
) -> dict[str, charts.Spec]:
    """The losses of the search, a line per edit, of the first ten edits."""
    data = [
        {
            "edit": visible(clip(f"{record['subject']} → {record['target']}", 40)),
            "step": i,
            "loss": x,
        }
        for record in records[:10]
        for i, x in enumerate(record.get("losses") or [])
    ]
    if not data:
        return {}
    spec = charts.chart(
        palette,
        _LOSS,
        data=data,
        height=180,
        mark={"type": "line", "strokeWidth": 1.5},
        encoding={
            "x": {"field": "step", "type": "quantitative", "title": "step"},
            "y": {"field": "loss", "type": "quantitative", "title": "loss"},
            "color": {"field": "edit", "type": "nominal", "title": None}
            if len(records) > 1
            else {"value": palette["accent"]},
        },
    )
    return {"losses": spec}
