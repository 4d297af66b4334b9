"""`make` finds an interpreter that runs, and teaches; nothing is installed here."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")


def make(*arguments, **environment):
    # What an outer `make test PYTHON=...` passes on would change what the inner one does.
    passed_on = {"PYTHON", "NEWEST", "VENV", "TESTS", "ARGS", "WORKERS"}
    inherited = {
        name: value
        for name, value in os.environ.items()
        if "MAKE" not in name and name not in passed_on
    }
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=REPOSITORY,
        env=inherited | environment,
        capture_output=True,
        text=True,
    )


def script(folder, name, text):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_bare_make_lists_every_target():
    listed = make().stdout
    targets = "setup quickstart test test-newest lint types wheel-check clean"
    for target in targets.split():
        assert f"make {target} " in listed


def test_interpreter_that_does_not_run_or_is_too_old_is_passed_over(tmp_path):
    script(tmp_path, "python3.13", "echo 'command not found' >&2; exit 127")
    script(tmp_path, "python3.12", f'exec {sys.executable} "$@"')
    script(tmp_path, "python3", "exit 0")
    result = make("--eval", "chosen: ; @echo $(PYTHON)", "chosen", PATH=f"{tmp_path}:/usr/bin:/bin")
    assert result.stdout.strip() == "python3.12"


def test_machine_without_a_fitting_interpreter_is_told_what_to_do(tmp_path):
    result = make("setup", f"VENV={tmp_path}/venv", "PYTHON=")
    assert result.returncode == 2
    assert "No Python from 3.11 to 3.13 found" in result.stderr
    assert not (tmp_path / "venv").exists()


def test_the_newest_python_is_not_asked_for_where_there_is_none_or_no_other(tmp_path):
    none = make("test-newest", "NEWEST=")
    assert none.returncode == 0
    assert "no Python 3.12 or 3.13 that runs" in none.stdout
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    same = make("test-newest", f"NEWEST={sys.executable}", f"VENV={tmp_path}")
    assert same.returncode == 0
    assert "is what `make test` runs on" in same.stdout
