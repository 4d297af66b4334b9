"""What libraries, their threads and warnings say, kept short: a fault is told once, by the command.

Orbax, asyncio and TensorStore print hundreds of lines about a full disk before the one message
that helps. With --traceback, or CLOSEDBOOK_TRACEBACK=1, all of them are shown as they come.
"""

import contextlib
import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import TextIO

TRACEBACK = "--traceback"
_VARIABLE = "CLOSEDBOOK_TRACEBACK"
_WAIT = 10.0  # seconds, after which what did not end the command is shown
_LONGEST = 300  # characters of a line of another library
_OURS = "closedbook"


def asked_for_all(words: Sequence[str]) -> tuple[list[str], bool]:
    """Takes --traceback out of a command line.

    Args:
        words: After the command's name.

    Returns:
        The other words, and whether tracebacks are asked for, by the word or by the environment.

    >>> asked_for_all(["ask", "--traceback", "--", "--traceback"])
    (['ask', '--', '--traceback'], True)
    """
    end = list(words).index("--") if "--" in words else len(words)
    kept = [word for word in words[:end] if word != TRACEBACK]
    wanted = len(kept) < end or os.environ.get(_VARIABLE, "0").lower() not in ("", "0", "false")
    return [*kept, *words[end:]], wanted


class _Held(logging.Handler):
    """Shows one line of each record of a library; faults wait, as the command may end by them.

    It is called in any thread, those of TensorStore among them, which must not be made to wait: so
    it takes no lock and starts nothing.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._waiting: dict[str, float] = {}  # each line once, and when it came
        self._ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def createLock(self) -> None:
        """None: what is called works without."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        """Shows a warning; a fault is held."""
        line = f"{record.name}: {record.getMessage()}"
        if record.levelno >= logging.ERROR or record.exc_info:
            self.hold(line)
        else:
            _show(line)

    def hold(self, line: str) -> None:
        """Keeps a line until it is clear that the command goes on."""
        self._waiting.setdefault(line, time.monotonic())

    def end(self, *, show: bool) -> None:
        """Ends the watch; what is held is shown or, where the command tells it, forgotten."""
        self._ended.set()
        if show:
            self._release(before=time.monotonic())
        self._waiting.clear()

    def _watch(self) -> None:
        while not self._ended.wait(_WAIT):
            self._release(before=time.monotonic() - _WAIT)

    def _release(self, before: float) -> None:
        for line, came in list(self._waiting.items()):
            if came <= before and self._waiting.pop(line, None) is not None:
                _show(line)


@contextlib.contextmanager
def short() -> Iterator[None]:
    """Within it, libraries' faults are lines, shown only where the command goes on."""
    held, root = _Held(), logging.getLogger()
    before = sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning
    handlers = root.handlers[:]
    root.handlers[:] = [*(each for each in handlers if not _writes(each)), held]

    # TensorStore's callbacks report through the first of these, at worst hundreds of times.
    def uncaught(kind: type[BaseException], error: BaseException, trace: object) -> None:
        held.hold(f"{kind.__name__}: {error}")

    def in_thread(args: threading.ExceptHookArgs) -> None:
        held.hold(f"{args.exc_type.__name__}: {args.exc_value}")

    def unraisable(args: "sys.UnraisableHookArgs") -> None:
        held.hold(f"{args.exc_type.__name__}: {args.exc_value}")

    def warned(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        _show(f"{category.__name__}: {message}")

    sys.excepthook, threading.excepthook, sys.unraisablehook = uncaught, in_thread, unraisable
    warnings.showwarning = warned
    try:
        yield
    except BaseException:
        held.end(show=False)
        raise
    else:
        held.end(show=True)
    finally:
        sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning = before
        root.handlers[:] = handlers


def end_of_errors() -> None:
    """Nothing more is shown on standard error: of the threads of a command that has failed.

    What is left of them fails in turn while Python shuts down. Only of a process of its own.
    """
    errors = sys.__stderr__
    if errors is None or sys.stderr is not errors:
        return
    with contextlib.suppress(OSError, ValueError):
        errors.flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, errors.fileno())
        os.close(nowhere)


def _writes(handler: logging.Handler) -> bool:
    """Whether a handler of the root logger shows records on standard error."""
    return type(handler) is logging.StreamHandler and handler.stream in (
        sys.stderr,
        sys.__stderr__,
    )


def _show(line: str) -> None:
    first = " ".join(line.split())
    shown = first if len(first) <= _LONGEST else f"{first[:_LONGEST]}..."
    logging.getLogger(_OURS).warning("%s", shown)
