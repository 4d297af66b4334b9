"""`t5x precompile` as a command: what it refuses before it compiles anything."""

import json
import pathlib

import pytest

from closedbook.cli.runs import precompile
from closedbook.cli.runs.absl_flags import rewritten
from closedbook.errors import UserError

ATLAS = pathlib.Path(__file__).parents[2] / "tasks" / "atlas" / "data" / "atlas.model"
FILES = ["nq_tiny.gin"]
SETTINGS = {"topology": "cpu:8", "fit": False, "mfu": 0.4, "device_memory": None, "as_json": True}


@pytest.mark.parametrize(
    ("bindings", "settings", "message"),
    [
        ([], {"mfu": 1.5}, "--mfu is 1.5; give a share of the peak"),
        ([], {"device_memory": -1.0}, "--device_memory is -1.0; give the GiB"),
        ([], {"topology": "v9:2"}, "unknown topology 'v9:2'"),
        (["EVAL_PERIOD = -5"], {}, "eval_period is -5"),
        (["BATCH_SIZE = 6"], {}, "does not split over 8 data-parallel devices"),
    ],
)
def test_a_slip_is_one_message(bindings, settings, message):
    vocabulary = f"VOCABULARY_FILE = {str(ATLAS)!r}"
    with pytest.raises(UserError, match=message):
        precompile.run(FILES, [vocabulary, *bindings], [], **SETTINGS | settings)


def test_a_file_of_somebody_else_runs_no_code(tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
    (tmp_path / "theirs.gin").write_text("import evil\ninclude 'nq_tiny.gin'\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"theirs.gin.*evil|evil.*theirs.gin"):
        precompile.run([str(tmp_path / "theirs.gin")], [], [], **SETTINGS, imports_allowed=False)


T5X = ["t5x/examples/t5/t5_1_1/tiny.gin", "t5x/configs/runs/precompile.gin"]
REQUIRED = [
    "VOCABULARY = @tasks.atlas_vocabulary()",
    "MIXTURE_OR_TASK_NAME = 'natural_questions_open'",
    "TASK_FEATURE_LENGTHS = {'inputs': 16, 'targets': 8}",
    "BATCH_SIZE = 8",
    "DROPOUT_RATE = 0.1",
]


def test_t5xs_own_mode_and_file_compile_its_train_step_alone(capsys):
    given = ["--run_mode=precompile", *(f"--gin_file={file}" for file in T5X)]
    assert rewritten(given, ["train", "precompile"])[0] == "precompile"
    assert precompile.run(T5X, REQUIRED, [], **SETTINGS) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in found["programs"]] == ["train step"]
    assert found["batch_size"] == 8
    assert found["settings"]["partitions"] == 1


def test_a_dry_run_compiles_nothing(capsys, monkeypatch):
    monkeypatch.setattr("closedbook.training.ahead.plan.plan", lambda *a, **k: pytest.fail("did"))
    assert precompile.run(T5X, REQUIRED, [], **SETTINGS, dry_run=True) == 0
    printed = capsys.readouterr().out
    assert "precompile.train_dataset_cfg = @train/utils.DatasetConfig()" in printed
    assert "8 rows, 128 tokens" in printed


def test_what_t5xs_file_needs_is_named():
    with pytest.raises(UserError, match="MIXTURE_OR_TASK_NAME"):
        precompile.run(T5X, [], [], **SETTINGS)
