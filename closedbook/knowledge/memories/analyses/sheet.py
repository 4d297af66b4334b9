"""A sheet of triggers for people to label, as Geva et al. 2021 had them labelled (section 3).

Ten memories per layer are drawn, each with its 25 strongest triggers. People look for patterns:
what recurs in at least three of a memory's triggers. A pattern is shallow (a word, an n-gram) or
semantic (a topic, a kind of thing); each trigger may have several. `labels` reads the sheet back.
"""

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from closedbook.eval.analysis.summarized import Json
from closedbook.eval.report import html
from closedbook.knowledge import result_folders
from closedbook.knowledge.loaded_model import LoadedModel
from closedbook.knowledge.memories.analyses import patterns, removal
from closedbook.knowledge.memories.cells import Cell
from closedbook.knowledge.memories.index import Index
from closedbook.knowledge.memories.triggers import marked
from closedbook.vocabulary.protocol import AnyVocabulary

_TEMPLATES = pathlib.Path(__file__).parent / "templates"
KEYS = 10  # memories per layer, as in the paper
NAME = "sheet"  # of its table
COLUMNS = (
    *("memory", "sign", "trigger", "coefficient", "input", "before", "marked", "after"),
    *("shallow", "semantic"),  # what people fill in
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sheet:
    """What is to be labelled.

    Attributes:
        rows: A trigger each, with the texts of COLUMNS; the last two are empty.
        meta: Model, corpus, what a trigger is, how many memories per layer, the seed.
    """

    rows: list[dict[str, Any]]
    meta: Mapping[str, Any]


def draw(
    index: Index,
    vocabulary: AnyVocabulary,
    stack: str,
    *,
    keys: int = KEYS,
    triggers: int = patterns.TOP,
    seed: int = 0,
) -> Sheet:
    """Draws memories and their strongest triggers.

    Args:
        index: Of triggers.
        vocabulary: Of its model.
        stack: Whose memories.
        keys: Memories per layer.
        triggers: Of each at most.
        seed: Another one draws others.

    Raises:
        UserError: The index has no such stack.
    """
    cells = index.check(Cell(stack, 0, 0))
    rows = []
    for layer, chosen in enumerate(removal.sample(index, cells, keys, seed)):
        for number, sign in chosen:
            cell = Cell(stack, layer, number)
            for n, trigger in enumerate(index.triggers(cell, sign)[:triggers], 1):
                text = marked(trigger, vocabulary)
                rows.append(
                    {
                        "memory": cell.name,
                        "sign": sign,
                        "trigger": n,
                        "coefficient": trigger.coefficient,
                        "input": text.inputs,
                        "before": text.before,
                        "marked": text.at,
                        "after": text.after,
                        "shallow": "",
                        "semantic": "",
                    }
                )
    drawn = {"per_layer": keys, "triggers": triggers, "seed": seed}
    return Sheet(rows=rows, meta={**meta(index, stack), **drawn})


def meta(index: Index, stack: str) -> dict[str, Any]:
    """What pages say of the memories: model, corpus, stack, what a trigger is."""
    return {
        "model": index.model_name,
        "corpus": index.manifest["corpus"],
        "stack": stack,
        "trigger": index.manifest["stacks"][stack]["trigger"],
    }


def write(
    sheet: Sheet,
    model: LoadedModel,
    out: str | os.PathLike[str],
    arguments: Mapping[str, object],
    *,
    force: bool = False,
) -> pathlib.Path:
    """Writes the sheet: report.html to label on a screen, tables/sheet.csv for a spreadsheet.

    Args:
        sheet: Of `draw`.
        model: Whose memories.
        out: The folder to make.
        arguments: Of the command.
        force: Whether to replace results that are there.

    Raises:
        UserError: The folder must not be written, or the disk refuses.
    """
    table = result_folders.Table(COLUMNS, [[row[name] for name in COLUMNS] for row in sheet.rows])
    command: Mapping[str, Json] = result_folders.command(model, str(sheet.meta["model"]), arguments)
    return result_folders.write(
        out,
        page=render(sheet),
        summary=sheet.meta,
        rows=sheet.rows,
        command=command,
        figures={},
        tables={NAME: table},
        force=force,
    )


def render(sheet: Sheet) -> str:
    """The page with fields to fill in; it saves them as a file of the sheet's own form."""
    by_memory: dict[str, list[dict[str, Any]]] = {}
    for number, row in enumerate(sheet.rows):
        by_memory.setdefault(row["memory"], []).append({**row, "number": number})
    return html.page(
        _TEMPLATES / "sheet.html",
        script=_TEMPLATES / "sheet.js",
        data={
            "columns": list(COLUMNS),
            "rows": [[row[name] for name in COLUMNS] for row in sheet.rows],
        },
        meta=sheet.meta,
        memories=by_memory,
    )
