"""Files of one JSON object a line, read with every fault named by file and line."""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from closedbook.errors import UserError


def read(path: str | os.PathLike[str], *, what: str, remedy: str) -> Iterator[tuple[int, Any]]:
    """Yields the number, from 1, and the decoded value of every line that is not blank.

    Args:
        path: The file.
        what: What it holds, in the plural, for messages.
        remedy: What to give instead if it cannot be read.

    Raises:
        UserError: The file cannot be read or holds no lines, or a line is not UTF-8 or not JSON.
    """
    path = pathlib.Path(path)
    empty = True
    try:
        with path.open("rb") as file:
            # Only "\n" ends a row: U+2028 and its like may stand inside a JSON string.
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                empty = False
                with place(f"{path}:{number}"):
                    value = _load(line, first=number == 1)
                yield number, value
    except OSError as error:
        raise UserError(f"cannot read the {what} {path}: {error.strerror}; {remedy}") from error
    if empty:
        raise UserError(f"{path} holds no {what}; write one JSON object a line into it")


@contextlib.contextmanager
def place(where: str) -> Iterator[None]:
    """Puts the place before the message of every user error inside."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {error}") from error.__cause__


def shown(value: Any) -> str:
    """The value as JSON, cut to what fits into a message.

    >>> shown({"answers": None})
    '{"answers": null}'
    """
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 80 else text[:77] + "..."


def _load(line: bytes, *, first: bool) -> Any:
    try:
        # An editor may have put a byte order mark before the first row.
        text = line.decode("utf-8-sig" if first else "utf-8").rstrip()
        value = json.loads(text, parse_constant=_not_json, object_pairs_hook=_unique_keys)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise UserError(f"byte {error.start + 1} is not UTF-8; save the file in UTF-8") from error
    except UnicodeEncodeError as error:
        raise UserError(
            "an escape such as \\ud83d is half of a character; write the file with another tool"
        ) from error
    except json.JSONDecodeError as error:
        raise UserError(
            f"not JSON at column {error.colno} ({error.msg}); write one object a line"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"not JSON that we can read: {error}") from error
    return value


def _not_json(constant: str) -> float:
    raise UserError(f"{constant} is not JSON; write null where there is no number")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f'"{twice}" stands twice in one object; keep one of them')
    return row
