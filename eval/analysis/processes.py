"""Findings of many rows, by several processes where that is worth it; the result is the same.

Workers are processes of Python of their own that are asked through pipes: a fork would take along
the threads and locks of whoever calls us, and `multiprocessing` would run the caller's script again.
"""

import contextlib
import itertools
import os
import pickle
import queue
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO

from closedbook.errors import UserError
from closedbook.eval.analysis import findings
from closedbook.eval.analysis.findings import Asked, Findings
from closedbook.eval.equivalence.judges import Evidence
from closedbook.eval.predictions import Prediction

_AT_ONCE = 500  # rows of a part
_WORTH = 8_000  # rows from which starting processes takes less time than they save
_MOST = 8  # processes; reading their answers keeps one core busy


def of_rows(
    rows: Sequence[Prediction], asked: Asked, tell: Callable[[], None] = lambda: None
) -> Findings:
    """What is found of each row.

    Args:
        rows: The predictions.
        asked: What is to be found. A judge that is not ours is asked by this process alone.
        tell: Called after each part.
    """
    found = findings.empty(asked)
    for part in _parts(rows, asked, cores()):
        found.add(part)
        tell()
    return found


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _parts(rows: Sequence[Prediction], asked: Asked, count: int) -> Iterator[Findings]:
    starts = range(0, len(rows), _AT_ONCE)
    chunks = (rows[start : start + _AT_ONCE] for start in starts)
    if len(rows) < _WORTH or count < 2 or not isinstance(asked.judge, Evidence):
        yield from (findings.of_rows(chunk, asked) for chunk in chunks)
        return
    with _Workers(min(count, _MOST)) as workers:
        yield from workers.map(chunks, asked)


class _Workers:
    """Processes that find; each is asked by a thread of its own."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._free: queue.SimpleQueue[subprocess.Popen[bytes] | None] = queue.SimpleQueue()
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "_Workers":
        for _ in range(self._count):
            process = _start()
            self._free.put(process)
            self._started += [process] if process else []
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            process.kill()
            process.communicate()

    def map(self, chunks: Iterator[Sequence[Prediction]], asked: Asked) -> Iterator[Findings]:
        """The findings of each part, in the order of the parts."""
        with ThreadPoolExecutor(self._count) as threads:
            # No more parts are under way than needed, so that few of them are in memory.
            waiting = [
                threads.submit(self._ask, chunk, asked)
                for chunk in itertools.islice(chunks, 2 * self._count)
            ]
            while waiting:
                part = waiting.pop(0).result()
                waiting += [
                    threads.submit(self._ask, chunk, asked) for chunk in itertools.islice(chunks, 1)
                ]
                yield part

    def _ask(self, rows: Sequence[Prediction], asked: Asked) -> Findings:
        process = self._free.get()
        try:
            answer = _answer(process, rows, asked)
        except (OSError, EOFError):  # it was killed, perhaps for its memory
            process, answer = None, None
        finally:
            self._free.put(process)
        if isinstance(answer, UserError):
            raise answer
        return findings.of_rows(rows, asked) if answer is None else answer


def _start() -> "subprocess.Popen[bytes] | None":
    """A worker; None where no process can be started, and this one does all the work."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with contextlib.suppress(OSError):
        return subprocess.Popen(
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
    return None


def _answer(
    process: "subprocess.Popen[bytes] | None", rows: Sequence[Prediction], asked: Asked
) -> Findings | UserError | None:
    if process is None:
        return None
    assert process.stdin is not None
    assert process.stdout is not None
    pickle.dump((list(rows), asked), process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
    process.stdin.flush()
    answer: Findings | UserError = pickle.load(process.stdout)
    return answer


def serve(asking: IO[bytes], answering: IO[bytes]) -> None:
    """Answers until nothing more is asked."""
    while True:
        try:
            rows, asked = pickle.load(asking)
        except EOFError:
            return
        answer: Findings | UserError
        try:
            answer = findings.of_rows(rows, asked)
        except UserError as error:
            answer = error
        pickle.dump(answer, answering, protocol=pickle.HIGHEST_PROTOCOL)
        answering.flush()


if __name__ == "__main__":
    # What a library prints must not stand among the answers.
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, channel)
