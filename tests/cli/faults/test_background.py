"""What libraries and their threads say of a fault does not stand before the command's message."""

import errno
import logging
import os
import pathlib
import subprocess
import sys
import threading
import time
import warnings

import pytest

from closedbook.cli.faults import background
from closedbook.cli.run import guarded, log_to_stderr

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
PROGRAM = "import sys; from closedbook.cli.{0} import main; sys.argv[0] = '{0}'; main()"
TRAIN = (
    "train",
    "--gin_file=atlas_qa.gin",
    "--gin.TRAIN_STEPS_RELATIVE=1",
    "--gin.BATCH_SIZE=8",
    "--gin.MODEL_DIR='run'",
)


def run(folder: pathlib.Path, program: str, *words: str, **options) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    environment |= options.pop("env", {})
    first = options.pop("first", "")
    command = [sys.executable, "-P", "-c", first + PROGRAM.format(program), *words]
    output = options.pop("stdout", subprocess.PIPE)
    return subprocess.run(
        command, cwd=folder, env=environment, stdout=output, stderr=subprocess.PIPE, text=True,
        check=False, **options,
    )  # fmt: skip


# A stand-in for a full disk that needs no rights: no file may pass 400 kB.
SMALL_FILES = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000)); "


@pytest.mark.slow
def test_a_checkpoint_that_cannot_be_written_is_one_message_and_traceback_shows_all(tmp_path):
    # The token cache is built without the limit, which would break off sooner.
    run(tmp_path, "t5x", *TRAIN, "--gin.MODEL_DIR='before'")
    short = run(tmp_path, "t5x", *TRAIN, first=SMALL_FILES)
    assert short.returncode == 2
    own = ("starting from", "train ")
    errors = [line for line in short.stderr.splitlines() if not line.startswith(own)]
    assert len(errors) == 1, short.stderr
    assert errors[0].startswith("error: no checkpoint can be saved in ")
    assert "File too large" in errors[0]
    assert "the last good checkpoint is none" in errors[0]
    whole = run(tmp_path, "t5x", *TRAIN, "--traceback", first=SMALL_FILES)
    assert whole.returncode == 2
    assert "Traceback (most recent call last)" in whole.stderr
    # Libraries' threads may still tell theirs after it.
    own = [line for line in whole.stderr.splitlines() if line.startswith("error: ")]
    assert [line.partition(": File too large")[0] for line in own] == [
        errors[0].partition(": File too large")[0]
    ]


@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("env", [{}, {"CLOSEDBOOK_TRACEBACK": "1"}])
def test_output_that_finds_no_room_is_one_message(tmp_path, env):
    with open("/dev/full", "w") as full:
        done = run(tmp_path, "t5x", "files", stdout=full, env=env)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert os.strerror(errno.ENOSPC) in done.stderr.splitlines()[-1]
    assert ("Traceback" in done.stderr) is bool(env)
    assert env or len(done.stderr.splitlines()) == 1


def fails_noisily() -> None:
    """What a library does around a fault: a log with a traceback, threads that die, a warning."""
    log = logging.getLogger("orbax_or_so")
    try:
        raise ValueError("in the library")
    except ValueError:
        log.exception("a thread raised an exception")
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    sys.excepthook(RuntimeError, RuntimeError("Event loop is closed"), None)  # as C++ callbacks do


def test_noise_is_forgotten_where_the_command_fails(capsys):
    def command():
        log_to_stderr()
        fails_noisily()
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), "/a/file")

    assert guarded(command) == 2
    assert capsys.readouterr().err == "error: /a/file: Permission denied\n"


def test_noise_is_a_line_each_where_the_command_goes_on(capsys):
    def command():
        log_to_stderr()
        fails_noisily()
        raise SystemExit(0)  # as Typer ends a command

    assert guarded(command) == 0
    assert capsys.readouterr().err.splitlines() == [
        "orbax_or_so: a thread raised an exception",
        "ZeroDivisionError: division by zero",
        "RuntimeError: Event loop is closed",
    ]


def test_noise_of_a_long_run_is_shown_before_it_ends(capsys, monkeypatch):
    monkeypatch.setattr(background, "_WAIT", 0.05)

    def command():
        log_to_stderr()
        fails_noisily()
        end = time.monotonic() + 5
        seen = ""
        while "Event loop" not in seen and time.monotonic() < end:
            time.sleep(0.02)
            seen += capsys.readouterr().err
        assert "Event loop is closed" in seen

    assert guarded(command) == 0


def test_warnings_are_lines_and_hooks_are_put_back(capsys):
    before = sys.excepthook, threading.excepthook, sys.unraisablehook
    handlers = logging.getLogger().handlers[:]

    def command():
        log_to_stderr()
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning(UserWarning("odd\nthings"), UserWarning, "library.py", 3)
        logging.getLogger("some.library").warning("a %s", "remark")

    assert guarded(command) == 0
    assert capsys.readouterr().err == "UserWarning: odd things\nsome.library: a remark\n"
    assert before == (sys.excepthook, threading.excepthook, sys.unraisablehook)
    assert logging.getLogger().handlers == handlers


def test_a_fault_of_ours_is_short_and_asks_for_a_report(capsys):
    def command():
        background.asked_for_all(3)  # it takes words

    assert guarded(command) == 1
    errors = capsys.readouterr().err
    assert errors.startswith("error: TypeError: ")
    assert "closedbook.cli.faults.background, line " in errors
    assert len(errors.splitlines()) <= 8
    assert "Please report it" in errors
    assert guarded(command, whole=True) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_the_word_is_taken_out_of_the_line_anywhere_but_behind_two_dashes(monkeypatch):
    monkeypatch.delenv("CLOSEDBOOK_TRACEBACK", raising=False)
    assert background.asked_for_all(["--traceback", "ask", "q"]) == (["ask", "q"], True)
    assert background.asked_for_all(["ask", "--", "--traceback"])[1] is False
    monkeypatch.setenv("CLOSEDBOOK_TRACEBACK", "0")
    assert background.asked_for_all(["ask"])[1] is False
