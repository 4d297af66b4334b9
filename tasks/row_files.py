"""What stands in a local file of questions, object by object; needs no TensorFlow.

The form is told from the file's name and content:
- `.jsonl`, `.jsonl.gz`: one object per line;
- `.json`: a list of objects, or TriviaQA's `{"Data": [...]}`;
- `.csv`, `.tsv`, `.txt`: a table with a line of column names, of any separator; or without one
  two columns, question and answers, with a tab between (DPR's files).
"""

import csv
import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any

from closedbook.errors import UserError
from closedbook.eval.files import json_lines, tables, text_files
from closedbook.eval.files.forms import columns

FORM = '{"question": "...", "answer": ["...", ...]}'
_TABLE = (
    "a question, a tab and its answers, such as ['Paris', 'Paris, France'] or one text, in each "
    "line; or a first line of column names such as question,answers"
)
_TABLES = (*tables.SUFFIXES, ".txt")
_TRIVIA_QA_START = re.compile(r'\s*\{(?:\s*"(?!Data")\w+"\s*:\s*[^\[{,]*,)*\s*"Data"\s*:\s*\[')


def objects(path: pathlib.Path, on_fault: json_lines.OnFault) -> Iterator[tuple[str, Any]]:
    """The place, file and line, and the content of each row.

    Args:
        path: The file.
        on_fault: Told of rows that cannot be read; the others follow.

    Raises:
        UserError: The file cannot be read, or what is wrong with it ends no row.
    """
    suffix = text_files.suffix(path)
    if suffix == ".json":
        return _json_objects("".join(line for _, line in _lines(path)), path)
    if suffix not in _TABLES:
        return _jsonl_objects(path, on_fault)
    first = next((line for _, line in _lines(path) if line.strip()), "")
    separators = (tables.separator(path), ",", "\t", ";", "|")
    if any(_are_names(tables.header(first, mark)) for mark in separators):
        return _table_objects(path, on_fault)
    return _two_columns(path, on_fault)


def _lines(path: pathlib.Path) -> Iterator[tuple[int, str]]:
    return text_files.lines(path, what="questions", remedy=f"give rows such as {FORM}, or {_TABLE}")


def _jsonl_objects(path: pathlib.Path, on_fault: json_lines.OnFault) -> Iterator[tuple[str, Any]]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except (ValueError, RecursionError) as error:
            what = getattr(error, "msg", "a number or a nesting that cannot be read")
            column = getattr(error, "colno", 1)
            on_fault(
                UserError(
                    f"{path}:{number}: not JSON ({what} at column {column}); each line must have "
                    f"the form {FORM}"
                )
            )
            continue
        yield f"{path}:{number}", content


def _json_objects(text: str, path: pathlib.Path) -> Iterator[tuple[str, Any]]:
    """Elements one by one, so that an error has its line."""
    wrapped = _TRIVIA_QA_START.match(text)
    position = wrapped.end() if wrapped else len(text) - len(text.lstrip())
    if not text.strip():
        return
    if not wrapped:
        if text[position] != "[":
            raise UserError(
                f'{path}:1: neither a list of questions nor TriviaQA\'s {{"Data": [...]}}'
            )
        position += 1
    decoder, line, counted = json.JSONDecoder(), 1, 0
    separator = re.compile(r"[\s,]*")
    while True:
        position = separator.match(text, position).end()  # type: ignore[union-attr]
        line += text.count("\n", counted, position)
        counted = position
        if text[position : position + 1] == "]":
            return
        try:
            content, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise UserError(
                f"{path}:{error.lineno}: not JSON ({error.msg} at column {error.colno}); "
                "is the file cut short?"
            ) from error
        yield f"{path}:{line}", content


def _are_names(cells: list[str]) -> bool:
    found = columns.guess(cells).paths
    return "question" in found and "answers" in found


def _table_objects(path: pathlib.Path, on_fault: json_lines.OnFault) -> Iterator[tuple[str, Any]]:
    rows = tables.cells(
        path,
        what="questions",
        remedy=f"give {_TABLE}",
        names=lambda cells: _are_names(list(cells)),
        on_fault=on_fault,
    )
    for number, row in rows:
        place, answers = f"{path}:{number}", columns.guess(row).paths["answers"]
        with json_lines.noted(on_fault), json_lines.place(place):
            yield place, {**row, answers: tables.answers(row[answers]) if row[answers] else []}


def _two_columns(path: pathlib.Path, on_fault: json_lines.OnFault) -> Iterator[tuple[str, Any]]:
    for number, line in _lines(path):  # "\n" alone ends one: others stand in questions
        if not line.strip():
            continue
        place = f"{path}:{number}"
        with json_lines.noted(on_fault), json_lines.place(place):
            try:
                question, listed = next(csv.reader([line.rstrip("\r\n")], delimiter="\t"))
                answers = tables.answers(listed) if listed.strip() else []
            except (ValueError, csv.Error, UserError) as error:
                raise UserError(f"expected {_TABLE}") from error
            yield place, {"question": question, "answers": answers}
