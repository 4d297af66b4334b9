"""The other processes of a run, watched: one that is gone is named, and the rest end soon.

Without this the others wait in a collective for a process that will never come, or are aborted by
JAX's coordination service with a C++ stack. Each process writes a beat into the service's
key-value store every 5 s. The first process reads all of them, and sees by its own clock which one
has stopped; the others read its beat and its verdict, so that many processes cost little. The
service runs in the first process. To its clients every other process is a proxy: they would abort
at once when that process dies, and must not see it before we do.

JAX hears SIGTERM and tells all processes, and a run asks for it at each step. Before the first step
nobody asks, so there the beats look for it, and every process ends as it would have alone.
"""

import _thread
import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, NoReturn, Protocol

from closedbook import folder_locks

EXIT_CODE = 75  # sysexits.h: EX_TEMPFAIL, give the same command again
_BEAT = 5.0  # seconds between two
_SILENCE = 40.0  # seconds without a beat, after which a process is gone
_OF_FIRST, _OF_OTHERS, _VERDICT = "closedbook/first", "closedbook/others", "verdict"
_SUSPECTED = 4  # beats without which a process is gone, where an error makes one look for it
_STOPPED = 128 + signal.SIGTERM  # what a shell says of a process that SIGTERM has ended
_GRACE = 3.0  # seconds in which a process ends by itself where another has told of an error
_LAST_BARRIER = 300.0  # seconds to wait for the others at the end
_FAILED = "failed"  # what a process says of itself that ends with an error
_NOTICE = "RECEIVED_PREEMPTION_NOTICE"  # where JAX keeps that some process has heard SIGTERM
_UNWINDING = 10.0  # seconds in which a process that is to stop undoes what it has begun
_COPIED = 1 << 16  # bytes at once
_NOT_BY_HTTP_PROXY = ("no_grpc_proxy", "no_proxy")  # gRPC reads the first of them that is set


class Store(Protocol):
    """The key-value store of JAX's distributed client."""

    def key_value_set(self, key: str, value: str, allow_overwrite: bool = ...) -> None:
        """Sets a value."""

    def key_value_dir_get(self, key: str) -> list[tuple[str, str]]:
        """All keys under a folder, with their values."""

    def key_value_try_get(self, key: str) -> str:
        """A value; an error where there is none."""

    def wait_at_barrier(self, name: str, timeout_in_ms: int) -> None:
        """Waits until all processes are there."""


class Peers:
    """Watches the other processes, and ends this one when one of them is gone.

    Args:
        store: Of the run.
        index: Of this process.
        count: Of all.
        connection_ended: Set where the connection to the first process has ended.
        beat: Seconds between two beats.
        silence: Seconds without one, after which a process is gone.
    """

    def __init__(
        self,
        store: Store,
        index: int,
        count: int,
        connection_ended: threading.Event,
        *,
        beat: float = _BEAT,
        silence: float = _SILENCE,
    ) -> None:
        self._store, self._index, self._count = store, index, count
        self._beat, self._silence = beat, silence
        self._state, self._number, self._why = "", 0, ""
        now = time.monotonic()
        self._answered = now  # when the store last did
        self._heard: dict[int, tuple[str, float]] = dict.fromkeys(range(count), ("", now))
        self._verdict = ""
        self._told_to_stop = False
        self.looks_for_stops = True  # until the run itself asks for them
        self._over = False
        self._ending = threading.Event()
        self._connection_ended = connection_ended

    def start(self) -> None:
        """Begins to beat and to watch."""
        for target in (self._exchange, self._watch):
            threading.Thread(target=target, name="peers", daemon=True).start()

    @property
    def _passing_on(self) -> float:
        """Seconds that the first process waits for the others to read why it ends."""
        return 2 * self._beat + _GRACE

    def _write(self) -> None:
        self._number += 1
        beat = {
            "number": self._number,
            "host": socket.gethostname(),
            "process": os.getpid(),
            "state": self._state,
            "why": self._why,
        }
        folder = _OF_OTHERS if self._index else _OF_FIRST
        self._store.key_value_set(f"{folder}/{self._index}", json.dumps(beat), True)

    def _exchange(self) -> None:
        """Writes and reads beats; a store that does not answer blocks this thread alone."""
        while not self._over:
            with contextlib.suppress(Exception):  # jaxlib's errors have no common kind
                if self._state != _FAILED:  # which is its last word
                    self._write()
                found = self._store.key_value_dir_get(_OF_FIRST if self._index else _OF_OTHERS)
                self._answered = time.monotonic()
                for key, text in found:
                    name = key.rpartition("/")[2]
                    if name == _VERDICT:
                        self._verdict = text
                    elif text != self._heard[int(name)][0]:
                        self._heard[int(name)] = (text, self._answered)
                if self.looks_for_stops:
                    self._store.key_value_try_get(_NOTICE)  # an error is raised if there is none
                    self._told_to_stop = True
            time.sleep(self._beat)

    def _watch(self) -> None:
        while not self._over:
            self._connection_ended.wait(min(self._beat, 1.0))
            if self._told_to_stop and self.looks_for_stops and not self._over:
                self._stop()
            if (reason := self._reason()) and not self._over:
                self._end(reason)
            if self._connection_ended.is_set():
                time.sleep(0.2)

    def _stop(self) -> None:
        """Ends this process as SIGTERM ends one alone, which JAX does not let Python hear.

        One that waits in a collective hears nothing, and holds nothing that it has begun.
        """
        self.looks_for_stops = False
        if not callable(signal.getsignal(signal.SIGTERM)):
            return  # a program of one's own, which hears of it at the first step
        _thread.interrupt_main(signal.SIGTERM)
        time.sleep(_UNWINDING)
        if not (self._over or self._ending.is_set()):
            self._say("stopped by SIGTERM; give the command again")
            self.leave(_STOPPED, "")

    def _reason(self) -> str:
        """Which process is gone, and how that is known; "" if none is."""
        if self._verdict:
            return self._verdict
        now = time.monotonic()
        unanswered = now - self._answered
        if self._index and self._connection_ended.is_set():
            return self._said(0, "its connection has ended")
        if self._index and unanswered > self._silence:
            return self._said(0, f"it has not answered for {unanswered:.0f} s")
        for index in range(1, self._count) if not self._index else (0,):
            text, heard = self._heard[index]
            state = json.loads(text)["state"] if text else ""
            if state == _FAILED and now - heard > _GRACE:
                return self._said(index, "")
            # The store itself must have answered meanwhile.
            silent = self._answered - heard
            if state != _FAILED and silent > self._silence:
                return self._said(index, f"no sign of life for {silent:.0f} s")
        return ""

    def _said(self, index: int, how: str) -> str:
        text = self._heard[index][0]
        beat: dict[str, Any] = json.loads(text) if text else {}
        who = f"process {index}"
        if beat:
            who += f" (host {beat['host']}, process id {beat['process']})"
        if beat.get("state") == _FAILED:
            return f"{who} has ended with an error: {beat['why']}"
        return f"{who} is gone: {how}"

    def _end(self, reason: str) -> NoReturn:
        """Says why and ends the process, which may hang in a collective, without unwinding."""
        self._ending.set()
        self._say(
            f"error: {reason}; process {self._index} of {self._count} ends too, with code "
            f"{EXIT_CODE}; give the same command again, it goes on from the last checkpoint"
        )
        if self._index == 0:
            # The others read it here; without this process they could not.
            with contextlib.suppress(Exception):
                self._store.key_value_set(f"{_OF_FIRST}/{_VERDICT}", reason, True)
            time.sleep(self._passing_on)
        folder_locks.release_all()
        os._exit(EXIT_CODE)

    def _say(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        with contextlib.suppress(OSError):
            os.write(2, f"{text}\n".encode())

    def wait_for_verdict(self) -> None:
        """Waits, after an error that may be of a collective, for what caused it; else returns."""
        self._silence = min(self._silence, _SUSPECTED * self._beat)
        if self._ending.wait(self._silence + 3 * self._beat):
            threading.Event().wait()  # until this process is ended

    def meet(self) -> None:
        """Waits at the end for all others, which are watched until they are there too."""
        with contextlib.suppress(Exception):  # then JAX's own end says what is wrong
            self._store.wait_at_barrier("closedbook/end", int(_LAST_BARRIER * 1000))
        self._over = True

    def leave(self, code: int, why: str) -> NoReturn:
        """Ends this process after an error, and not before the others can know of it.

        JAX would wait here for all others, and abort when they do not come.

        Args:
            code: Exit code.
            why: For the others.
        """
        self._ending.set()
        self._state, self._why = _FAILED, why
        with contextlib.suppress(Exception):  # the first may be gone
            self._write()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        if self._index == 0:
            time.sleep(self._passing_on)
        folder_locks.release_all()
        os._exit(code)


class Proxy:
    """Passes bytes to process 0 and back; where that one is gone, its connections stay open.

    Args:
        address: "host:port" of the coordination service.
        ended: Set when a connection has ended from there.
    """

    def __init__(self, address: str, ended: threading.Event) -> None:
        host, _, port = address.rpartition(":")
        self._target = (host.strip("[]"), int(port))
        self._ended = ended
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, name="peers", daemon=True).start()

    def _accept(self) -> None:
        while True:
            near, _ = self._listening.accept()
            try:
                far = socket.create_connection(self._target, timeout=10)
            except OSError:  # not up yet: gRPC tries again
                near.close()
                continue
            far.settimeout(None)
            for each in (near, far):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            left = threading.Event()  # by the near side
            for way in (self._out, self._back):
                threading.Thread(
                    target=way, args=(near, far, left), name="peers", daemon=True
                ).start()

    def _out(self, near: socket.socket, far: socket.socket, left: threading.Event) -> None:
        _copy(near, far)
        left.set()
        with contextlib.suppress(OSError):
            far.shutdown(socket.SHUT_RDWR)

    def _back(self, near: socket.socket, far: socket.socket, left: threading.Event) -> None:
        _copy(far, near)
        if not left.is_set():
            self._ended.set()  # and the near side stays open


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_COPIED):
            sink.sendall(data)


@contextlib.contextmanager
def through_proxy(ended: threading.Event) -> Iterator[None]:
    """Lets the client that `jax.distributed.initialize` makes inside connect through a `Proxy`.

    Where this version of JAX makes it in another way, it connects as it always does.

    Args:
        ended: As for `Proxy`.
    """
    from jax._src import distributed

    module = getattr(distributed, "_jax", None)
    name = "get_distributed_runtime_client"
    original = getattr(module, name, None)
    if original is None:
        yield
        return

    def made(address: str, index: int, *args: object, **kwargs: object) -> object:
        if index != 0:
            address = Proxy(address, ended).address
            # An HTTP proxy that the environment names would look for it on its own machine.
            others = next(filter(None, map(os.environ.get, _NOT_BY_HTTP_PROXY)), "")
            os.environ[_NOT_BY_HTTP_PROXY[0]] = f"{others},127.0.0.1".lstrip(",")
        return original(address, index, *args, **kwargs)

    setattr(module, name, made)
    try:
        yield
    finally:
        setattr(module, name, original)
