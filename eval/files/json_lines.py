"""Files of one JSON object per line, or of one list of them; faults are named by file and line."""

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator

from closedbook.errors import UserError
from closedbook.eval.files import text_files

OnFault = Callable[[UserError], None]

_DIGITS = re.compile(rf"\d{{{sys.int_info.default_max_str_digits + 1},}}")


def read(
    path: str | os.PathLike[str], *, what: str, remedy: str, on_fault: OnFault | None = None
) -> Iterator[tuple[int, object]]:
    """Yields the number, from 1, and the decoded value of every line that is not blank.

    A file that begins with a bracket is one list; the number is then that of its item.

    Args:
        path: The file.
        what: What it holds, in the plural, for messages.
        remedy: What to give instead if it cannot be read.
        on_fault: Told of a line that is not JSON, which is then passed over; raised if None.

    Raises:
        UserError: The file cannot be read or holds no lines, or a line is not UTF-8 or not JSON.
    """
    empty = True
    lines = text_files.lines(path, what=what, remedy=remedy)
    for number, line in lines:
        if not line.strip():
            continue
        if empty and line.lstrip().startswith("["):
            text = line + "".join(rest for _, rest in lines)
            with place(os.fspath(path)):
                items = decoded(text)
            assert isinstance(items, list)  # the text begins with a bracket
            yield from enumerate(items, start=1)
            empty = not items
            break
        empty = False
        with noted(on_fault), place(f"{path}:{number}"):
            value = decoded(line)
            yield number, value
    if empty:
        raise UserError(f"{path} holds no {what}; write one JSON object per line into it")


@contextlib.contextmanager
def place(where: str) -> Iterator[None]:
    """Puts the place before the message of every user error inside."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {error}") from error.__cause__


@contextlib.contextmanager
def noted(on_fault: OnFault | None) -> Iterator[None]:
    """Hands a user error inside to `on_fault` and goes on after the block; raises it if None."""
    try:
        yield
    except UserError as error:
        if on_fault is None:
            raise
        on_fault(error)


def shown(value: object) -> str:
    """The value as JSON, cut to what fits into a message.

    >>> shown({"answers": None})
    '{"answers": null}'
    """
    try:
        text = json.dumps(value, ensure_ascii=False, default=repr)
    except ValueError:  # a number of more digits than Python writes
        text = f"a {type(value).__name__} that is too long to show"
    return text if len(text) <= 80 else text[:77] + "..."


def decoded(line: str) -> object:
    """The value of a text that is JSON.

    Raises:
        UserError: It is not, or not in a way that everybody reads alike: a key stands twice, a
            number is not finite.
    """
    try:
        value = json.loads(line.rstrip(), parse_constant=_not_json, object_pairs_hook=_unique_keys)
        if "\\u" in line:  # half of a character can only stand there as an escape
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise UserError(
            "an escape such as \\ud83d is half of a character; write the file with another tool"
        ) from error
    except json.JSONDecodeError as error:
        raise UserError(
            f"not JSON at {f'line {error.lineno}, ' * (error.lineno > 1)}column {error.colno} "
            f"({error.msg}); write one object per line"
        ) from error
    except (ValueError, RecursionError) as error:
        if (number := _DIGITS.search(line)) is not None:
            raise UserError(
                f"a number has {len(number[0]):,} digits, more than can be read; put quotes "
                "around it, or leave the key out"
            ) from error
        raise UserError(f"not JSON that we can read: {error}") from error
    return value


def _not_json(constant: str) -> float:
    raise UserError(f"{constant} is not JSON; write null where there is no number")


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f'"{twice}" stands twice in one object; keep one of them')
    return row
