"""A polite stop: SIGTERM (or Ctrl-C) lets the step finish, save and leave."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

from closedbook.parallel.processes import any_is_to_stop, is_alone

_Handler = Callable[[int, FrameType | None], object] | int | None


class StopRequest:
    """Catches SIGTERM and the first SIGINT while the `with` lasts.

    In a run of several processes JAX's own handler hears SIGTERM and tells all of them.
    """

    def __init__(self) -> None:
        self._asked = False
        self._previous: dict[int, _Handler] = {}

    def __enter__(self) -> Self:
        if is_alone() and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._ask)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked and number == signal.SIGINT:
            raise KeyboardInterrupt  # the second Ctrl-C does not wait
        self._asked = True

    def requested(self, step: int) -> bool:
        """Whether to stop before the step after `step`; all processes get the same answer."""
        return any_is_to_stop(step) or self._asked
