"""Makes batches in a thread while the device works."""

import queue
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")
_END = object()
_POLL_SECONDS = 0.1  # how soon the thread sees that it is to stop


class Prefetch(Generic[_T]):
    """An iterator that stays a few items ahead of its consumer.

    What the source raises is raised to the consumer, at the place in order. Use it as a context
    manager, or call `close`, so that the thread ends.

    Args:
        source: What to iterate over. If it has `state()`, `state` here gives the position after
            the last item *taken*, not after the last one made.
        depth: How many items to hold ready.
    """

    def __init__(self, source: Iterator[_T], depth: int = 2) -> None:
        self._source = source
        self._stateful = hasattr(source, "state")
        self._state = self._source_state()
        self._ready: queue.Queue[tuple[Any, Any, BaseException | None]] = queue.Queue(depth)
        self._stop = threading.Event()
        self._finished: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="prefetch", daemon=True)
        self._thread.start()

    def __iter__(self) -> "Prefetch[_T]":
        return self

    def __next__(self) -> _T:
        if self._finished is not None:
            raise self._finished
        if self._stop.is_set():
            raise RuntimeError("this prefetching iterator has been closed")
        item, state, error = self._ready.get()
        if error is not None:
            self._finished = error
            raise error
        self._state = state
        return item

    def state(self) -> Any:
        """The source's position after the last item taken; None for a source without positions."""
        return self._state

    def close(self) -> None:
        """Ends the thread; waits until it has ended."""
        self._stop.set()
        self._thread.join()

    def __enter__(self) -> "Prefetch[_T]":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _source_state(self) -> Any:
        return self._source.state() if self._stateful else None  # type: ignore[attr-defined]

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                item = next(self._source)
                entry: tuple[Any, Any, BaseException | None] = (item, self._source_state(), None)
            except BaseException as error:  # all of it belongs to the consumer
                entry = (_END, None, error)
            while not self._stop.is_set():
                try:
                    self._ready.put(entry, timeout=_POLL_SECONDS)
                    break
                except queue.Full:
                    continue
            if entry[2] is not None:
                return
