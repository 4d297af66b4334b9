"""A polite stop: SIGTERM, SIGHUP or Ctrl-C lets the step or the batch finish, and then the run.

While it is not heard here (data is prepared, a checkpoint is read), the commands end at once,
because nothing is lost (`closedbook.cli.signals`).
"""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

from closedbook.errors import Stopped
from closedbook.parallel.processes import any_is_to_stop, is_alone, run_asks_for_stops

_Handler = Callable[[int, FrameType | None], object] | int | None
_HEARD = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class StopRequest:
    """Hears SIGTERM, SIGHUP and the first Ctrl-C while the `with` lasts.

    A signal that is ignored, as SIGHUP under nohup, stays ignored. In a run of several processes
    JAX hears SIGTERM, to which the others lead there, and tells all of them; each process must
    then ask as often as the others.
    """

    def __init__(self) -> None:
        self._number: int | None = None
        self._asked = 0
        self._owner = os.getpid()
        self._previous: dict[int, _Handler] = {}

    def __enter__(self) -> Self:
        run_asks_for_stops()
        if is_alone() and threading.current_thread() is threading.main_thread():
            for number in _HEARD:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._hear)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:  # a child by fork is nobody's run
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        if self._number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt  # the second Ctrl-C does not wait
        self._number = self._number or number

    def requested(self) -> bool:
        """Whether to stop here; all processes get the same answer."""
        if self._number is None:
            self._asked += 1
            if any_is_to_stop(self._asked):
                self._number = signal.SIGTERM
        return self._number is not None

    def check(self) -> None:
        """Stops here if that is asked for.

        Raises:
            Stopped: It is.
        """
        if self.requested():
            assert self._number is not None
            raise Stopped(self._number)
