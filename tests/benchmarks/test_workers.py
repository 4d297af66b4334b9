"""Processes of a study that work side by side."""

import os
import signal
import subprocess
import sys
import time

import pytest

from benchmarks import workers
from closedbook.errors import UserError

PROGRAM = """
import os, pathlib, sys, time
from benchmarks import workers

def work(file):
    pathlib.Path(file).write_text(str(os.getpid()))
    time.sleep(120)

if __name__ == "__main__":
    workers.run_all(work, [sys.argv[1]], [None], pathlib.Path(sys.argv[1] + "-compiled"), print)
"""


def test_they_end_with_the_process_that_started_them(tmp_path):
    program, said = tmp_path / "program.py", tmp_path / "said"
    program.write_text(PROGRAM, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    study = subprocess.Popen([sys.executable, str(program), str(said)], env=environment)
    try:
        _wait_for(lambda: said.exists() and said.read_text(encoding="utf-8"))
    finally:
        study.send_signal(signal.SIGKILL)
        study.wait()
    worker = int(said.read_text(encoding="utf-8"))
    try:
        _wait_for(lambda: not _lives(worker))
    finally:
        if _lives(worker):
            os.kill(worker, signal.SIGKILL)


def test_one_that_is_killed_is_told_of(tmp_path):
    with pytest.raises(UserError, match="killed, as the system does where memory runs out"):
        workers.run_all(_kill_itself, [1], [None], tmp_path, print)


def _kill_itself(_):
    os.kill(os.getpid(), signal.SIGKILL)


def _wait_for(reached, seconds=60):
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.05)


def _lives(process):
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
