"""Tables of questions, answers and predictions: CSV or TSV with a line of column names."""

import ast
import csv
import io
import json
import os
import re
import tokenize
from collections.abc import Callable, Iterator, Sequence

from closedbook.errors import UserError
from closedbook.eval.files import json_lines, text_files
from closedbook.eval.files.json_lines import OnFault

Names = Callable[[Sequence[str]], bool]  # whether the cells of a line are names of columns

SUFFIXES = (".csv", ".tsv")
SEPARATOR = "||"  # between answers; one bar stands in regular expressions

_MOST_CHARACTERS = 1 << 30  # of a cell; Python's own limit is 128 KiB
_MOST_OF_HEADER = 10_000
_NUMBERS = ("score", "step", "confidence", "s_pop", "o_pop")
_JSON = ("alternatives", "meta")
_ANSWERS = ("answers", "answer")
_SEPARATORS = (",", "\t", ";", "|")
_SIDE_BY_SIDE = re.compile(r"""['"]\s*[rRuU]?['"]""")  # or an empty string, or a quote in one


def is_table(path: str | os.PathLike[str]) -> bool:
    """Whether a file's name says that it is a table.

    >>> is_table("a.csv"), is_table("a.tsv.gz"), is_table("a.jsonl")
    (True, True, False)
    """
    return text_files.suffix(path) in SUFFIXES


def read(
    path: str | os.PathLike[str], *, what: str, remedy: str
) -> Iterator[tuple[int, dict[str, object]]]:
    """Yields the line number at which each row begins, and the row by the names of its columns.

    Cells are separated by commas, in a .tsv by tabs, and quoted as spreadsheets do. Columns of
    numbers and of JSON are decoded, `answers` as `answers` says; an empty cell of them, or of
    `id`, `task` and `split`, is a value that is not there.

    Args:
        path: The file.
        what: What it holds, in the plural, for messages.
        remedy: What to give instead if it cannot be read.

    Raises:
        UserError: The file cannot be read or holds no rows, a row is not quoted as it should be
            or has more or fewer cells than there are columns, or a cell cannot be decoded.
    """
    rows = _records(path, separator(path), what=what, remedy=remedy)
    _, names = next(rows, (0, []))
    for number, row in _named(path, _columns(path, names, what), rows, what=what, on_fault=None):
        with json_lines.place(f"{path}:{number}"):
            decoded = {name: value(name, cell) for name, cell in row.items()}
        yield number, decoded


def cells(
    path: str | os.PathLike[str],
    *,
    what: str,
    remedy: str,
    names: Names,
    on_fault: OnFault | None = None,
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields line numbers and rows as `read` does, of a table of any separator, none decoded.

    The separator is a comma, a tab, a semicolon or a bar, whichever makes `names` true of the
    first line. Where none does, the table has no column names: they are "1", "2", ...

    Args:
        path: The file.
        what: What it holds, in the plural, for messages.
        remedy: What to give instead if it cannot be read.
        names: Finds the line of column names.
        on_fault: Told of a row with more or fewer cells than there are columns; raised if None.

    Raises:
        UserError: As `read`.
    """
    lines = text_files.lines(path, what=what, remedy=remedy)
    first = next((line for _, line in lines if line.strip()), "")
    if not first:
        raise UserError(f"{path} holds no {what}; write a line of column names, and one per row")
    mark, named = _separated(first, separator(path), names)
    rows = _records(path, mark, what=what, remedy=remedy)
    if named:
        _, found = next(rows, (0, []))
        columns = _columns(path, found, what)
    else:
        columns = [str(number) for number in range(1, len(header(first, mark)) + 1)]
    yield from _named(path, columns, rows, what=what, on_fault=on_fault)


def _separated(first: str, usual: str, names: Names) -> tuple[str, bool]:
    """What separates the cells of a table with this first line, and whether they are names."""
    marks = [usual, *(mark for mark in _SEPARATORS if mark != usual)]
    for mark in marks:
        if names(header(first, mark)):
            return mark, True
    return next((mark for mark in marks if len(header(first, mark)) > 1), usual), False


def _columns(path: str | os.PathLike[str], names: Sequence[str], what: str) -> list[str]:
    columns = [name.strip() for name in names]
    if not columns:
        raise UserError(f"{path} holds no {what}; write a line of column names, and one per row")
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{path}:1: two columns are named {twice!r}; rename one")
    return columns


def _named(
    path: str | os.PathLike[str],
    columns: Sequence[str],
    rows: Iterator[tuple[int, Sequence[str]]],
    *,
    what: str,
    on_fault: OnFault | None,
) -> Iterator[tuple[int, dict[str, str]]]:
    """Line numbers, and rows by the names of their columns."""
    empty = True
    for number, row in rows:
        empty = False
        with json_lines.noted(on_fault), json_lines.place(f"{path}:{number}"):
            if len(row) != len(columns):
                raise UserError(
                    f"{len(row)} cells, but {len(columns)} columns "
                    f"({json_lines.shown(columns)}); put quotes around a cell that holds the "
                    "separator"
                )
            yield number, dict(zip(columns, row, strict=True))
    if empty:
        raise UserError(f"{path} holds no {what} under its column names; add a row")


def answers(cell: str) -> list[object]:
    """The acceptable answers in a cell: a list as JSON or Python writes it, else text.

    Text is one answer, or several with "||" between them.

    Raises:
        UserError: The cell is empty, or looks like a list and is none.

    >>> answers('["Paris", "Ville de Paris"]'), answers("['Paris']"), answers("Paris || Lutetia")
    (['Paris', 'Ville de Paris'], ['Paris'], ['Paris', 'Lutetia'])
    """
    text = cell.strip()
    if not text:
        raise UserError("the answers are empty; give at least one acceptable answer")
    if text.startswith("[") and text.endswith("]"):
        return listed(text)
    return [answer.strip() for answer in text.split(SEPARATOR)]


def listed(text: str) -> list[object]:
    """A list as JSON or Python writes it; nothing in it is run.

    Raises:
        UserError: It is none. What NumPy prints is none: without commas between them, Python
            takes strings for parts of one.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        value = ast.literal_eval(text)
        strings = _strings(text) if _SIDE_BY_SIDE.search(text) else 0
    except (ValueError, SyntaxError, MemoryError, RecursionError, tokenize.TokenError) as error:
        raise UserError(f'{text[:60]!r} is not a list of strings; write ["a", "b"]') from error
    if not isinstance(value, list) or strings > len(value):
        raise UserError(f'{text[:60]!r} has no commas between its strings; write ["a", "b"]')
    return value


def _strings(text: str) -> int:
    """How many strings an expression is written with."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return sum(token.type == tokenize.STRING for token in tokens)


def header(line: str, separator: str) -> list[str]:
    """The column names in the first line of a table; a line of no table may give any words."""
    start = line[:_MOST_OF_HEADER]
    return [name.strip() for name in next(csv.reader([start], delimiter=separator), [])]


def separator(path: str | os.PathLike[str]) -> str:
    """What stands between the cells of a table."""
    return "," if text_files.suffix(path) == ".csv" else "\t"


def _records(
    path: str | os.PathLike[str], mark: str, *, what: str, remedy: str
) -> Iterator[tuple[int, Sequence[str]]]:
    text = (line for _, line in text_files.lines(path, what=what, remedy=remedy))
    # Strict: a quote that is never closed would otherwise take the rest of the file for one cell.
    reader = csv.reader(text, delimiter=mark, strict=True)
    limit = csv.field_size_limit(_MOST_CHARACTERS)
    try:
        while True:
            number = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise UserError(
                    f"{path}:{number}: {error}; write a cell that holds quotes in quotes, and "
                    "each quote in it twice"
                ) from error
            if any(cell.strip() for cell in cells):
                yield number, cells
    finally:
        csv.field_size_limit(limit)


def value(name: str, cell: str) -> object:
    """What a cell of a column with this name of ours means.

    Raises:
        UserError: It cannot be decoded.
    """
    if name in _ANSWERS:
        return answers(cell)
    if name in ("id", "task", "split", *_NUMBERS, *_JSON) and not cell.strip():
        return None
    if name in _NUMBERS:
        try:
            return int(cell) if name == "step" else float(cell)
        except ValueError as error:
            raise UserError(f'"{name}" is {cell[:60]!r}; it must be a number or empty') from error
    if name in _JSON:
        try:
            return json.loads(cell)
        except (ValueError, RecursionError) as error:
            raise UserError(f'"{name}" is {cell[:60]!r}; it must be JSON or empty') from error
    return cell
