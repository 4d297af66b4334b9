"""Nothing that somebody could miss is replaced by a conversion."""

import pathlib

import pytest

from closedbook.checkpoints.places.targets import check_target
from closedbook.errors import UserError


def _made(folder: pathlib.Path, *names: str) -> pathlib.Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text(name)
    return folder


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
    with pytest.raises(UserError, match=r"needs 888 PiB, its disk has"):
        check_target(tmp_path / "new", str(source), 10**18, force=False)
