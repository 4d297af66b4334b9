"""Flags of T5X's documented command lines, which are absl's."""

import pytest

from closedbook.cli.runs.absl_flags import rewritten
from closedbook.errors import UserError

MODES = ("train", "eval", "infer")


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["train", "--alsologtostderr", "--gin_file=a.gin"], ["train", "--gin_file=a.gin"]),
        (["train", "--logtostderr", "--noshowprefixforinfo"], ["train"]),
        (["eval", "--v=1", "--verbosity=-1", "--stderrthreshold", "info"], ["eval"]),
        (["train", "-v", "1", "-gin_file=a.gin"], ["train", "--gin_file=a.gin"]),
        (["train", "--dry_run=true"], ["train", "--dry_run"]),
        (["train", "--dry_run=False"], ["train"]),
        (["train", "--nodry_run"], ["train"]),
        (["train", "--dry_run", "--nomultiprocess_gpu"], ["train", "--dry_run"]),
        (["--gin_file=a.gin", "--run_mode=infer"], ["infer", "--gin_file=a.gin"]),
        (["--run_mode", "eval", "--gin_file", "a.gin"], ["eval", "--gin_file", "a.gin"]),
        (["train", "--gin.A=--v", "--gin_bindings=B=1"], None),
    ],
)
def test_a_command_line_of_t5x_is_understood(words, kept):
    given = ["train", "--gin_bindings=A=--v", "--gin_bindings=B=1"] if kept is None else kept
    assert rewritten(words, MODES) == given


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--run_mode=trian"], "unknown --run_mode 'trian'; nearest: train"),
        (["--run_mode=train", "--run_mode=eval"], "given twice"),
        (["train", "--dry_run=maybe"], "--dry_run is 'maybe'; give true or false"),
    ],
)
def test_a_mistake_is_one_message(words, message):
    with pytest.raises(UserError, match=message):
        rewritten(words, MODES)
