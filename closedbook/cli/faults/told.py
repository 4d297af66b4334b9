"""What is said of an exception that ends a command."""

import sys
import traceback

from closedbook.cli.faults import background
from closedbook.errors import UserError
from closedbook.file_faults import file_fault
from closedbook.memory import shortage

_ADDED_BY_GIN = "\n  In call to configurable "
_FRAMES = 4  # of closedbook's own, the last ones


def message(error: Exception) -> str | None:
    """The message for what a user, or the machine's owner, can mend; None for anything else."""
    if isinstance(error, UserError):
        return str(error)
    if (short := shortage(error)) is not None:
        return short.message()
    if (fault := file_fault(error)) is not None:
        return fault.message
    if isinstance(error, RuntimeError) and "home directory" in str(error):
        # Of a path with ~, without HOME or a passwd entry.
        return "a path begins with ~, and there is no home folder; set HOME"
    return None


def short_report(error: Exception) -> str:
    """What is said of a fault that nobody foresaw: where it was, and what to do with it."""
    places = [
        (str(frame.f_globals.get("__name__", "")), frame.f_code, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    own = [place for place in places if place[0].partition(".")[0] == "closedbook"]
    shown = dict.fromkeys([*own[-_FRAMES:], *places[-1:]])
    where = "".join(f"  {name}, line {line}, in {code.co_name}\n" for name, code, line in shown)
    notes = "".join(f"  {note}\n" for note in getattr(error, "__notes__", ()))
    text = " ".join(str(error).partition(_ADDED_BY_GIN)[0].split())
    return (
        f"{type(error).__name__}: {text[:500]}\n{where}{notes}"
        "This is a fault of closedbook, not yours. Please report it, with what the same command "
        f"prints with {background.TRACEBACK} added."
    )


def show_whole(error: BaseException) -> None:
    """Prints the whole traceback, as Python does."""
    traceback.print_exception(error, file=sys.stderr)
