"""A polite stop: SIGTERM (or Ctrl-C) lets the step finish, save and leave."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

import jax


class StopRequest:
    """Catches SIGTERM and the first SIGINT while the `with` lasts.

    In a run of several processes JAX's own handler hears SIGTERM and tells all of them.
    """

    def __init__(self) -> None:
        self._asked = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # JAX has its own handler in a run of several processes, which all must hear of it.
        alone = jax.process_count() == 1
        if alone and threading.current_thread() is threading.main_thread():
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
        if jax.process_count() > 1:
            from jax.experimental import multihost_utils

            return multihost_utils.reached_preemption_sync_point(step)
        return self._asked
