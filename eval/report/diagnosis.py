"""A diagnosis in words: the cause first, and its size."""

import os
import pathlib

from closedbook.eval.diagnosis.results import Cause, Diagnosis, Kind
from closedbook.eval.report import numbers
from closedbook.eval.report.markdown import table
from closedbook.eval.report.outputs import replacing, write_json, write_text
from closedbook.eval.report.text import PARAGRAPH, inline
from closedbook.eval.report.text import markdown as safe


def heads(found: Diagnosis) -> list[tuple[str, str]]:
    """The files with their scores, and the gap: names, and what is said of them."""
    lines = []
    for side in found.sides:
        rows = numbers.counted(side.rows, "row")
        if side.questions != side.rows:
            rows += f" of {numbers.counted(side.questions, 'question')}"
        splits = f", {', '.join(side.splits)}" if side.splits else ""
        said = f"exact match {numbers.percent(side.score)}%  ({found.protocol}, {rows}{splits})"
        lines.append((inline(side.name, 60), inline(said)))
    if found.gap is not None:
        lines.append(("gap", f"{numbers.signed(found.gap)} points, of which"))
    return lines


def cells(found: Diagnosis, cause: Cause) -> tuple[str, str, str]:
    """Points, kind and words of a cause."""
    then = f": {numbers.percent(cause.score)}%" if cause.kind != Kind.SYSTEMS else ""
    return numbers.signed(cause.points), str(cause.kind), f"{cause.text}{then}"


def nothing(found: Diagnosis) -> str:
    """What is said where nothing was found; empty where something was."""
    return "" if found.causes else "nothing was found that would change the score"


def render_markdown(found: Diagnosis) -> str:
    """The diagnosis as Markdown."""
    title = " and ".join(safe(side.name) for side in found.sides)
    parts = [
        f"# Why is it this score? {title}",
        *(f"{safe(name)}: {safe(said)}" for name, said in heads(found)),
        table(("Points", "What", "How"), [cells(found, cause) for cause in found.causes])
        if found.causes
        else nothing(found),
        *(f"{safe(note, PARAGRAPH)}." for note in found.notes),
    ]
    return "\n\n".join(parts) + "\n"


def write(found: Diagnosis, out: str | os.PathLike[str], *, force: bool = False) -> None:
    """Writes summary.json and report.md into a new folder.

    Raises:
        UserError: The folder must not be written (see `outputs.check_target`).
    """
    with replacing(pathlib.Path(out), force=force) as folder:
        write_json(folder / "summary.json", found.to_json())
        write_text(folder / "report.md", render_markdown(found))
