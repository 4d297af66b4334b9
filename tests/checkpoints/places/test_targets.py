"""A target appears whole or not at all, and nothing that somebody could miss is replaced."""

import fcntl
import pathlib

import pytest

from closedbook.checkpoints.places.targets import check_target, whole_or_nothing
from closedbook.errors import UserError


def _made(folder: pathlib.Path, *names: str) -> pathlib.Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text(name)
    return folder


def test_a_target_is_made_with_its_parents(tmp_path):
    target = tmp_path / "a" / "b" / "model"
    with whole_or_nothing(target) as partial:
        (partial / "weights").write_text("w")
        assert not target.exists()
    assert [path.name for path in target.iterdir()] == ["weights"]
    assert [path.name for path in target.parent.iterdir()] == ["model"]


def test_after_a_fault_nothing_is_left(tmp_path):
    def work() -> None:
        with whole_or_nothing(tmp_path / "a" / "model") as partial:
            (partial / "weights").write_text("w")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert list(tmp_path.iterdir()) == []


def test_a_replaced_target_comes_back_after_a_fault(tmp_path, monkeypatch):
    target = _made(tmp_path / "model", "model.json")
    rename = pathlib.Path.rename

    def fail(self: pathlib.Path, to: pathlib.Path) -> pathlib.Path:
        if self.parent.name.startswith(".model.partial-") and self.name == "model":
            raise OSError(5, "I/O error")
        return rename(self, to)

    monkeypatch.setattr(pathlib.Path, "rename", fail)
    with pytest.raises(OSError, match="I/O error"), whole_or_nothing(target):
        pass
    assert (target / "model.json").read_text() == "model.json"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_a_killed_conversion_left_is_removed_but_not_what_is_under_way(tmp_path):
    dead = _made(tmp_path / ".model.partial-dead", ".closedbook-conversion", "half")
    alive = _made(tmp_path / ".model.partial-alive", ".closedbook-conversion", "half")
    strange = _made(tmp_path / ".model.partial-strange", "thesis.tex")
    with (alive / ".closedbook-conversion").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with whole_or_nothing(tmp_path / "model"):
            pass
    assert not dead.exists()
    assert alive.exists()
    assert (strange / "thesis.tex").exists()


def test_a_kill_between_the_renames_does_not_lose_the_old_target(tmp_path):
    _made(tmp_path / ".model.partial-dead", ".closedbook-conversion")
    _made(tmp_path / ".model.partial-dead" / "replaced", "model.json")
    with pytest.raises(ZeroDivisionError), whole_or_nothing(tmp_path / "model"):
        raise ZeroDivisionError
    assert (tmp_path / "model" / "model.json").exists()


def test_a_target_that_another_program_made_meanwhile_stays(tmp_path):
    target = tmp_path / "model"
    with pytest.raises(UserError, match="made by another program"), whole_or_nothing(target):
        _made(target, "other")
    assert (target / "other").exists()


def test_only_one_checkpoint_and_nothing_else_is_replaced(tmp_path, monkeypatch):
    good = _made(tmp_path / "good", "model.json", "vocabulary.model")
    (good / "checkpoint_5").mkdir()
    with pytest.raises(UserError, match="exists; give another folder, or --force"):
        check_target(good, "gs://elsewhere", 0, force=False)
    check_target(good, "gs://elsewhere", 0, force=True)
    run = _made(tmp_path / "run", "model.json", "config.gin")
    (run / "checkpoint_5").mkdir()
    with pytest.raises(UserError, match=r"it holds config\.gin\), so --force does not replace it"):
        check_target(run, "gs://elsewhere", 0, force=True)
    several = tmp_path / "several"
    for step in (1, 2):
        (several / f"checkpoint_{step}").mkdir(parents=True)
    with pytest.raises(UserError, match="it holds checkpoint_1, checkpoint_2"):
        check_target(several, "gs://elsewhere", 0, force=True)
    monkeypatch.chdir(good)
    with pytest.raises(UserError, match="is the working folder"):
        check_target(good, "gs://elsewhere", 0, force=True)
    (tmp_path / "link").symlink_to(good)
    with pytest.raises(UserError, match="is a link"):
        check_target(tmp_path / "link", "gs://elsewhere", 0, force=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is not a folder"):
        check_target(tmp_path / "file" / "out", "gs://elsewhere", 0, force=False)


def test_source_and_target_do_not_lie_in_one_another(tmp_path):
    source = _made(tmp_path / "source" / "checkpoint_5", "checkpoint")
    for target in (source, source / "x", tmp_path / "source"):
        with pytest.raises(UserError, match="lie in one another"):
            check_target(target, str(source / "checkpoint"), 0, force=True)
    with pytest.raises(UserError, match=r"needs 1000000000\.0 GB, its disk has"):
        check_target(tmp_path / "new", str(source), 10**18, force=False)
