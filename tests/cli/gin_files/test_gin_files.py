"""Gin files and bindings: what the packaged files say, and one clear message for each mistake."""

import dataclasses
import logging
import pathlib
import sys

import pytest

from closedbook.cli import gin_files, t5x
from closedbook.errors import UserError
from closedbook.models import SIZES
from closedbook.tasks import specs

RUNS = sorted(
    path.name for path in gin_files.PACKAGED.glob("*.gin") if not path.name.startswith("atlas")
)


def _plan(file, *bindings):
    return gin_files.resolve("train", [file], bindings)


def test_11b_has_the_settings_of_the_paper():
    arguments = _plan("nq_11b.gin")
    model, data = arguments["model"], arguments["train_dataset_cfg"]
    assert model.config.version == "1.0"
    assert model.config.dropout_rate == 0.1
    assert model.loss_normalizing_factor == 233472
    assert data.batch_size * data.task_feature_lengths["inputs"] == 196_608
    assert data.mixture_or_task_name == "natural_questions_open"
    assert data.pack
    assert float(arguments["trainer"].learning_rate_fn(1_000_000)) == pytest.approx(1e-3)
    assert arguments["total_steps"] == 1_020_000
    assert arguments["checkpoint_cfg"].save.keep_best == 1
    assert arguments["model_dir"] == "runs/nq_11b"


def test_the_other_protocol_is_one_more_file():
    files = ["nq_1_1_xxl.gin", "protocols/nq_test.gin"]
    arguments = gin_files.resolve("train", files, [])
    assert arguments["train_dataset_cfg"].mixture_or_task_name == "natural_questions_open_test"
    assert arguments["total_steps"] == 1_010_000
    assert arguments["checkpoint_cfg"].save.keep_best is None
    assert arguments["model"].config.dropout_rate == 0.05


_QUESTIONS = [
    name for name in RUNS if name.startswith(("nq_", "wq_", "tqa_")) and name != "nq_tiny.gin"
]


@pytest.mark.parametrize("file", _QUESTIONS)
def test_every_size_and_data_set_resolves(file):
    arguments = _plan(file)
    dataset, _, size = file.removesuffix(".gin").partition("_")
    known = SIZES[f"t5_{size}"]
    found = arguments["model"].config
    layout = {"dtype": known.dtype, "scan_layers": False, "remat_policy": "none"}
    drop = {"dropout_rate": known.dropout_rate}
    assert dataclasses.replace(found, **layout, **drop) == known
    # WebQuestions doubles the dropout and halves the batch.
    assert found.dropout_rate == known.dropout_rate * (2 if dataset == "wq" else 1)
    assert arguments["train_dataset_cfg"].batch_size == (192 if dataset == "wq" else 384)
    assert arguments["train_dataset_cfg"].mixture_or_task_name in specs.SPECS


SSM = [f"ssm_{name.removeprefix('t5_')}.gin" for name in SIZES if name.startswith("t5_")]


@pytest.mark.parametrize("file", SSM)
def test_further_pretraining_has_the_settings_of_pretraining_in_every_size(file):
    arguments = _plan(file)
    size = "t5_" + file.removeprefix("ssm_").removesuffix(".gin")
    model, data = arguments["model"], arguments["train_dataset_cfg"]
    assert model.config.emb_dim == SIZES[size].emb_dim
    assert model.config.mlp_dim == SIZES[size].mlp_dim
    assert model.config.dropout_rate == (0.0 if "1_1" in size else 0.1)
    assert model.loss_normalizing_factor == 233472  # 2048 x 114
    assert data.mixture_or_task_name == "salient_span_masked_wikipedia"
    assert (data.batch_size, dict(data.task_feature_lengths)) == (
        2048,
        {"inputs": 512, "targets": 114},
    )
    assert arguments["total_steps"] == 1_100_000
    rate = arguments["trainer"].learning_rate_fn
    assert float(rate(1_000_000)) == pytest.approx(1e-3)  # 1 / sqrt(step)
    assert float(rate(1_100_000)) == pytest.approx(1_100_000**-0.5)
    assert f"{size}/checkpoint_1000000" in arguments["checkpoint_cfg"].restore.path
    assert arguments["train_eval_dataset_cfg"] is None
    assert arguments["infer_eval_dataset_cfg"] is None


def test_further_pretraining_needs_a_checkpoint():
    files = ["models/t5_base.gin", "ssm_pretrain.gin"]
    with pytest.raises(UserError, match="macro INITIAL_CHECKPOINT_PATH is used but has no value"):
        gin_files.resolve("train", files, [])
    given = ["INITIAL_CHECKPOINT_PATH = 'mine'"]
    assert gin_files.resolve("train", files, given)["checkpoint_cfg"].restore.path == "mine"


def test_own_questions_are_one_line(tmp_path):
    path = tmp_path / "quiz.jsonl"
    path.write_text('{"question": "who?", "answer": "me"}\n')
    line = f"tasks.qa_from_files.files = {{'gin_quiz': {{'train': '{path}'}}}}"
    arguments = _plan("nq_tiny.gin", line, "MIXTURE_OR_TASK_NAME = 'gin_quiz'")
    assert arguments["train_dataset_cfg"].mixture_or_task_name == "gin_quiz"
    assert "gin_quiz" in specs.SPECS


def test_files_written_for_upstream_find_ours(tmp_path):
    path = tmp_path / "mine.gin"
    path.write_text(
        "from __gin__ import dynamic_registration\n"
        "import __main__ as train_script\n"
        "from t5x import utils\n"
        "include 't5x/examples/t5/t5_1_1/base.gin'\n"
        "include 't5x/configs/runs/finetune.gin'\n"
        "MIXTURE_OR_TASK_NAME = 'web_questions_open'\n"
        "TASK_FEATURE_LENGTHS = {'inputs': 64, 'targets': 16}\n"
        "TRAIN_STEPS = 10\n"
        "INITIAL_CHECKPOINT_PATH = '/checkpoint_1'\n"
        "train_script.train.random_seed = 7\n"
        "utils.SaveCheckpointConfig.period = 3\n"
    )
    arguments = gin_files.resolve("train", [str(path)], [])
    assert arguments["model"].config.emb_dim == 768
    assert arguments["random_seed"] == 7
    assert arguments["checkpoint_cfg"].save.period == 3
    assert arguments["model_dir"] == "runs/mine"


def test_order_of_model_and_run_file_does_not_matter():
    base = ["models/t5_1_1_base.gin", "runs/finetune.gin"]
    bindings = [
        "MIXTURE_OR_TASK_NAME = 'x'",
        "TASK_FEATURE_LENGTHS = {'inputs': 8, 'targets': 8}",
        "TRAIN_STEPS = 1",
        "INITIAL_CHECKPOINT_PATH = None",
    ]
    for files in (base, base[::-1]):
        config = gin_files.resolve("train", files, bindings)["model"].config
        assert config.dropout_rate == 0.05


def _steps(*bindings: str, files: list[str]) -> tuple[int | None, int | None]:
    """Of the settled run, until which step, and how many more."""
    arguments = gin_files.resolve("train", files, bindings)
    return arguments["total_steps"], arguments["relative_steps"]


@pytest.mark.parametrize(
    ("file", "bindings", "steps"),
    [
        ("lm_tiny.gin", ["TRAIN_STEPS = 5"], (5, None)),
        ("lm_tiny.gin", ["TRAIN_STEPS_RELATIVE = 5"], (None, 5)),
        ("lm_tiny.gin", ["TRAIN_STEPS = None"], (None, 300)),
        ("lm_tiny.gin", [], (None, 300)),
        ("atlas_qa.gin", ["TRAIN_STEPS=2000"], (2000, None)),
        ("nq_tiny.gin", ["TRAIN_STEPS_RELATIVE = 5"], (600, 5)),
    ],
)
def test_the_number_of_steps_that_a_user_gives_is_the_one_that_counts(
    tmp_path, file, bindings, steps
):
    (tmp_path / "x.txt").write_text("A text.")
    text = [f"TEXT = '{tmp_path}/x.txt'"] if file.startswith("lm") else []
    assert _steps(*text, *bindings, files=[file]) == steps


@pytest.mark.parametrize(
    ("lines", "steps"),
    [
        ("TRAIN_STEPS = 5", (5, None)),
        ("TRAIN_STEPS_RELATIVE = 5", (None, 5)),
        ("TRAIN_STEPS_RELATIVE = 7\nTRAIN_STEPS = 5", (5, 7)),  # as in T5X
    ],
)
def test_steps_in_a_file_of_ones_own_win_over_the_packaged_ones(tmp_path, lines, steps):
    (tmp_path / "x.txt").write_text("A text.")
    text = f"TEXT = '{tmp_path}/x.txt'"
    (tmp_path / "mine.gin").write_text(f"include 'lm_tiny.gin'\n{text}\n{lines}\n")
    assert _steps(files=[str(tmp_path / "mine.gin")]) == steps
    resolved = gin_files.config_text()
    (tmp_path / "config.gin").write_text(resolved)
    assert _steps(files=[str(tmp_path / "config.gin")]) == steps, "the run's own file says the same"
    bound = _steps("TRAIN_STEPS = 9", files=[str(tmp_path / "mine.gin")])
    assert bound == (9, None)


def test_of_both_numbers_of_steps_the_relative_one_counts_and_the_log_says_so(caplog):
    bindings = ["TEXT = 'x.txt'", "TRAIN_STEPS = 9", "TRAIN_STEPS_RELATIVE = 5"]
    with pytest.raises(UserError, match=r"no file x\.txt"):
        gin_files.resolve("train", ["lm_tiny.gin"], bindings)
    files = ["t5x/examples/t5/t5_1_1/tiny.gin", "t5x/configs/runs/finetune.gin"]
    given = [
        "MIXTURE_OR_TASK_NAME = 'x'",
        "TASK_FEATURE_LENGTHS = {'inputs': 8, 'targets': 8}",
        "INITIAL_CHECKPOINT_PATH = '/c'",
    ]
    arguments = gin_files.resolve("train", files, [*given, *bindings[1:]])
    assert (arguments["total_steps"], arguments["relative_steps"]) == (9, 5)
    with caplog.at_level(logging.INFO):
        gin_files.log_without_effect()
    assert "TRAIN_STEPS: TRAIN_STEPS_RELATIVE = 5 counts, as in T5X" in caplog.text
    arguments = gin_files.resolve("train", files, [*given, bindings[2]])
    assert (arguments["total_steps"], arguments["relative_steps"]) == (None, 5)


def test_a_macro_whose_place_another_binding_takes_is_listed_without_effect(caplog):
    bindings = ["VOCABULARY_FILE = 'v'", "TRAIN_STEPS = 7", "train.total_steps = 5"]
    assert gin_files.resolve("train", ["nq_tiny.gin"], bindings)["total_steps"] == 5
    with caplog.at_level(logging.INFO):
        gin_files.log_without_effect()
    assert "TRAIN_STEPS: no binding that counts refers to it" in caplog.text


def test_a_checkpoint_that_nothing_starts_from_is_warned_of(caplog):
    with caplog.at_level(logging.WARNING):
        gin_files.resolve("train", ["nq_tiny.gin"], ["INITIAL_CHECKPOINT_PATH = '/c'"])
    assert "none of the files starts from it: parameters are random at the start" in caplog.text


@pytest.mark.parametrize(
    ("files", "bindings", "message"),
    [
        (["nq_11.gin"], [], r"unknown gin file 'nq_11.gin'; nearest: .*nq_11b.gin.*looked in"),
        (
            ["nq_tiny.gin"],
            ["TRAIN_STPES = 3"],
            r"unknown macro 'TRAIN_STPES'; nearest: TRAIN_STEPS",
        ),
        (["nq_tiny.gin"], ["TRAIN_STEPS"], r"malformed binding 'TRAIN_STEPS'; write NAME=VALUE"),
        (["nq_tiny.gin"], ["MODEL_DIR = /tmp/x"], r"strings need quotes inside the shell's: --gin"),
        (["runs/finetune.gin", "models/t5_base.gin"], [], r"macro \w+ is used but has no value"),
        (
            ["nq_tiny.gin"],
            ["network.T5Cnfig.emb_dim = 3"],
            r"'network.T5Cnfig'; nearest: .*T5Config",
        ),
        (["nq_tiny.gin"], ["network.T5Config.emb_dims = 3"], r"no parameter 'emb_dims'.* emb_dim,"),
        (["nq_tiny.gin"], ["network.T5Config.dtype = 'float16'"], r"'float16'; .*bfloat16"),
        (["nq_tiny.gin"], ["BATCH_SIZE = 0"], r"batch_size is 0; use 1 or more"),
        (["lm_tiny.gin"], ["TEXT = 'nowhere.txt'"], r"no file nowhere.txt; give one .* by TEXT"),
    ],
)
def test_mistakes_get_one_message(files, bindings, message):
    with pytest.raises(UserError, match=f"(?s){message}"):
        gin_files.resolve("train", files, bindings)


def test_a_mistake_inside_a_file_names_file_and_line(tmp_path):
    path = tmp_path / "mine.gin"
    path.write_text("include 'nq_tiny.gin'\n\nnetwork.T5Cnfig.emb_dim = 3\n")
    with pytest.raises(UserError, match=rf"T5Config.*\({path}, line 3\)"):
        gin_files.resolve("train", [str(path)], [])


def _command(monkeypatch, capsys, *words) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["t5x", *words])
    with pytest.raises(SystemExit) as ended:
        t5x.main()
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


def test_dry_run_prints_the_configuration_and_reads_nothing(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, out, err = _command(monkeypatch, capsys, "train", "--gin_file=nq_11b.gin", "--dry_run")
    assert (code, err) == (0, "")
    assert "T5 1.0, 11,307,321,344 parameters" in out
    assert "196,608 tokens" in out
    assert "T5Config.emb_dim = 1024" in out
    assert list(pathlib.Path().iterdir()) == []


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("train.total_steps=None", "total_steps is None, and relative_steps None; set TRAIN_STEPS"),
        ("EVAL_PERIOD=-1", "train_script.train.eval_period is -1; give 1 or more, or 0 for none"),
        ("STATS_PERIOD=-1", "train_script.train.stats_period is -1"),
        ("EVAL_STEPS=-1", "train_script.train.eval_steps is -1"),
        ("TRAIN_STEPS=-1", "train_script.train.total_steps is -1; give 0 or more"),
        ("trainer.Trainer.num_microbatches=5", "is 5, which does not divide BATCH_SIZE"),
        ("utils.RestoreCheckpointConfig.mode='all'", "training starts from one"),
    ],
)
def test_a_dry_run_tells_what_a_run_would_refuse(monkeypatch, capsys, binding, message):
    code, out, err = _command(
        monkeypatch, capsys, "train", "--gin_file=nq_1_1_small.gin", "--dry_run",
        "--gin.TRAIN_STEPS=1000010", f"--gin.{binding}",
    )  # fmt: skip
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("infer.checkpoint_period=0", "infer_script.infer.checkpoint_period is 0; give 1 or more"),
        ("infer.mode='answer'", "unknown infer mode 'answer'"),
        ("utils.RestoreCheckpointConfig.mode='all'", "one checkpoint's answers are written"),
        ("utils.RestoreCheckpointConfig.fallback_to_scratch=True", "parameters alone; leave it"),
    ],
)
def test_a_dry_run_of_inference_tells_what_it_would_refuse(monkeypatch, capsys, binding, message):
    code, out, err = _command(monkeypatch, capsys, *_INFER, f"--gin.{binding}")
    assert (code, out) == (2, "")
    assert message in err


_INFER = (
    "infer", "--gin_file=models/t5_1_1_small.gin", "--gin_file=runs/infer.gin", "--dry_run",
    "--gin.MIXTURE_OR_TASK_NAME='web_questions_open'", "--gin.CHECKPOINT_PATH='nowhere/at_all'",
    "--gin.INFER_OUTPUT_DIR='o'",
)  # fmt: skip


def test_a_dry_run_says_that_a_checkpoint_is_not_there(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, out, _ = _command(monkeypatch, capsys, *_INFER)
    assert code == 0
    start, but = out.splitlines()[-2:]
    assert start == "starts from     nowhere/at_all"
    assert but.startswith("  but           no checkpoint at nowhere/at_all; known are folders of")
    _, out, _ = _command(monkeypatch, capsys, *_INFER, "--gin.CHECKPOINT_PATH='gs://far/off'")
    assert out.splitlines()[-1] == "starts from     gs://far/off"  # no network is reached
    _, out, _ = _command(
        monkeypatch, capsys, *_INFER, "--gin.CHECKPOINT_PATH='closedbook://atlas_qa'"
    )
    assert out.splitlines()[-1] == "starts from     closedbook://atlas_qa"


def test_flags_are_those_of_upstream(monkeypatch, capsys, tmp_path):
    (tmp_path / "deep.gin").write_text("include 'nq_tiny.gin'\nTRAIN_STEPS = 77\n")
    code, out, _ = _command(
        monkeypatch, capsys, "train", "--gin_file", "deep.gin", f"--gin_search_paths={tmp_path}",
        "--gin.MODEL_DIR='/elsewhere'", "--gin_bindings=BATCH_SIZE=3", "--dry_run",
    )  # fmt: skip
    assert code == 0
    assert "until 77" in out
    assert "MODEL_DIR       /elsewhere" in out
    assert "batch           3 rows" in out


def test_a_documented_command_line_of_t5x_runs_dry(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, out, err = _command(
        monkeypatch, capsys, "--run_mode=train", "--alsologtostderr", "--v=0", "--dry_run=true",
        "--gin_file=t5x/examples/t5/t5_1_1/small.gin", "--gin_file=t5x/configs/runs/finetune.gin",
        "--gin.MIXTURE_OR_TASK_NAME='web_questions_open'",
        "--gin.TASK_FEATURE_LENGTHS={'inputs': 64, 'targets': 16}",
        "--gin.TRAIN_STEPS=1_010_000", "--gin.INITIAL_CHECKPOINT_PATH='/c'",
    )  # fmt: skip
    assert code == 0, err
    assert "until 1010000" in out
    assert err.count("EVALUATOR_USE_MEMORY_CACHE") == 0
    assert "seqio.Evaluator.use_memory_cache: examples come from the token cache" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train"], "needs --gin_file"),
        (["train", "--gin_file=absent.gin"], "unknown gin file"),
        (["train", "--gin_fil=absent.gin"], "No such option"),
        (["eval", "--gin_file=runs/eval.gin"], "is used but has no value"),
    ],
)
def test_mistakes_exit_with_code_2_and_one_message(monkeypatch, capsys, words, message):
    code, out, err = _command(monkeypatch, capsys, *words)
    assert code == 2
    assert message in err
    assert "Traceback" not in err + out


def test_a_configuration_names_modules_of_tasks_that_are_not_here(tmp_path):
    file = tmp_path / "mine.gin"
    file.write_text("include 'nq_tiny.gin'\nimport no_such_package.tasks\n")
    gin_files.resolve("train", [str(file)], ["VOCABULARY_FILE = 'v'"])
    text = gin_files.config_text()
    assert text.startswith("import no_such_package.tasks\n")
    written = tmp_path / "config.gin"
    written.write_text(text)
    gin_files.resolve("train", [str(written)], [])
    assert gin_files.config_text() == text
