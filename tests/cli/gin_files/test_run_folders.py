"""The folder of a run that names none, and evaluation by a run's own configuration."""

import pytest

from closedbook.cli import gin_files
from closedbook.errors import UserError

TINY = ["models/tiny.gin", "runs/pretrain.gin"]
REQUIRED = [
    "VOCABULARY_FILE = 'v.model'",
    "MIXTURE_OR_TASK_NAME = 'natural_questions_open'",
    "TASK_FEATURE_LENGTHS = {'inputs': 64, 'targets': 16}",
    "TRAIN_STEPS = 10",
]


def _folder(files, bindings):
    return gin_files.resolve("train", files, bindings)["model_dir"]


@pytest.mark.parametrize(
    ("files", "bindings", "folder"),
    [
        (["nq_tiny.gin"], REQUIRED[:1], "runs/nq_tiny"),
        (["nq_tiny.gin"], [*REQUIRED[:1], "TRAIN_STEPS = 7"], "runs/nq_tiny"),
        (TINY, REQUIRED, "runs/natural_questions_open-tiny"),
        (TINY[::-1], REQUIRED, "runs/natural_questions_open-tiny"),
        (["nq_small.gin", "protocols/nq_test.gin"], [], "runs/nq_small-nq_test"),
        (["nq_small.gin"], ["MIXTURE_OR_TASK_NAME='a/b'"], "runs/a_b-nq_small"),
        (["nq_small.gin"], ["MODEL_DIR = '/m'"], "/m"),
    ],
)
def test_the_folder_tells_runs_apart(files, bindings, folder):
    assert _folder(files, bindings) == folder


def test_models_of_t5x_that_are_called_alike_have_folders_of_their_own():
    bindings = [*REQUIRED[1:], "DROPOUT_RATE = 0.1", "INITIAL_CHECKPOINT_PATH = '/c'"]
    found = {
        _folder([f"t5x/examples/t5/{family}/small.gin", "t5x/configs/runs/finetune.gin"], bindings)
        for family in ("t5_1_0", "t5_1_1", "mt5")
    }
    assert found == {
        f"runs/natural_questions_open-{each}_small" for each in ("t5_1_0", "t5_1_1", "mt5")
    }


@pytest.fixture
def config(tmp_path, monkeypatch):
    """The configuration that a run has written, beside where it was begun."""
    monkeypatch.chdir(tmp_path)
    given = [*REQUIRED, "DATA_DIR = 'data'", "INITIAL_CHECKPOINT_PATH = '/c/checkpoint_1'"]
    gin_files.resolve("train", ["models/tiny.gin", "runs/finetune.gin"], given)
    (tmp_path / "config.gin").write_text(gin_files.config_text())
    return "config.gin"


@pytest.mark.parametrize("mode", ["eval", "infer"])
def test_a_runs_configuration_says_what_is_not_given(config, mode):
    output = f"{mode.upper()}_OUTPUT_DIR = 'out'"
    bindings = ["CHECKPOINT_PATH = 'runs/x'", output]
    arguments = gin_files.resolve(mode, [config, f"runs/{mode}.gin"], bindings)
    data = arguments["dataset_cfg"]
    assert data.data_dir == "data"
    assert data.task_feature_lengths == {"inputs": 64, "targets": 16}
    assert data.mixture_or_task_name == "natural_questions_open"
    assert data.split == "test"
    assert arguments["restore_checkpoint_cfg"].path == "runs/x"


@pytest.mark.parametrize("mode", ["eval", "infer"])
def test_the_other_order_would_read_another_checkpoint_and_is_refused(config, mode):
    bindings = ["CHECKPOINT_PATH = 'runs/x'", f"{mode.upper()}_OUTPUT_DIR = 'out'"]
    with pytest.raises(UserError, match=rf"--gin_file=runs/{mode}\.gin$"):
        gin_files.resolve(mode, [f"runs/{mode}.gin", config], bindings)


@pytest.mark.parametrize("mode", ["eval", "infer"])
def test_without_a_configuration_the_data_are_as_they_were(mode):
    bindings = [*REQUIRED[:2], "CHECKPOINT_PATH = 'x'", f"{mode.upper()}_OUTPUT_DIR = 'out'"]
    files = [f"runs/{mode}.gin", "models/tiny.gin"]
    data = gin_files.resolve(mode, files, bindings)["dataset_cfg"]
    assert (data.data_dir, data.module, data.use_cached) == (None, None, False)
    assert data.task_feature_lengths is None
