"""Rows of fact files and the fields that a reader takes from them, with one message per fault."""

import contextlib
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from closedbook.errors import UserError
from closedbook.eval.files import json_lines, tables, text_files
from closedbook.eval.files.json_lines import shown

Row = dict[str, Any]
_REMEDY = "give a file of facts as its data set has it, or JSON lines of the project's own form"


def rows(path: pathlib.Path) -> Iterator[tuple[str, Row]]:
    """The place ("file:line") and the fields of every row of JSON lines, of a list or of a table.

    Raises:
        UserError: The file cannot be read or is empty, or a row is no object.
    """
    read = tables.read if tables.is_table(path) else json_lines.read
    for number, row in read(path, what="facts", remedy=_REMEDY):
        if not isinstance(row, dict):
            raise UserError(f"{path}:{number}: {shown(row)} is not a JSON object; {_REMEDY}")
        yield f"{path}:{number}", row


def mapping(path: pathlib.Path) -> dict[str, Any]:
    """The one JSON object that a file holds, such as a table of templates by relation.

    Raises:
        UserError: The file holds anything else.
    """
    lines = text_files.lines(path, what="templates", remedy=_REMEDY)
    try:
        found = json.loads("".join(line for _, line in lines))
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}:{error.lineno}: not JSON ({error.msg}); is the file cut short?"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON that we can read: {error}; {_REMEDY}") from error
    if not isinstance(found, dict):
        raise UserError(f"{path}: {shown(found)} is not a JSON object of relations")
    return found


def text(row: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """A field that must be a string, without spaces around it.

    Args:
        row: The row.
        key: The field.
        default: What stands for a field that is missing or null; None where it must be there.

    Raises:
        UserError: The field is missing, empty or no string.
    """
    value = row.get(key, default)
    value = default if value is None else value
    if not isinstance(value, str) or (default is None and not value.strip()):
        raise UserError(f'"{key}" is {shown(value)}; it must be a string that is not empty')
    return value.strip()


def texts(row: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """A field that is a list of strings, JSON of one, or missing; empty strings are left out.

    Raises:
        UserError: It is anything else.
    """
    value = row.get(key) or []
    if isinstance(value, str):
        with contextlib.suppress(UserError):
            value = tables.listed(value)
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise UserError(
            f'"{key}" is {shown(value)}; it must be a list of strings, such as ["a", "b"]'
        )
    return tuple(each.strip() for each in value if each.strip())


def several(row: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """As `texts`, but there must be one at least."""
    found = texts(row, key)
    if not found:
        raise UserError(f'"{key}" is empty; give at least one string')
    return found


def objects(row: Mapping[str, Any], key: str) -> list[Row]:
    """A field that is a list of objects, or missing.

    Raises:
        UserError: It is anything else.
    """
    value = row.get(key) or []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise UserError(f'"{key}" is {shown(value)}; it must be a list of objects')
    return value


def number(row: Mapping[str, Any], key: str, default: float) -> float:
    """A field that is a number; infinite ones are some.

    Args:
        row: The row.
        key: The field.
        default: What stands for a field that is missing or null.

    Raises:
        UserError: It is anything else, or larger than numbers are.
    """
    value = row.get(key)
    value = default if value is None else value
    with contextlib.suppress(OverflowError):
        if isinstance(value, int | float) and not isinstance(value, bool) and value == value:
            return float(value)
    raise UserError(f'"{key}" is {shown(value)}; it must be a number')


def name(row: Mapping[str, Any], key: str, default: str) -> str:
    """An id or the like, which may be a number in the file."""
    value = row.get(key)
    return default if value is None or value == "" else str(value)
