"""What all commands share: messages for mistakes, logging, values of options."""

import io
import json
import logging
import pathlib
import sys
from collections.abc import Callable
from typing import TypeVar

import typer

from closedbook.errors import UserError, unknown_name

Choice = TypeVar("Choice", bound=str)


def guarded(command: Callable[[], object]) -> int:
    """Runs a command; returns its exit code: 0, 2 after a user's mistake, 130 after Ctrl-C."""
    try:
        command()
    except UserError as error:
        from closedbook.eval.report.text import visible  # values are quoted, whatever is in them

        print(f"error: {visible(error)}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of a pipe has gone; that is no error
        sys.stderr.close()
    except OSError as error:
        if not error.filename:
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        if "home directory" not in str(error):  # of a path with ~, without HOME or a passwd entry
            raise
        print("error: a path begins with ~, and there is no home folder; set HOME", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def print_version(wanted: bool) -> None:
    """Prints closedbook's version and ends the command; the callback of `--version`."""
    if wanted:
        from closedbook import __version__

        print(f"closedbook {__version__}")
        raise typer.Exit


def print_json(row: object) -> None:
    """Prints a value as one line of JSON, in whatever encoding standard output has."""
    plain_text = (sys.stdout.encoding or "utf-8").lower().replace("-", "") != "utf8"
    print(json.dumps(row, ensure_ascii=plain_text))


def to_any_terminal() -> None:
    """Lets standard output and error show what their encoding lacks as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def log_to_stderr() -> None:
    """Our own messages on standard error, from INFO on; libraries' only from WARNING on."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("closedbook")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logging.getLogger("absl").setLevel(logging.ERROR)


def comma_separated(text: str, *, drop_empty: bool = True) -> list[str]:
    """The entries of an option's list, without white space around them.

    Args:
        text: The option's value, with commas between entries.
        drop_empty: Whether empty entries are left out; else they stay, to be refused.

    >>> comma_separated(" a, b,,")
    ['a', 'b']
    >>> comma_separated("1,", drop_empty=False)
    ['1', '']
    """
    found = [each.strip() for each in text.split(",")]
    return [each for each in found if each] if drop_empty else found


def at_least(
    least: int,
) -> Callable[[typer.CallbackParam, int | None], int | None]:
    """What refuses an option's number below the least, with one message.

    Args:
        least: That is taken.

    Returns:
        The callback of a `typer.Option`.
    """

    def checked(param: typer.CallbackParam, value: int | None) -> int | None:
        if value is not None and value < least:
            raise UserError(f"{param.opts[0]} is {value}; give {least} or more")
        return value

    return checked


def one_of(option: str, value: str, valid: tuple[Choice, ...]) -> Choice:
    """The choice that an option's value names.

    Raises:
        UserError: It is none of the valid ones.
    """
    for each in valid:
        if value == each:
            return each
    raise unknown_name(option, value, valid)


def byte_unit(count: float) -> tuple[int, str]:
    """The unit in which so many bytes are told, and its name: one of which there are several.

    >>> byte_unit(25_000_000), byte_unit(9_000), byte_unit(300)
    ((1000000, 'MB'), (1000, 'kB'), (1, 'bytes'))
    """
    units = ((1_000_000, "MB"), (1_000, "kB"), (1, "bytes"))
    return next((unit for unit in units if count >= 2 * unit[0]), units[-1])


def shown_bytes(count: float) -> str:
    """Bytes in a few characters.

    >>> shown_bytes(12_345_678), shown_bytes(9_876), shown_bytes(300)
    ('12.3 MB', '9.9 kB', '300 bytes')
    """
    size, unit = byte_unit(count)
    return f"{count / size:,.{0 if size == 1 else 1}f} {unit}"


def plain(value: object) -> object:
    """An option's value as JSON has it."""
    return str(value) if isinstance(value, pathlib.Path) else value
