"""A process that is killed is named by the others, which end with a code of their own."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from closedbook.parallel import peers

# Run by each of two processes: its index, the port of the first, and how it ends.
PROGRAM = """
import functools, os, signal, sys, time
import numpy as np
from closedbook.errors import UserError
from closedbook.parallel import peers, processes
peers.Peers = functools.partial(peers.Peers, beat=0.3, silence=3.0)
peers._UNWINDING = 2.0
index, port, ends = int(sys.argv[1]), sys.argv[2], sys.argv[3]
def prepare():
    if f"{index} is stopped" in ends:
        os.kill(os.getpid(), signal.SIGTERM)
    if index == 0:
        try:
            for _ in range(1000):
                time.sleep(0.1)
        finally:
            print("undone", flush=True)
    processes.of_first(1)  # waits for the first, and hears nothing
if "stopped" in ends:
    from closedbook.cli import run
    sys.argv = [""]
    def join_and_prepare(words):
        processes.initialize_processes(coordinator_address=f"localhost:{port}", process_count=2,
                                       process_index=index, initialization_timeout=60)
        prepare()
    run.program(join_and_prepare)
processes.initialize_processes(coordinator_address=f"localhost:{port}", process_count=2,
                               process_index=index, initialization_timeout=60)
with processes.lost_peers_named():
    for count in range(10**6):
        processes.gather({"here": np.ones(3)})
        time.sleep(0.1)
        if count == 10 and ends == f"{index} is killed":
            os.kill(os.getpid(), signal.SIGKILL)
"""


def _pair(ends: str) -> list[tuple[int, str, str]]:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    flags = [f for f in os.environ["XLA_FLAGS"].split() if "device_count" not in f]
    both = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(index), str(port), ends],
            env=os.environ | {"XLA_FLAGS": " ".join(flags)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    outputs = [process.communicate(timeout=120) for process in both]
    return [(each.returncode, *output) for each, output in zip(both, outputs, strict=True)]


@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_that_is_killed_is_named_in_one_line(victim):
    ended = _pair(f"{victim} is killed")
    assert ended[victim][0] == -signal.SIGKILL
    code, _, said = ended[1 - victim]
    assert code == peers.EXIT_CODE, said
    assert f"error: process {victim} (host {os.uname()[1]}, process id " in said
    assert f"is gone: {'its connection' if victim == 0 else 'no sign of life'}" in said
    assert "Traceback" not in said
    assert "stack trace" not in said
    assert len(said.splitlines()) < 4


def test_while_data_is_prepared_a_stop_of_one_process_ends_all_at_once():
    began = time.monotonic()
    first, second = _pair("1 is stopped")
    assert time.monotonic() - began < 60  # and not the 100 s of what is prepared
    for code, _, said in (first, second):
        assert code == 143, said
        assert "stopped by SIGTERM" in said
        assert "Traceback" not in said
    assert first[1] == "undone\n"


class Store(dict):
    """What two processes share, as JAX's client has it."""

    def __init__(self):
        self._meeting = threading.Barrier(2)

    def wait_at_barrier(self, name, timeout_in_ms):
        self._meeting.wait(timeout_in_ms / 1000)

    def key_value_set(self, key, value, allow_overwrite=False):
        self[key] = value

    def key_value_try_get(self, key):
        return self[key]

    def key_value_dir_get(self, key):
        return [each for each in self.items() if each[0].startswith(f"{key}/")]


@pytest.fixture
def ends(monkeypatch):
    """Why the watched process would end; it goes on."""
    reasons = []
    monkeypatch.setattr(peers.Peers, "_end", lambda self, reason: reasons.append(reason))
    monkeypatch.setattr(peers, "_GRACE", 0.1)
    return reasons


@pytest.fixture
def watched(ends):
    """Starts to watch as a process of an index."""
    started = []

    def watched(store, index, count=3):
        found = peers.Peers(store, index, count, threading.Event(), beat=0.02, silence=0.5)
        started.append(found)
        found.start()
        return found

    yield watched
    for each in started:
        each._over = True
    for thread in threading.enumerate():
        if thread.name == "peers":
            thread.join()


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_first_names_the_one_that_is_silent_and_not_those_that_beat(ends, watched):
    store = Store()
    watched(store, 0)
    watched(store, 1)
    until(lambda: ends)
    assert ends[0].startswith("process 2 is gone: no sign of life for ")


def test_processes_that_have_met_at_the_end_are_not_missed(ends, watched):
    store = Store()
    both = [watched(store, index, count=2) for index in range(2)]
    meeting = [threading.Thread(target=each.meet) for each in both]
    for thread in meeting:
        thread.start()
    for thread in meeting:
        thread.join()
    time.sleep(1)
    assert ends == []


def test_the_error_of_one_process_and_the_firsts_verdict_reach_the_others(
    ends, watched, monkeypatch
):
    store = Store()
    watched(store, 0, count=2)
    other = watched(store, 1, count=2)
    monkeypatch.setattr(os, "_exit", lambda code: None)
    other.leave(2, "the disk is full")
    until(lambda: ends)
    assert "process 1" in ends[0]
    assert ends[0].endswith("has ended with an error: the disk is full")
    store["closedbook/first/verdict"] = "process 7 is gone"
    until(lambda: "process 7 is gone" in ends)


def test_beats_say_where_a_process_runs(watched):
    store = Store()
    watched(store, 1)
    until(lambda: len(store))
    said = json.loads(store["closedbook/others/1"])
    assert (said["host"], said["process"]) == (os.uname()[1], os.getpid())
