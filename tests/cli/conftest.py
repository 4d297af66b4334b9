"""What tests of commands share."""

import sys

import pytest

from closedbook.cli import closedbook


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Runs `closedbook` in this process and an empty folder: (exit code, output, errors)."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["closedbook", *words])
        with pytest.raises(SystemExit) as ended:
            closedbook.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run
