"""The lock of a run's folder, among its processes."""

import pytest

from closedbook.training.run import lock


def test_a_folder_that_cannot_be_made_is_told_to_the_other_processes(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    told = []
    monkeypatch.setattr(lock, "text_of_first", lambda text: told.append(text) or text)
    with (
        pytest.raises(OSError, match="file"),
        lock.only_writer(tmp_path / "file" / "run", "MODEL_DIR"),
    ):
        raise AssertionError
    assert len(told) == 1
    assert "file" in told[0]
