"""The folder of results of any system of `knowledge`: rows, means, figures and a page.

    with unfinished(out) as kept: ...   # what a killed command has done, beside the folder
    write(out, page=..., summary=..., rows=..., command=command(model, name, arguments), ...)

A folder is whole or not there. What another version wrote into it goes with it, because each
says in `command.json` which files are its own; other people's files in it stay.
"""

import contextlib
import csv
import dataclasses
import errno
import fcntl
import importlib.metadata
import io
import json
import os
import pathlib
import platform
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import closedbook
from closedbook.errors import UserError
from closedbook.eval.analysis.summarized import Json, plain
from closedbook.eval.report import charts, outputs

check_target = outputs.check_target

_COMMAND = "command.json"
# A spreadsheet may run a text that begins so; some read the wide forms as the narrow ones.
_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r]")


@dataclasses.dataclass(frozen=True)
class Table:
    """A table that is written as JSON and as CSV.

    Attributes:
        columns: Their names.
        rows: A value per column: text, numbers or None.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Json]]

    def as_csv(self) -> str:
        """The table for a spreadsheet; a text that one would run as a formula gets a quote."""
        file = io.StringIO(newline="")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(self.columns)
        for row in self.rows:
            writer.writerow(_cell(value) for value in row)
        return file.getvalue()

    def as_json(self) -> list[Json]:
        """A list of objects, one per row."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def _cell(value: Json) -> Json:
    if isinstance(value, str) and _FORMULA.match(value):
        return f"'{value}"
    return "" if value is None else value


class AnyModel(Protocol):
    """Which model it was, and what ran it: `LoadedModel` and `TorchModel` are such."""

    @property
    def step(self) -> int:
        """The checkpoint's; 0 where it has none."""

    @property
    def sha256(self) -> str:
        """The hash of parameters and vocabulary, in hexadecimals."""

    @property
    def packages(self) -> tuple[str, ...]:
        """That it runs on."""


def command(model: AnyModel, name: str, arguments: Mapping[str, object]) -> dict[str, Json]:
    """What command.json says: arguments, versions and which model it was.

    Args:
        model: What was looked into.
        name: The model as the user names it.
        arguments: Of the command.
    """
    return {
        "closedbook": closedbook.__version__,
        "arguments": plain(dict(arguments)),
        "model": {"name": name, "step": model.step, "sha256": model.sha256},
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in model.packages},
        },
    }


def write(
    out: str | os.PathLike[str],
    *,
    page: str,
    summary: Mapping[str, object],
    rows: Iterable[object],
    command: Mapping[str, Json],
    figures: Mapping[str, charts.Spec],
    tables: Mapping[str, Table] | None = None,
    force: bool = False,
) -> pathlib.Path:
    """Writes report.html, summary.json, results.jsonl, command.json, figures/ and tables/.

    Args:
        out: The folder to make.
        page: The HTML of report.html.
        summary: Means with their n and intervals; dataclasses of numbers in it become objects.
        rows: One per fact or cell, as JSON has them.
        command: Of `command`.
        figures: Name -> Vega-Lite, written as SVG and PNG.
        tables: Name -> table, written as JSON and CSV; no folder of tables if None.
        force: Whether to replace results that are there.

    Returns:
        The folder.

    Raises:
        UserError: The folder must not be written (see `check_target`), or the disk refuses.
    """
    out = pathlib.Path(out)
    files: dict[str, bytes] = {}
    for name, spec in figures.items():
        files[f"figures/{name}.svg"] = charts.svg(spec).encode()
        files[f"figures/{name}.png"] = charts.png(spec)
    for name, table in (tables or {}).items():
        text = json.dumps(table.as_json(), ensure_ascii=False, indent=1, allow_nan=False)
        files[f"tables/{name}.json"] = f"{text}\n".encode()
        files[f"tables/{name}.csv"] = table.as_csv().encode()
    own = sorted({_COMMAND, "summary.json", "results.jsonl", "report.html", *files})
    with outputs.replacing(out, force=force, ours={*own, *_written_before(out)}) as folder:
        outputs.write_json(folder / "summary.json", _object(summary))
        outputs.write_lines(folder / "results.jsonl", rows)
        outputs.write_json(folder / _COMMAND, {**command, "files": list(own)})
        outputs.write_text(folder / "report.html", page)
        for place in sorted({name.partition("/")[0] for name in files}):
            inside = {n.partition("/")[2]: data for n, data in files.items() if n.startswith(place)}
            outputs.write_files(folder / place, inside)
    return out


def _written_before(out: pathlib.Path) -> set[str]:
    """The files that a former run says it wrote into the folder."""
    try:
        files = json.loads((out / _COMMAND).read_bytes())["files"]
        return {name for name in files if isinstance(name, str)}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _object(values: Mapping[str, object]) -> dict[str, Json]:
    return {name: plain(value) for name, value in values.items()}


@contextlib.contextmanager
def unfinished(out: pathlib.Path) -> Iterator[pathlib.Path]:
    """The folder beside a result that keeps what is done until it is written; then it goes.

    Raises:
        UserError: Another command works in it now, it cannot be made, or the disk is full.
    """
    folder = out.with_name(f"{out.name}.unfinished")
    made = [parent for parent in folder.parents if not parent.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise UserError(
            f"cannot make {folder}, which keeps what is done until {out} is whole: "
            f"{error.strerror}; give another --out"
        ) from error
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"another command is making {out} and works in {folder}; wait for it, or give "
                "another --out"
            ) from error
        except OSError:  # some file systems have no locks
            pass
        yield folder
        shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        if not _is_full(error):
            raise
        raise UserError(
            f"the disk of {out} is full ({error.strerror or error}); make room and run the same "
            "command again, which goes on with what it has kept, or give another --out"
        ) from error
    finally:
        os.close(held)
        with contextlib.suppress(OSError):
            for empty in (folder, *made):  # where nothing was kept, nor written beside it
                empty.rmdir()


def _is_full(error: OSError) -> bool:
    """Whether a disk has no room; NumPy says so in words alone ("9 requested and 2 written")."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT) or "requested and" in str(error)
