"""What is written appears whole or not at all, and what stood there before is not lost."""

import contextlib
import os
import pathlib
import socket
import stat
import subprocess
import sys
import time

import pytest

from closedbook import whole_files
from closedbook.errors import UserError


def _names(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _fail(writing) -> None:
    with writing:
        raise KeyboardInterrupt


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"old")
    with whole_files.opened(path, to_disk=True) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    whole_files.write_text(path, "é\r\n")
    assert path.read_bytes() == b"\xc3\xa9\r\n"
    whole_files.copy(path, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"\xc3\xa9\r\n"
    assert _names(tmp_path) == ["copy", "rows.jsonl"]


@pytest.mark.parametrize("writing", [whole_files.opened, whole_files.making])
def test_a_failing_writer_leaves_nothing_and_the_old_file_whole(tmp_path, writing):
    path = tmp_path / "rows.jsonl"
    with pytest.raises(KeyboardInterrupt):
        _fail(writing(path))
    assert _names(tmp_path) == []
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        _fail(writing(path))
    assert path.read_bytes() == b"old"
    assert _names(tmp_path) == ["rows.jsonl"]


def test_a_full_disk_leaves_the_old_file_whole(tmp_path):
    """A process may write 10,000 bytes per file: the rest fails as on a full disk."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"old")
    program = (
        "import resource, signal, sys\n"
        "from closedbook import whole_files\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "whole_files.write_bytes(sys.argv[1], bytes(20_000))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True)
    assert "OSError: [Errno 27] File too large" in done.stderr
    assert path.read_bytes() == b"old"
    assert _names(tmp_path) == ["rows.jsonl"]


def test_of_two_writers_the_last_to_finish_wins_and_both_were_whole(tmp_path):
    path = tmp_path / "card.json"
    with whole_files.opened(path) as slow:
        slow.write(b"slow, first half; ")
        with whole_files.opened(path) as fast:
            fast.write(b"fast")
        assert path.read_bytes() == b"fast"
        slow.write(b"second half")
    assert path.read_bytes() == b"slow, first half; second half"
    assert _names(tmp_path) == ["card.json"]


def test_rights_are_those_of_any_new_file_or_of_the_replaced_one(tmp_path):
    mask = os.umask(0o027)
    try:
        whole_files.write_bytes(tmp_path / "file", b"")
        with whole_files.folder(tmp_path / "folder"):
            pass
        (tmp_path / "private").touch(0o600)
        whole_files.write_bytes(tmp_path / "private", b"secret")
    finally:
        os.umask(mask)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"file": 0o640, "folder": 0o750, "private": 0o600}


def test_an_unfinished_file_may_lie_in_a_scratch_folder(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with whole_files.making(tmp_path / "shard", scratch=scratch) as partial:
        partial.write_bytes(b"s")
        assert partial.parent == scratch
    assert (tmp_path / "shard").read_bytes() == b"s"
    assert _names(scratch) == []


def _kill_while_writing(path: pathlib.Path) -> None:
    program = (
        "import os, sys\n"
        "from closedbook import whole_files\n"
        "with whole_files.opened(sys.argv[1]) as file:\n"
        "    os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", program, path], check=False)


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path):
    path = tmp_path / "weights"
    _kill_while_writing(path)
    for name in ("weights", ".weights.old", ".weights.partial", whole_files.hidden_name("other")):
        (tmp_path / name).touch()
    (left,) = whole_files.leavings(path)
    assert left.name.startswith(".weights.")
    assert whole_files.leavings(tmp_path / "no" / "such") == []
    running = tmp_path / whole_files.hidden_name("weights")
    running.touch()
    whole_files.write_bytes(path, b"w")
    assert whole_files.leavings(path) == [running]


def _of_another_machine(left: pathlib.Path) -> pathlib.Path:
    name, _, end = left.name.rpartition(".partial")[0].rpartition(".")
    return left.rename(left.with_name(f"{name}.{'0' * 12}-{end.partition('-')[2]}.partial"))


def test_another_machine_s_unfinished_file_stays_for_a_day(tmp_path, monkeypatch):
    """Its process ids say nothing here."""
    path = tmp_path / "weights"
    _kill_while_writing(path)
    foreign = _of_another_machine(whole_files.leavings(path)[0])
    whole_files.write_bytes(path, b"w")
    assert foreign.exists()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 25 * 3600)
    whole_files.write_bytes(path, b"w")
    assert _names(tmp_path) == ["weights"]


def test_a_link_stays_and_the_file_that_it_leads_to_is_written(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "rows").write_text("old rows")
    (tmp_path / "rows").symlink_to(disk / "rows")
    (tmp_path / "new").symlink_to("disk/new")
    whole_files.write_text(tmp_path / "rows", "new rows")
    whole_files.write_text(tmp_path / "new", "new file")
    assert (tmp_path / "rows").is_symlink()
    assert (tmp_path / "new").is_symlink()
    assert (disk / "rows").read_text() == "new rows"
    assert (disk / "new").read_text() == "new file"
    assert _names(disk) == ["new", "rows"]


@pytest.mark.parametrize("length", [200, 255])
def test_the_longest_names_are_written_and_cleaned_too(tmp_path, length):
    path = tmp_path / ("é" * (length // 2) + "x" * (length % 2))
    _kill_while_writing(path)
    assert len(_names(tmp_path)) == 1
    whole_files.write_bytes(path, b"w")
    assert _names(tmp_path) == [path.name]


@pytest.mark.parametrize("kind", ["a folder", "a pipe", "a socket"])
def test_what_is_no_file_is_refused_and_stays(tmp_path, kind):
    path = tmp_path / "thing"
    with socket.socket(socket.AF_UNIX) as listening, contextlib.chdir(tmp_path):
        make = {"a folder": path.mkdir, "a pipe": lambda: os.mkfifo(path)}
        make.get(kind, lambda: listening.bind(path.name))()
        before = path.stat()
        with pytest.raises(UserError, match=rf"thing is {kind}, .*; give the name of a file"):
            whole_files.write_bytes(path, b"w")
        (tmp_path / "link").symlink_to(path)
        with pytest.raises(UserError, match=rf"link is {kind}"):
            whole_files.write_bytes(tmp_path / "link", b"w")
        assert path.stat() == before
        assert _names(tmp_path) == ["link", "thing"]


def test_a_pipe_behind_a_link_of_the_system_is_refused(tmp_path):
    """As standard output in a pipe, but under a link of our own."""
    read, write = os.pipe()
    try:
        path = tmp_path / "stdout"
        path.symlink_to(f"/proc/self/fd/{write}")
        with pytest.raises(UserError, match=r"stdout is a pipe"):
            whole_files.write_bytes(path, b"w")
        assert path.is_symlink()
    finally:
        os.close(read)
        os.close(write)


def test_a_device_is_refused(tmp_path, monkeypatch):
    """The kind is made up, so that no fault of ours can touch a device."""
    path = tmp_path / "tape"
    path.write_bytes(b"old")
    monkeypatch.setattr(stat, "S_IFMT", lambda mode: stat.S_IFCHR)
    with pytest.raises(UserError, match="tape is a device"):
        whole_files.write_bytes(path, b"w")
    assert path.read_bytes() == b"old"
