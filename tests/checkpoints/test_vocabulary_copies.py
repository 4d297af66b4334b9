"""A run's copy of its vocabulary: what is said where it cannot be made."""

import errno
import os

import pytest

from closedbook import whole_files
from closedbook.checkpoints.vocabularies import copy_vocabulary
from closedbook.errors import UserError
from closedbook.tasks.atlas import VOCABULARY


def test_a_copy_that_cannot_be_written_is_named_and_not_its_source(tmp_path, monkeypatch):
    def full(source, target):
        # As shutil.copyfile tells it: both files, the source first.
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source), None, str(target))

    monkeypatch.setattr(whole_files, "copy", full)
    with pytest.raises(UserError) as caught:
        copy_vocabulary(VOCABULARY, tmp_path)
    copy = tmp_path / "vocabulary.model"
    assert str(caught.value).startswith(f"{copy}, the run's copy of its vocabulary, cannot be")
    assert "No space left on device" in str(caught.value)
    assert str(VOCABULARY) not in str(caught.value)


def test_a_copy_is_named_whose_folder_is_a_file(tmp_path):
    (tmp_path / "run").touch()
    with pytest.raises(UserError, match=r"run/vocabulary.model, the run's copy"):
        copy_vocabulary(VOCABULARY, tmp_path / "run")


def test_a_source_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"the vocabulary /nowhere/x.model cannot be read: No such"):
        copy_vocabulary("/nowhere/x.model", tmp_path)
    assert list(tmp_path.iterdir()) == []
