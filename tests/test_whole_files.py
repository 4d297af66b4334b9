"""What is written appears whole or not at all, and what stood there before is not lost."""

import os
import pathlib
import stat
import subprocess
import sys

import pytest

from closedbook import whole_files


def _names(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _fail(writing) -> None:
    with writing:
        raise KeyboardInterrupt


def _pass(writing) -> None:
    with writing:
        pass


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


def test_what_a_killed_writer_left_is_recognised(tmp_path):
    path = tmp_path / "weights"
    program = (
        "import os, sys\n"
        "from closedbook import whole_files\n"
        "with whole_files.opened(sys.argv[1]) as file:\n"
        "    os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", program, path], check=False)
    for name in ("weights", ".weights.old", ".weights.partial", ".other.1-0123abcd.partial"):
        (tmp_path / name).touch()
    (left,) = whole_files.leavings(path)
    assert left.name.startswith(".weights.")
    assert whole_files.leavings(tmp_path / "no" / "such") == []


def _made(folder: pathlib.Path, *names: str) -> pathlib.Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text(name)
    return folder


def test_a_folder_is_made_with_those_around_it(tmp_path):
    target = tmp_path / "a" / "b" / "model"
    with whole_files.folder(target, to_disk=True) as new:
        (new / "weights").write_text("w")
        assert not target.exists()
    assert _names(target) == ["weights"]
    assert _names(target.parent) == ["model"]


def test_after_a_fault_no_folder_is_left_and_the_old_one_is_whole(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        _fail(whole_files.folder(tmp_path / "a" / "model"))
    assert _names(tmp_path) == []
    _made(tmp_path / "model", "old")
    with pytest.raises(KeyboardInterrupt):
        _fail(whole_files.folder(tmp_path / "model", replace=True))
    assert _names(tmp_path) == ["model"]
    assert _names(tmp_path / "model") == ["old"]


def test_a_folder_is_replaced_only_where_that_is_asked_for(tmp_path):
    target = _made(tmp_path / "model", "old")
    with pytest.raises(FileExistsError, match="exists already"):
        _fail(whole_files.folder(target))
    with whole_files.folder(target, replace=True) as new:
        (new / "new").touch()
    assert _names(target) == ["new"]
    with whole_files.folder(target, replace=lambda: _names(target) == ["new"]) as new:
        (new / "newer").touch()
    with pytest.raises(FileExistsError, match="another program"):
        _pass(whole_files.folder(target, replace=lambda: _names(target) == ["new"]))
    assert _names(target) == ["newer"]
    assert _names(tmp_path) == ["model"]


def test_a_folder_that_another_program_made_meanwhile_stays(tmp_path):
    target = tmp_path / "model"
    with (
        pytest.raises(FileExistsError, match="made by another program"),
        whole_files.folder(target),
    ):
        _made(target, "other")
    assert _names(target) == ["other"]
    assert _names(tmp_path) == ["model"]


def test_a_replaced_folder_comes_back_after_a_fault(tmp_path, monkeypatch):
    target = _made(tmp_path / "model", "old")
    rename = pathlib.Path.rename

    def fail(self: pathlib.Path, to: pathlib.Path) -> pathlib.Path:
        if self.parent.name.endswith(".partial") and self.name == "model":
            raise OSError(5, "I/O error")
        return rename(self, to)

    monkeypatch.setattr(pathlib.Path, "rename", fail)
    with pytest.raises(OSError, match="I/O error"):
        _pass(whole_files.folder(target, replace=True))
    assert _names(target) == ["old"]
    assert _names(tmp_path) == ["model"]


def _killed(target: pathlib.Path, when: str) -> pathlib.Path:
    """Kills a process that is replacing a folder; returns what it leaves."""
    program = (
        "import os, pathlib, sys\n"
        "from closedbook import whole_files\n"
        "target = pathlib.Path(sys.argv[1])\n"
        "with whole_files.folder(target, replace=True) as new:\n"
        "    (new / 'half').touch()\n"
        f"    {when}\n"
    )
    subprocess.run([sys.executable, "-c", program, target], check=False)
    (left,) = whole_files.leavings(target)
    return left


def test_what_a_killed_process_left_is_removed_but_not_what_is_under_way(tmp_path):
    target = tmp_path / "model"
    dead = _killed(target, when="os._exit(9)")
    strange = _made(tmp_path / ".model.7-0123abcd.partial", "thesis.tex")
    with whole_files.folder(target) as outer:
        assert not dead.exists()
        with pytest.raises(KeyboardInterrupt):
            _fail(whole_files.folder(target))
        assert outer.exists()
    assert (strange / "thesis.tex").exists()
    assert _names(tmp_path) == [strange.name, "model"]


def test_a_kill_between_the_renames_does_not_lose_the_old_folder(tmp_path):
    target = _made(tmp_path / "model", "old")
    left = _killed(target, when="target.rename(new.parent / 'replaced'); os._exit(9)")
    assert not target.exists()
    with pytest.raises(FileExistsError, match="exists already"):
        _fail(whole_files.folder(target))
    assert _names(target) == ["old"]
    assert not left.exists()
