"""Labels that people gave to triggers, read back into figure 2 of Geva et al. 2021."""

import collections
import csv
import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from closedbook.errors import UserError
from closedbook.eval import intervals
from closedbook.eval.analysis.summarized import Json
from closedbook.eval.report import charts, html
from closedbook.knowledge import result_folders
from closedbook.knowledge.memories.analyses import drawing, results
from closedbook.knowledge.memories.analyses.tables import Row
from closedbook.knowledge.memories.cells import Cell, Sign
from closedbook.knowledge.memories.index import Index

_TEMPLATES = pathlib.Path(__file__).parent / "templates"
FEWEST = 3  # triggers that a pattern must recur in (section 3.1)
NONE = "none"  # where a memory was looked at and has no pattern
_KINDS = ("shallow", "semantic")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Labelled:
    """A memory that people have looked at.

    Attributes:
        cell: The memory.
        triggers: Of each trigger, kind -> names of the patterns that it has.
        places: Of each trigger, its sign and number from 1, as the sheet has them; empty where the
            file has no such columns.
    """

    cell: Cell
    triggers: Sequence[Mapping[str, frozenset[str]]]
    places: Sequence[tuple[Sign, str]] = ()

    def patterns(self, kind: str) -> frozenset[str]:
        """The patterns of a kind that recur in at least FEWEST triggers."""
        times = collections.Counter(name for each in self.triggers for name in each[kind])
        return frozenset(name for name, count in times.items() if count >= FEWEST)

    def rare(self) -> int:
        """How many patterns were named that recur in fewer."""
        named = sum(len({n for t in self.triggers for n in t[kind]}) for kind in _KINDS)
        return named - sum(len(self.patterns(kind)) for kind in _KINDS)

    def labels(self) -> list[str]:
        """Of each trigger: which kinds of the memory's patterns it has, one of drawing.LABELS."""
        own = {kind: self.patterns(kind) for kind in _KINDS}
        has = ([kind for kind in _KINDS if each[kind] & own[kind]] for each in self.triggers)
        return [" and ".join(kinds) or "not covered" for kinds in has]


def read(path: pathlib.Path) -> tuple[list[Labelled], int]:
    """The labelled memories of a sheet, and how many nobody has looked at.

    A memory counts as looked at if a pattern or the word "none" stands beside one of its triggers.
    Several patterns of a trigger are separated by ";".

    Raises:
        UserError: The file cannot be read, is no sheet, or no memory of it is labelled.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            # Spreadsheets write semicolons where a comma parts the digits of numbers.
            reader = csv.DictReader(file, delimiter=max(",;\t", key=first.count))
            missing = {"memory", *_KINDS} - set(reader.fieldnames or ())
            if missing:
                raise UserError(
                    f"{path} has no column {', '.join(sorted(missing))}; give the sheet.csv that "
                    "`closedbook memories sheet` wrote, with its first line"
                )
            rows = [(reader.line_num, row) for row in reader if any(row.values())]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        remedy = "; save it as CSV in UTF-8" * (not isinstance(error, OSError))
        raise UserError(f"cannot read the labels in {path}: {error}{remedy}") from error
    by_cell: dict[Cell, list[dict[str, frozenset[str]]]] = {}
    places: dict[Cell, dict[tuple[Sign, str], int]] = {}  # to their lines
    looked: set[Cell] = set()
    for line, row in rows:
        try:
            cell = Cell.parse(row["memory"] or "")
        except UserError as error:
            raise UserError(f"{path}:{line}: {error}") from error
        named = {kind: _names(row[kind]) for kind in _KINDS}
        if any(named.values()):
            looked.add(cell)
        without = {kind: names - {NONE} for kind, names in named.items()}
        by_cell.setdefault(cell, []).append(without)
        if row.get("trigger") is None:
            continue
        sign: Sign = "negative" if row.get("sign") == "negative" else "positive"
        place = sign, row["trigger"].strip()
        before = places.setdefault(cell, {}).setdefault(place, line)
        if before != line:
            raise UserError(
                f"{path}:{line}: trigger {place[1]} of {cell.name} stands in line {before} "
                "already; leave one of the two"
            )
    if not looked:
        raise UserError(
            f"{path}: no memory is labelled; write names of patterns into the columns shallow and "
            f'semantic, or "{NONE}" where a memory has no pattern'
        )
    if len(stacks := sorted({cell.stack for cell in by_cell})) > 1:
        raise UserError(
            f"{path} holds memories of the {' and of the '.join(stacks)}, whose layers are not the "
            "same; give a file for each"
        )
    found = [
        Labelled(cell=cell, triggers=triggers, places=tuple(places.get(cell, ())))
        for cell, triggers in by_cell.items()
        if cell in looked
    ]
    return found, len(by_cell) - len(looked)


def check(found: Sequence[Labelled], index: Index, path: pathlib.Path) -> None:
    """Checks labels against the index whose memories the sheet has.

    Args:
        found: Of `read`.
        index: Of triggers.
        path: Of the file, for messages.

    Raises:
        UserError: The index has no such memory or trigger, or triggers are missing that other
            memories of the sheet have.
    """
    numbers = {number for each in found for _, number in each.places if number.isdecimal()}
    most = max(map(int, numbers), default=0)
    for each in found:
        index.check(each.cell)
        for sign in dict.fromkeys(sign for sign, _ in each.places):
            there = {number for of, number in each.places if of == sign}
            has = len(index.triggers(each.cell, sign))
            wanted = {str(number + 1) for number in range(min(most, has))}
            if unknown := sorted(there - wanted):
                raise UserError(
                    f"{path}: {each.cell.name} has no trigger {unknown[0]!r}, the index has {has} "
                    "of it; give the sheet of this index"
                )
            if there < wanted:
                raise UserError(
                    f"{path}: {len(there)} of the {len(wanted)} triggers of {each.cell.name} are "
                    "there; give the whole sheet"
                )


def _names(text: str | None) -> frozenset[str]:
    names = (" ".join(each.split()).casefold() for each in (text or "").split(";"))
    return frozenset(name for name in names if name)


def tables(found: Sequence[Labelled]) -> dict[str, list[Row]]:
    """Figure 2, and how many patterns memories have, per layer.

    Intervals draw whole memories.
    """
    shares: list[Row] = []
    patterns: list[Row] = []
    for layer in sorted({each.cell.layer for each in found}):
        own = [each for each in found if each.cell.layer == layer]
        labels = [label for each in own for label in each.labels()]
        clusters = [each.cell.number for each in own for _ in each.triggers]
        for name in drawing.LABELS:
            hits = [float(label == name) for label in labels]
            low, high = intervals.of_mean(hits, clusters=clusters)
            value = sum(hits) / len(hits)
            of = {"mean": value, "low": low, "high": high, "n": len(hits)}
            shares.append({"layer": layer, "label": name, **of, "memories": len(own)})
        counts = [[len(each.patterns(kind)) for kind in _KINDS] for each in own]
        patterns.append(
            {
                "layer": layer,
                "memories": len(own),
                "with_a_pattern": sum(sum(each) > 0 for each in counts),
                "shallow_per_memory": sum(each[0] for each in counts) / len(own),
                "semantic_per_memory": sum(each[1] for each in counts) / len(own),
                "too_rare": sum(each.rare() for each in own),
            }
        )
    return {"labels": shares, "patterns_per_memory": patterns}


def write(
    found: Sequence[Labelled],
    unlabelled: int,
    out: str | os.PathLike[str],
    meta: Mapping[str, Any],
    command: Mapping[str, Json],
    *,
    force: bool = False,
) -> pathlib.Path:
    """Writes the folder of results of labels; see `result_folders.write`.

    Args:
        found: The labelled memories.
        unlabelled: How many memories of the sheet nobody has looked at.
        out: The folder to make.
        meta: Of the sheet: "model", "corpus", "stack", "trigger".
        command: Of `result_folders.command`.
        force: Whether to replace results that are there.

    Raises:
        UserError: The folder must not be written, or the disk refuses.
    """
    made = tables(found)
    counts = {"memories": len(found), "unlabelled": unlabelled}
    rows: list[Row] = [
        {
            "memory": each.cell.name,
            **{kind: sorted(each.patterns(kind)) for kind in _KINDS},
            "labels": each.labels(),
        }
        for each in found
    ]
    spec = drawing.labels(charts.PAGE, made["labels"])
    page = html.page(
        _TEMPLATES / "labels.html",
        script=_TEMPLATES / "labels.js",
        data={"rows": [[row[name] for name in ("memory", *_KINDS)] for row in rows]},
        meta=meta,
        counts=counts,
        figure=html.figure(spec, "Labels of triggers by layer; the table below has the numbers."),
        tables=made,
        fewest=FEWEST,
    )
    return result_folders.write(
        out,
        page=page,
        summary={**meta, **counts, "tables": made},
        rows=rows,
        command=command,
        figures={"labels": drawing.labels(charts.PAPER, made["labels"])},
        tables={name: results.table(each) for name, each in made.items()},
        force=force,
    )
