"""A folder appears whole or not at all, and what stood there before is not lost."""

import os
import pathlib
import subprocess
import sys
import time

import pytest

from closedbook import this_machine, whole_files


def _names(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _fail(writing) -> None:
    with writing:
        raise KeyboardInterrupt


def _pass(writing) -> None:
    with writing:
        pass


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
        if self.name == "model" and self != target:
            raise OSError(5, "I/O error")
        return rename(self, to)

    monkeypatch.setattr(pathlib.Path, "rename", fail)
    with pytest.raises(OSError, match="I/O error"):
        _pass(whole_files.folder(target, replace=True))
    assert _names(target) == ["old"]
    assert _names(tmp_path) == ["model"]


@pytest.mark.parametrize("fault", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize(("after", "kept"), [("model", "old"), ("new", "new")])
def test_a_signal_right_after_a_rename_loses_nothing(tmp_path, monkeypatch, fault, after, kept):
    target = _made(tmp_path / "model", "old")
    rename = pathlib.Path.rename
    faults = [fault]

    def interrupted(self: pathlib.Path, to: pathlib.Path) -> pathlib.Path:
        done = rename(self, to)
        if faults and (self == target) == (after == "model"):
            raise faults.pop()
        return done

    monkeypatch.setattr(pathlib.Path, "rename", interrupted)
    with pytest.raises(fault), whole_files.folder(target, replace=True) as new:
        (new / "new").touch()
    assert _names(target) == [kept]
    assert _names(tmp_path) == ["model"]


@pytest.mark.parametrize("second", [KeyboardInterrupt(), OSError(5, "I/O error")])
def test_a_folder_that_cannot_be_put_back_stays_hidden(tmp_path, monkeypatch, second):
    target = _made(tmp_path / "model", "old")
    rename = pathlib.Path.rename

    def interrupted(self: pathlib.Path, to: pathlib.Path) -> pathlib.Path:
        if self != target:
            raise second
        rename(self, to)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, "rename", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _pass(whole_files.folder(target, replace=True))
    (left,) = whole_files.leavings(target)
    assert _names(left / "former") == ["old"]
    monkeypatch.setattr(this_machine, "runs", lambda process: process != os.getpid())
    with pytest.raises(FileExistsError, match="exists already"):
        _pass(whole_files.folder(target))
    assert _names(target) == ["old"]
    assert _names(tmp_path) == ["model"]


def test_a_folder_made_between_the_renames_stays_and_so_does_the_former(tmp_path, monkeypatch):
    target = _made(tmp_path / "model", "old")
    rename = pathlib.Path.rename

    def overtaken(self: pathlib.Path, to: pathlib.Path) -> pathlib.Path:
        done = rename(self, to)
        if self == target:
            _made(target, "other")
        return done

    monkeypatch.setattr(pathlib.Path, "rename", overtaken)
    with pytest.raises(FileExistsError, match="another program meanwhile; the former") as caught:
        _pass(whole_files.folder(target, replace=True))
    former = pathlib.Path(caught.value.strerror.rpartition(" is now ")[2])
    assert _names(former) == ["old"]
    assert _names(target) == ["other"]
    assert _names(tmp_path) == ["model", former.name]


def test_a_file_is_not_replaced_by_a_folder(tmp_path):
    (tmp_path / "model").write_text("thesis")
    with pytest.raises(NotADirectoryError, match="is no folder"):
        _pass(whole_files.folder(tmp_path / "model", replace=True))
    assert (tmp_path / "model").read_text() == "thesis"
    assert _names(tmp_path) == ["model"]


def test_a_folder_may_have_the_names_that_lie_in_the_hidden_one(tmp_path):
    for name in ("new", "former"):
        target = _made(tmp_path / name, "old")
        with whole_files.folder(target, replace=True) as new:
            (new / "content").touch()
        assert _names(target) == ["content"]
    assert _names(tmp_path) == ["former", "new"]


BETWEEN = "target.rename(new.parent.parent / 'former'); os._exit(9)"  # the two renames


def _killed(target: pathlib.Path, when: str) -> pathlib.Path:
    """Kills a process that is replacing a folder; returns what it leaves."""
    program = (
        "import os, pathlib, sys\n"
        "from closedbook import this_machine, whole_files\n"
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
    strange = _made(tmp_path / dead.name.replace("-", "-9", 1), "thesis.tex")
    with whole_files.folder(target) as outer:
        assert not dead.exists()
        with pytest.raises(KeyboardInterrupt):
            _fail(whole_files.folder(target))
        assert outer.exists()
    assert (strange / "thesis.tex").exists()
    assert _names(tmp_path) == [strange.name, "model"]


def test_a_kill_between_the_renames_does_not_lose_the_old_folder(tmp_path):
    target = _made(tmp_path / "model", "old")
    left = _killed(target, when=BETWEEN)
    assert not target.exists()
    with pytest.raises(FileExistsError, match="exists already"):
        _fail(whole_files.folder(target))
    assert _names(target) == ["old"]
    assert not left.exists()


def test_a_kill_before_there_is_anything_in_the_hidden_folder_is_cleaned_too(tmp_path):
    target = tmp_path / "model"
    left = _killed(
        target, when="(new / 'half').unlink(); new.rmdir(); new.parent.rmdir(); os._exit(9)"
    )
    assert _names(left) == []
    with whole_files.folder(target):
        pass
    assert _names(tmp_path) == ["model"]


def test_after_a_kill_between_the_renames_neither_folder_is_lost(tmp_path):
    """Another program, which does not know of the former folder, made the target meanwhile."""
    target = _made(tmp_path / "model", "old")
    _killed(target, when=BETWEEN)
    _made(target, "other")
    with pytest.raises(FileExistsError, match="exists already"):
        _pass(whole_files.folder(target))
    (former,) = (path for path in tmp_path.iterdir() if path != target)
    assert former.name.startswith("model.former-")
    assert _names(former) == ["old"]
    assert _names(target) == ["other"]


def test_a_former_folder_half_removed_does_not_come_back(tmp_path):
    target = _made(tmp_path / "model", "old")
    swapped = "target.rename(new.parent.parent / 'former'); new.rename(target); os._exit(9)"
    left = _killed(target, when=swapped)
    assert _names(left / "former") == ["old"]
    target.rename(tmp_path / "elsewhere")
    with whole_files.folder(target):
        pass
    assert _names(target) == []
    assert _names(tmp_path) == ["elsewhere", "model"]


def test_another_machine_s_unfinished_folder_stays_for_a_day(tmp_path, monkeypatch):
    """Its process ids say nothing here, and its locks may not be seen here."""
    target = tmp_path / "model"
    left = _killed(target, when="os._exit(9)")
    name, _, end = left.name.rpartition(".partial")[0].rpartition(".")
    foreign = left.rename(tmp_path / f"{name}.{'0' * 12}-{end.partition('-')[2]}.partial")
    with whole_files.folder(target):
        assert foreign.exists()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 25 * 3600)
    with whole_files.folder(target, replace=True):
        pass
    assert _names(tmp_path) == ["model"]


def test_a_link_stays_and_the_folder_that_it_leads_to_is_replaced(tmp_path):
    disk = tmp_path / "disk"
    (tmp_path / "model").symlink_to(_made(disk / "model", "old"))
    with whole_files.folder(tmp_path / "model", replace=True) as new:
        (new / "weights").touch()
    assert (tmp_path / "model").is_symlink()
    assert _names(disk / "model") == ["weights"]
    assert _names(disk) == ["model"]


def test_the_longest_name_is_cleaned_too(tmp_path):
    target = tmp_path / ("é" * 127)
    _killed(target, when="os._exit(9)")
    with whole_files.folder(target):
        pass
    assert _names(tmp_path) == [target.name]
