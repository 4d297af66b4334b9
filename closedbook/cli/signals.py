"""SIGTERM and SIGHUP as a command hears them: it ends as after Ctrl-C, and undoes what it began."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

from closedbook.errors import Stopped

_SAME_WISH = 5.0  # seconds: a terminal that closes sends two, and the first is being obeyed


@contextlib.contextmanager
def raised_as_stopped() -> Iterator[None]:
    """Lets SIGTERM and SIGHUP raise `Stopped` while the `with` lasts; what is ignored stays so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner, heard = os.getpid(), float("-inf")

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal heard
        if os.getpid() != owner:  # a child by fork: its parent ends it
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        before, heard = heard, time.monotonic()
        if heard - before > _SAME_WISH:
            raise Stopped(number)

    previous = {}
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            previous[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
