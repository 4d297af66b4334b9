"""What all commands share: messages for mistakes, logging, values of options."""

import contextlib
import io
import json
import logging
import os
import pathlib
import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import typer

from closedbook.cli.faults import background, told
from closedbook.cli.signals import raised_as_stopped
from closedbook.cli.tensorflow_start import prepare_tensorflow
from closedbook.compiled_programs import keep_compiled_programs
from closedbook.errors import Stopped, UserError, unknown_name

Choice = TypeVar("Choice", bound=str)
Around = Callable[[str, Callable[..., Any]], Callable[..., Any]]
_EPILOG = (
    f"`{background.TRACEBACK}`, with any command, shows the whole traceback of an error, and all "
    "that libraries say; so does the environment variable CLOSEDBOOK_TRACEBACK=1."
)


def guarded(command: Callable[[], object], *, whole: bool = False) -> int:
    """Runs a command; returns its exit code.

    Args:
        command: What to run; it may end by `SystemExit`, as Typer's commands do.
        whole: Show whole tracebacks, and all that libraries say.

    Returns:
        0; 1 after a fault of closedbook; 2 after a mistake of the user or a fault of the machine;
        130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.
    """
    code: object = 0
    try:
        with contextlib.nullcontext() if whole else background.short():
            try:
                with raised_as_stopped():
                    command()
            except SystemExit as ended:
                code = ended.code
                if code == 130:  # typer's, after Ctrl-C
                    print("interrupted", file=sys.stderr)
        sys.stdout.flush()
    except Stopped as stopped:
        print(f"{stopped}; nothing half-written is left, give the command again", file=sys.stderr)
        return stopped.exit_code
    except BrokenPipeError:  # the reader of a pipe has gone; that is no error
        _forget_output()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        from closedbook.eval.report.text import visible  # values are quoted, whatever is in them

        if whole:
            told.show_whole(error)
        message = told.message(error)
        print(f"error: {visible(message or told.short_report(error))}", file=sys.stderr)
        if isinstance(error, OSError):  # of standard output, perhaps
            _forget_output()
        return 1 if message is None else 2
    return code if isinstance(code, int) else int(code is not None)


def _forget_output() -> None:
    """Lets what is left for standard output go, which Python would try again as it ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def program(run: Callable[[list[str]], object]) -> NoReturn:
    """Runs a program with the words of its command line, and ends.

    Args:
        run: Takes the words after its name, without --traceback.
    """
    words, whole = background.asked_for_all(sys.argv[1:])
    to_any_terminal()
    log_to_stderr()
    prepare_tensorflow()
    keep_compiled_programs()
    code = guarded(lambda: run(words), whole=whole)
    if code and not whole:
        background.end_of_errors()
    if "closedbook.parallel.processes" in sys.modules:  # else there are no other processes
        from closedbook.parallel.processes import leave

        leave(code, "its own message says which")
    sys.exit(code)


def complete(app: typer.Typer, around: Around | None = None) -> None:
    """Gives all commands of a program what they share: a line about --traceback in their help.

    Args:
        app: The program, with all its commands.
        around: Makes another function of each command's name and function.
    """
    for command in app.registered_commands:
        command.epilog = _EPILOG
        if around is not None and command.callback is not None:
            name = command.name or command.callback.__name__.replace("_", "-")
            command.callback = around(name, command.callback)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            complete(group.typer_instance, around)


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
