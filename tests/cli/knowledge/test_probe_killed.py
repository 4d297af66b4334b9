"""`closedbook probe`, the whole command, killed by the system in the middle, and given again."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

_WORDS = (
    *("probe", "--model", "closedbook://atlas_qa", "--out", "out", "--limit", "6"),
    *("--relations", "state_capital,country_independence", "--hidden", "--hidden-wrong", "3"),
)


def _start(folder: pathlib.Path, *words: str) -> subprocess.Popen:
    command = pathlib.Path(sys.executable).parent / "closedbook"
    # One device, as a user has: eight would only slow the command down.
    flags = [flag for flag in os.environ["XLA_FLAGS"].split() if "device_count" not in flag]
    return subprocess.Popen(
        [command, *_WORDS, *words],
        cwd=folder,
        env=os.environ | {"XLA_FLAGS": " ".join(flags)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _kill_when_there(folder: pathlib.Path, pattern: str) -> set[str]:
    """Kills the command once it has kept such a file; the names of what it had kept."""
    process = _start(folder)
    while not list(folder.glob(f"out.unfinished/{pattern}")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (folder / "out").exists(), "nothing half-written"
    return {path.name for path in folder.glob(f"out.unfinished/{pattern}")}


@pytest.mark.slow
def test_a_command_that_is_killed_goes_on_and_writes_the_same(tmp_path):
    assert len(_kill_when_there(tmp_path, "rows-*")) in (1, 2)
    assert _kill_when_there(tmp_path, "states-*")
    assert len(list(tmp_path.glob("out.unfinished/rows-*"))) == 2
    process = _start(tmp_path)
    printed, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "2 of 2 relations were asked before the last run ended" in errors
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "nothing is left beside it"
    names = ("results.jsonl", "summary.json", "tables/means.csv", "report.html")
    again = {name: (tmp_path / "out" / name).read_bytes() for name in names}
    process = _start(tmp_path, "--force")
    whole, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "were asked before" not in errors
    assert printed == whole
    assert again == {name: (tmp_path / "out" / name).read_bytes() for name in names}
