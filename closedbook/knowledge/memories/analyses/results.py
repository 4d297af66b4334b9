"""The folder of results of the analyses: tables, figures and a page."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from closedbook.eval.analysis.summarized import Json
from closedbook.eval.report import charts, html
from closedbook.eval.report.text import clip, visible
from closedbook.knowledge import result_folders
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.memories.analyses import drawing, run
from closedbook.knowledge.memories.analyses.explained import TABLES
from closedbook.knowledge.memories.analyses.tables import Row
from closedbook.knowledge.memories.index import Index
from closedbook.knowledge.memories.sources import Corpus

_TEMPLATES = pathlib.Path(__file__).parent / "templates"
_SHOWN = 5000  # memories in the page's table
_CONVENTIONS = {
    "raw": "values and residual streams times the output matrix, as in the paper",
    "scaled": "the final norm applied first: to values its scale alone, to residual streams all "
    "of it, so that after the last layer they are the model's own logits",
    "layer": "counted from 1 in figures, from 0 in tables, files and names of memories",
    "interval": "95%: Wilson's of shares; of means a bootstrap, of fewer than ten values "
    "Student's; of removals it draws memories",
    "active": "coefficient above 0 (ReLU); of other units |m||v|, coefficient times length of the "
    "value, above 1% of the layer's largest",
    "mean, low, high, n": "a share or a mean, its interval, and of how many",
    "dealt": "the same if the layer's triggers or next tokens were dealt out anew: chance",
    "q5 to q95": "quantiles over the layer's memories; q50 is the median",
    "short": "of the positions, the share that fewer than five tokens lead up to; "
    "short_where_one_does: of those where a memory promotes the layer's token",
}
_ASKED = {  # settings in words
    "positions": "positions at which layers are read",
    "keys": "memories per layer whose triggers lose a token",
    "triggers": "triggers of each of them",
    "seed": "seed of what is drawn",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What the analyses found.

    Attributes:
        meta: Model, index, corpus, settings and conventions.
        tables: Of `run.analyse`.
        command: Arguments, versions and the model's hash.
    """

    meta: Mapping[str, Any]
    tables: Mapping[str, list[Row]]
    command: Mapping[str, Json]


def of(
    tables: run.Tables,
    model: LoadedModel,
    index: Index,
    corpus: Corpus,
    settings: run.Settings,
    arguments: Mapping[str, Any],
) -> Result:
    """The result of the analyses, with what it must say of itself.

    Args:
        tables: Of `run.analyse`.
        model: The model.
        index: Of its triggers.
        corpus: Whose positions were looked at.
        settings: How much was.
        arguments: Of the command.
    """
    stacks = {
        name: {"layers": cells.layers, "memories": cells.count, "signs": list(cells.signs)}
        for name, cells in index.cells.items()
    }
    manifest = index.manifest
    meta = {
        "model": index.model_name,
        "title": model.config.title,
        "step": model.step,
        "corpus": manifest["corpus"],
        "triggers": {name: manifest["stacks"][name]["trigger"] for name in stacks},
        "t": index.t,
        "positions_from": corpus.name,
        "stacks": stacks,
        "settings": dataclasses.asdict(settings),
        "conventions": _CONVENTIONS,
    }
    command = result_folders.command(model, index.model_name, arguments)
    return Result(meta=meta, tables=tables, command=command)


def write(result: Result, out: str | os.PathLike[str], *, force: bool = False) -> pathlib.Path:
    """Writes the folder; see `result_folders.write`.

    Args:
        result: What was found.
        out: The folder to make.
        force: Whether to replace results that are there.

    Raises:
        UserError: The folder must not be written, or the disk refuses.
    """
    shown = {name: rows for name, rows in result.tables.items() if name != run.CELLS}
    return result_folders.write(
        out,
        page=render(result),
        summary={**result.meta, "tables": shown},
        rows=result.tables.get(run.CELLS, []),
        command=result.command,
        figures=drawing.specs(result.tables),
        tables={name: table(rows) for name, rows in shown.items() if rows},
        force=force,
    )


def table(rows: Sequence[Row]) -> result_folders.Table:
    """A table of rows that all have the same columns."""
    columns = list(rows[0])
    return result_folders.Table(columns, [[row[name] for name in columns] for row in rows])


def render(result: Result) -> str:
    """The page: one HTML file that needs no network."""
    drawn = drawing.specs(result.tables, charts.PAGE)
    parts = [
        {
            "id": name,
            "explained": explained,
            "figures": [
                html.figure(drawn[figure], f"{explained.title}; the table below has the numbers.")
                for figure in explained.figures
                if figure in drawn
            ],
            "columns": list(result.tables[name][0]),
            "rows": [list(map(_shown, row.values())) for row in result.tables[name]],
        }
        for name, explained in TABLES.items()
        if result.tables.get(name)
    ]
    return html.page(
        _TEMPLATES / "analyses.html",
        script=_TEMPLATES / "analyses.js",
        data={"rows": _memories(result.tables.get(run.CELLS, []))},
        meta=result.meta,
        asked=[(_ASKED[name], value) for name, value in result.meta["settings"].items()],
        parts=parts,
        shown=_SHOWN,
        memories=len(result.tables.get(run.CELLS, [])),
    )


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _memories(rows: Sequence[Row]) -> Any:
    """What the page's table of memories reads: one list a row, the surest values first.

    A row holds: name, sign, triggers, share of the same last token, top token raw and scaled,
    its probability (scaled), the next token of the top trigger, its rank (scaled), agreement.
    """

    def sure(row: Row) -> float:
        return -row["scaled"]["probability"] if "scaled" in row else 0.0

    def text(value: str | None) -> str | None:
        return None if value is None else visible(clip(value, 200))

    return [
        [
            row["memory"],
            row["sign"],
            row["triggers"],
            row["same last token"],
            *((text(row[kind]["top"]) if kind in row else None) for kind in ("raw", "scaled")),
            row["scaled"]["probability"] if "scaled" in row else None,
            text(row.get("next")),
            row["scaled"]["rank of next"] if "scaled" in row else None,
            bool("scaled" in row and row["scaled"]["agrees"]),
        ]
        for row in sorted(rows, key=sure)[:_SHOWN]
    ]
