"""Training meets damaged files: it says so and goes on from what is whole."""

import shutil

import pytest

from closedbook.errors import UserError


def _flip(folder):
    path = max(folder.glob("**/d/*"), key=lambda path: path.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8] = bytes(8 * [0xFF])
    path.write_bytes(content)


@pytest.mark.parametrize("item", ["params", "optimizer"])
def test_a_run_refuses_its_damaged_newest_checkpoint_and_the_command_of_the_message_mends_it(
    item, run, tmp_path
):
    quiet = {"infer_eval_dataset_cfg": None, "train_eval_dataset_cfg": None}
    run(8, **quiet)
    shutil.copytree(tmp_path / "run", tmp_path / "whole")
    newest = tmp_path / "run" / "checkpoint_8"
    _flip(newest / item)
    with pytest.raises(UserError, match=rf"checkpoint_8 is damaged: {item}/\S+ is not") as caught:
        run(12, **quiet)
    [command] = [line for line in str(caught.value).splitlines() if line.startswith("  mv ")]
    _, source, target = command.split()
    shutil.move(source, target)
    assert run(12, **quiet).step == 12
    assert run(12, "whole", **quiet).step == 12
    metrics = [(tmp_path / d / "train" / "metrics.jsonl").read_text() for d in ("run", "whole")]
    last = [text.splitlines()[-1].split('"loss": ')[1].split(",")[0] for text in metrics]
    assert last[0] == last[1]


def test_only_a_checkpoint_that_is_whole_is_called_good(run, tmp_path, monkeypatch):
    quiet = {"infer_eval_dataset_cfg": None, "train_eval_dataset_cfg": None}
    run(8, **quiet)
    _flip(tmp_path / "run" / "checkpoint_4" / "optimizer")
    with pytest.raises(UserError, match=r"the last good checkpoint is \S+/checkpoint_8;"):
        run(12, learning_rate=1e38, **quiet)
