"""Scores beside a checkpoint that a disk has damaged."""

import pytest

from closedbook.checkpoints.retention import Retention


@pytest.mark.parametrize("content", [b"", b'{"nq/em": 1', b"\xff\xfe", b"[1]"])
def test_damaged_scores_are_no_scores(tmp_path, content):
    folder = tmp_path / "checkpoint_3"
    folder.mkdir()
    (folder / "scores.json").write_bytes(content)
    retention = Retention(tmp_path, keep=1, keep_best=1, metric="nq/em", best_mode="max")
    assert retention.scores(3) is None
    assert retention.kept([3, 4]) == {4}
