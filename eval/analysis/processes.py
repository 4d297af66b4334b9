"""One function over the parts of many rows, by several processes where that is worth it.

Workers are processes of their own that are asked through pipes: a fork would take along the threads
and locks of whoever calls us, and `multiprocessing` would run the caller's script again.
"""

import contextlib
import itertools
import os
import pickle
import queue
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any, TypeAlias, TypeVar

from closedbook.errors import UserError
from closedbook.eval.equivalence.judges import Evidence, Judge
from closedbook.eval.predictions import Prediction

_Result = TypeVar("_Result")
_Work: TypeAlias = Callable[[Sequence[Prediction]], _Result]
_Process: TypeAlias = subprocess.Popen[bytes]

_AT_ONCE = 500  # rows of a part
_WORTH = 8_000  # rows from which starting processes takes less time than they save
_PARTS_EACH = 60  # parts, after which a process is replaced
_MOST = 8  # processes; reading their answers keeps one core busy


def parts(
    work: _Work[_Result], rows: Sequence[Prediction], *, judge: Judge, cores: int | None = None
) -> Iterator[_Result]:
    """The results of a function for each part of the rows, in their order.

    Args:
        work: What is to be done; of a module, or a partial of one, so that it can be sent.
        rows: The predictions.
        judge: Whom the function asks. One that is not ours is asked by this process alone.
        cores: Processes; as many as there are cores if None.
    """
    starts = range(0, len(rows), _AT_ONCE)
    chunks = (rows[start : start + _AT_ONCE] for start in starts)
    count = min(_cores() if cores is None else cores, _MOST)
    if len(rows) < _WORTH or count < 2 or not isinstance(judge, Evidence):
        yield from map(work, chunks)
        return
    with _Workers(count) as workers:
        yield from workers.map(work, chunks)


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Workers:
    """Processes that work; each is asked by a thread of its own."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._free: queue.SimpleQueue[_Worker] = queue.SimpleQueue()

    def __enter__(self) -> "_Workers":
        for _ in range(self._count):
            self._free.put(_Worker())
        return self

    def __exit__(self, *raised: object) -> None:
        for _ in range(self._count):
            self._free.get().end()

    def map(
        self, work: _Work[_Result], chunks: Iterator[Sequence[Prediction]]
    ) -> Iterator[_Result]:
        """The results of the parts, in their order."""
        with ThreadPoolExecutor(self._count) as threads:
            submit = lambda chunk: threads.submit(self._ask, work, chunk)  # noqa: E731
            # No more parts are under way than needed, so that few of them are in memory.
            waiting = deque(map(submit, itertools.islice(chunks, 2 * self._count)))
            while waiting:
                part = waiting.popleft().result()
                waiting.extend(map(submit, itertools.islice(chunks, 1)))
                yield part

    def _ask(self, work: _Work[_Result], rows: Sequence[Prediction]) -> _Result:
        worker = self._free.get()
        try:
            return worker.ask(work, rows)
        finally:
            self._free.put(worker)


class _Worker:
    """A process that is asked, or this one where that cannot be had any more.

    It is replaced now and then, since what it remembers of texts grows and costs more memory than
    it saves time.
    """

    def __init__(self) -> None:
        self._process = _start()
        self._asked = 0

    def ask(self, work: _Work[_Result], rows: Sequence[Prediction]) -> _Result:
        """What the work makes of the rows."""
        if self._asked == _PARTS_EACH:
            self.end()
            self._process, self._asked = _start(), 0
        self._asked += 1
        if self._process is None:
            return work(rows)
        try:
            result, error = _answer(self._process, (work, list(rows)))
        except (OSError, EOFError, pickle.UnpicklingError):  # killed, perhaps for its memory
            self.end()
            return work(rows)
        if error is not None:
            raise error
        found: _Result = result
        return found

    def end(self) -> None:
        """Ends the process, if there is one."""
        if self._process is None:
            return
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):  # what was not read is of no use
                assert pipe is not None
                pipe.close()
        self._process.wait()
        self._process = None


def _start() -> _Process | None:
    """A worker's process; None where none can be started."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with contextlib.suppress(OSError):
        return subprocess.Popen(
            [sys.executable, "-P", "-c", f"from {__name__} import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
    return None


def _answer(process: _Process, asked: object) -> Any:
    assert process.stdin is not None
    assert process.stdout is not None
    pickle.dump(asked, process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
    process.stdin.flush()
    return pickle.load(process.stdout)


def serve(asking: IO[bytes], answering: IO[bytes]) -> None:
    """Answers until nothing more is asked: with a result or a user's error."""
    while True:
        try:
            work, rows = pickle.load(asking)
        except EOFError:
            return
        answer: tuple[object, UserError | None]
        try:
            answer = work(rows), None
        except UserError as error:
            answer = None, error
        pickle.dump(answer, answering, protocol=pickle.HIGHEST_PROTOCOL)
        answering.flush()


def main() -> None:
    """A worker, which reads from its standard input."""
    # What a library prints must not stand among the answers.
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, channel)
