"""What is on standard error while TensorFlow is imported: all but its start-up notes."""

import subprocess
import sys
import time

import pytest

NOTE = "I0000 port.cc:153] oneDNN custom operations are on."
BEGIN = f"""
import os, subprocess, sys
from closedbook.cli import tensorflow_start
def write(text):
    os.write(2, text.encode())
def held():
    return tensorflow_start._without_notes()
def note():
    write({NOTE!r} + chr(10))
"""


def _run(program: str, *arguments: str, shell: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BEGIN + program, *arguments]
    if shell:
        command = ["sh", "-c", f'exec "$@" {shell}', "sh", *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("written", ["a real error", "W0000 something else is wrong"])
def test_other_words_are_kept(written):
    result = _run(f"with held(): note(); print({written!r}, file=sys.stderr); note()")
    assert result.stderr == f"{written}\n"


def test_words_stay_in_their_order():
    program = "write('1 ')\nwith held(): note(); write('2\\n'); note(); write('3 ')\nwrite('4')"
    assert _run(program).stderr == "1 2\n3 4"


@pytest.mark.parametrize(
    "crash", ["os.abort()", "os.kill(os.getpid(), 9)", "os.kill(os.getpid(), 4)", "os._exit(1)"]
)
def test_a_crash_does_not_take_the_last_words_with_it(crash):
    result = _run(f"with held(): note(); write('first\\nlast words'); {crash}")
    assert result.returncode != 0
    assert result.stderr == "first\nlast words"


def test_an_exception_is_shown_as_ever():
    result = _run("with held(): note(); raise ImportError('no such library')")
    assert result.stderr.endswith("ImportError: no such library\n")
    assert NOTE not in result.stderr


def test_words_come_while_the_import_goes_on():
    program = BEGIN + "with held(): write('working\\n'); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"working\n"
        process.communicate(b"\n")
    assert process.returncode == 0


def test_a_closed_standard_error_is_no_fault(tmp_path):
    """What has the number 2 instead is left alone."""
    program = (
        "assert sys.stderr is None\n"
        "with held(): print('imported')\n"
        "file = open(sys.argv[1], 'wb', 0)\n"
        "if file.fileno() != 2: os.dup2(file.fileno(), 2)\n"
        "with held(): write('a row')\n"
    )
    result = _run(program, str(tmp_path / "rows"), shell="2>&-")
    assert (result.returncode, result.stdout) == (0, "imported\n")
    assert (tmp_path / "rows").read_text() == "a row"


def test_a_standard_error_that_is_closed_later_is_no_fault():
    result = _run("os.close(2)\nwith held(): print('imported')")
    assert (result.returncode, result.stdout) == (0, "imported\n")


def test_all_streams_may_be_closed(tmp_path):
    program = "with held(): note(); write('words')\nopen(sys.argv[1], 'w').write('imported')"
    result = _run(program, str(tmp_path / "done"), shell="<&- >&-")
    assert (tmp_path / "done").read_text() == "imported"
    assert "words" in result.stderr


def test_no_temporary_folder_is_needed():
    program = "import tempfile; tempfile.tempdir = '/no/such/folder'\nwith held(): write('words')"
    assert _run(program).stderr == "words"


def test_notes_are_shown_where_they_cannot_be_sorted():
    program = "sys.executable = {!r}\nwith held(): note(); write('words')"
    for executable in ("/no/such/python", "/bin/false"):
        assert _run(program.format(executable)).stderr == f"{NOTE}\nwords"


def test_a_process_that_was_started_meanwhile_keeps_its_standard_error():
    """It goes on writing after the import, and after the end of the process that started it."""
    late = "import sys, time; time.sleep(1.5); print('late words', file=sys.stderr)"
    program = f"with held(): subprocess.Popen([sys.executable, '-c', {late!r}])\nwrite('imported ')"
    started = time.monotonic()
    result = _run(program)
    assert result.returncode == 0
    assert result.stderr == "imported late words\n"
    assert time.monotonic() - started > 1.5
