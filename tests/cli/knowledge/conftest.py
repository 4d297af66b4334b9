"""The command as a user types it, in the tests' own process."""

import functools
import sys

import pytest

from closedbook.cli import closedbook


@pytest.fixture(scope="session")
def exit_code():
    """Runs `closedbook`; gives its exit code."""

    def run(*words: object) -> int:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["closedbook", *map(str, words)])
            with pytest.raises(SystemExit) as ended:
                closedbook.main()
        return int(ended.value.code or 0)

    return run


@pytest.fixture
def run(exit_code, capsys):
    """Runs `closedbook`: (exit code, output, errors)."""

    def ran(*words: object) -> tuple[int, str, str]:
        code = exit_code(*words)
        return code, *capsys.readouterr()

    return ran


@pytest.fixture
def probe(run):
    """Runs `closedbook probe`: (exit code, output, errors)."""
    return functools.partial(run, "probe")


@pytest.fixture
def memories(run, monkeypatch, tmp_path):
    """Runs `closedbook memories` in a folder of its own: (exit code, output, errors)."""
    monkeypatch.chdir(tmp_path)
    return functools.partial(run, "memories")
