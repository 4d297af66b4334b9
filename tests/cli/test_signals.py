"""Any command that SIGTERM or SIGHUP ends leaves nothing half-written, and says so in one line."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import typer

from closedbook import whole_files
from closedbook.cli.run import guarded
from closedbook.cli.signals import raised_as_stopped
from closedbook.data import cache
from closedbook.errors import Stopped

pytestmark = pytest.mark.usefixtures("signals_heard")


def _rows(number: int):
    yield {"targets": [[1, 2]]}, None
    os.kill(os.getpid(), number)
    yield {"targets": [[3]]}, None


def _build(folder, number):
    cache.write(folder / "caches" / "a", _rows(number), manifest={}, vocab_size=9)


@pytest.mark.parametrize(
    ("number", "code", "name"), [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGHUP, 129, "SIGHUP")]
)
def test_a_build_of_a_token_cache_that_is_stopped_leaves_nothing(
    number, code, name, tmp_path, capsys
):
    before = signal.getsignal(number)
    assert guarded(lambda: _build(tmp_path, number)) == code
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err.splitlines() == [
        f"stopped by {name}; nothing half-written is left, give the command again"
    ]
    assert signal.getsignal(number) is before


def test_after_ctrl_c_too(tmp_path, capsys):
    assert guarded(lambda: _build(tmp_path, signal.SIGINT)) == 130
    assert list(tmp_path.iterdir()) == []
    app = typer.Typer()
    app.command()(lambda: _build(tmp_path, signal.SIGINT))
    assert guarded(lambda: app([])) == 130
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err.splitlines() == ["interrupted"] * 2


def test_under_nohup_a_hangup_stays_ignored(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert guarded(lambda: os.kill(os.getpid(), signal.SIGHUP)) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_signal_does_not_disturb_the_way_out():
    def ends_twice():
        try:
            os.kill(os.getpid(), signal.SIGHUP)
        finally:
            os.kill(os.getpid(), signal.SIGHUP)  # a closing terminal and its shell send one each
            undone.append(True)

    undone = []
    with raised_as_stopped(), pytest.raises(Stopped):
        ends_twice()
    assert undone == [True]


_KILLED = """
import os, pathlib, signal, sys
from closedbook.data import cache

def rows():
    yield {"targets": [[1, 2]]}, None
    os.kill(os.getpid(), signal.SIGKILL)

cache.write(pathlib.Path(sys.argv[1]) / "a", rows(), manifest={}, vocab_size=9)
"""


def test_what_a_killed_build_left_goes_with_the_next_build_of_any_cache(tmp_path, caplog):
    from closedbook.data.cache_lookup import token_cache
    from closedbook.tasks.own_files import qa_from_files
    from closedbook.vocabulary.text_bytes import ByteVocabulary

    caches = tmp_path / "caches"
    subprocess.run([sys.executable, "-c", _KILLED, caches])
    (left,) = caches.iterdir()
    running = caches / whole_files.hidden_name("b")
    running.mkdir()
    path = tmp_path / "questions.jsonl"
    path.write_text(json.dumps({"question": "who?", "answer": ["me"]}) + "\n")
    qa_from_files({"after_a_kill": {"train": str(path)}})
    built = token_cache("after_a_kill", "train", vocabulary=ByteVocabulary(), cache_dir=caches)
    assert sorted(caches.iterdir()) == sorted([running, built.folder])
    assert not left.exists()


def test_another_machines_leavings_wait_for_a_day(tmp_path):
    name = whole_files.hidden_name("a")
    machine, process = name.split(".")[2].split("-")[:2]
    left = tmp_path / name.replace(f"{machine}-{process}", "0123456789ab-1")
    left.mkdir()
    assert whole_files.remove_abandoned(tmp_path) == []
    day = time.time() + 25 * 3600
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: day)
        assert whole_files.remove_abandoned(tmp_path) == [left]
    assert not left.exists()
