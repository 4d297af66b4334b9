"""What a file holds, whoever wrote it: rows one by one, or one value."""

import dataclasses
import json
import os
import pathlib
import zipfile
from collections.abc import Iterator

from closedbook.errors import UserError
from closedbook.eval.files import json_lines, tables, text_files
from closedbook.eval.files.forms import arrow
from closedbook.eval.files.json_lines import OnFault

_ZIP = b"PK\x03\x04"
_MOST_OF_A_MEMBER = 1 << 26  # bytes of one sample in an archive, unpacked; as of a packed line


@dataclasses.dataclass(frozen=True)
class Rows:
    """Rows, each with its place in the file for messages.

    Attributes:
        kind: For people: "JSON lines".
        items: Place, and value.
        cells: Whether values are the text of cells, in which lists are not yet decoded.
    """

    kind: str
    items: Iterator[tuple[str, object]]
    cells: bool = False


@dataclasses.dataclass(frozen=True)
class Document:
    """One value that is the whole file."""

    value: object


def opened(
    path: str | os.PathLike[str],
    *,
    what: str,
    remedy: str,
    names: tables.Names,
    on_fault: OnFault | None = None,
) -> Rows | Document:
    """Looks into a file.

    Args:
        path: The file, or a folder of the `datasets` library.
        what: What it holds, in the plural, for messages.
        remedy: What to give instead if it cannot be read.
        names: Finds the line of column names in a table.
        on_fault: Told of rows that cannot be read; raised if None.

    Raises:
        UserError: The file cannot be read, or holds nothing.
    """
    path = pathlib.Path(path)
    start = _start(path)
    if arrow.is_one(path, start):
        return Rows("Arrow or Parquet", arrow.rows(path))
    if start.startswith(_ZIP):
        return Document(_archive(path))
    if tables.is_table(path) or (text_files.suffix(path) == ".txt" and not _is_json(path)):
        found = tables.cells(path, what=what, remedy=remedy, names=names, on_fault=on_fault)
        places = ((f"{path}:{number}", row) for number, row in found)
        return Rows("a table", places, cells=True)
    document = _document(path, what, remedy)
    if document is not None:
        return document
    lines = json_lines.read(path, what=what, remedy=remedy, on_fault=on_fault)
    return Rows("JSON lines", ((f"{path}:{number}", row) for number, row in lines))


def _start(path: pathlib.Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(8)
    except OSError:  # told of by whoever reads it in earnest
        return b""


def _is_json(path: pathlib.Path) -> bool:
    lines = text_files.lines(path, what="rows", remedy="give another file")
    first = next((line for _, line in lines if line.strip()), "")
    return first.lstrip()[:1] in ("{", "[")


def _document(path: pathlib.Path, what: str, remedy: str) -> Document | None:
    """The value of a file that is one object; None where each line is one, or the file a list."""
    lines = text_files.lines(path, what=what, remedy=remedy)
    first = next((line for _, line in lines if line.strip()), "")
    if not first.lstrip().startswith("{"):
        return None
    if _is_object(first):
        several = any(line.strip() for _, line in lines)
        return None if several else Document(_whole(path, first))
    if first.rstrip().endswith("}"):  # a row with a fault, which is told of by its line
        return None
    return Document(_whole(path, first + "".join(line for _, line in lines)))


def _whole(path: pathlib.Path, text: str) -> object:
    with json_lines.place(str(path)):
        return json_lines.decoded(text)


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _archive(path: pathlib.Path) -> dict[str, object]:
    """A log of inspect_ai (*.eval): the header, and the samples under "samples"."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {info.filename: info for info in archive.infolist()}
            samples = sorted(name for name in names if name.startswith("samples/"))
            if not samples or not any(name.endswith(".json") for name in samples):
                raise UserError(
                    f"{path} is a ZIP archive without samples/*.json, so no log of inspect_ai; "
                    "unpack it and give one file"
                )
            header = "header.json" if "header.json" in names else "_journal/start.json"
            read = {} if header not in names else _member(path, archive, names[header])
            found = [_member(path, archive, names[n]) for n in samples if n.endswith(".json")]
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise UserError(
            f"cannot unpack {path}: {error}; make it again, or write it as JSON: inspect log "
            "convert --to json"
        ) from error
    return {"eval": {}, **(read if isinstance(read, dict) else {}), "samples": found}


def _member(path: pathlib.Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> object:
    where = f"{path}, {info.filename}"
    with archive.open(info) as file:
        data = file.read(_MOST_OF_A_MEMBER + 1)
    if len(data) > _MOST_OF_A_MEMBER:
        raise UserError(f"{where} holds more than {_MOST_OF_A_MEMBER >> 20} MB; unpack it")
    with json_lines.place(where):
        try:
            return json_lines.decoded(data.decode())
        except UnicodeDecodeError as error:
            raise UserError(f"byte {error.start + 1} is not UTF-8") from error
