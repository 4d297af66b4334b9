"""The commands as a user runs them: a training run that is killed, its scores, its answers."""

import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorstore

VOCABULARY = (
    pathlib.Path(__file__).resolve().parents[2] / "tasks" / "atlas" / "data" / "atlas.model"
)
STEPS = 40
SAVE = 8
GIN = f"""
include 'models/tiny.gin'
include 'runs/pretrain.gin'
VOCABULARY_FILE = '{VOCABULARY}'
MIXTURE_OR_TASK_NAME = 'quiz'
TASK_FEATURE_LENGTHS = {{'inputs': 32, 'targets': 16}}
BATCH_SIZE = 8
TRAIN_STEPS = {STEPS}
SAVE_PERIOD = {SAVE}
STATS_PERIOD = 4
EVAL_PERIOD = {STEPS}
RANDOM_SEED = 1
DROPOUT_RATE = 0.1
LOSS_NORMALIZING_FACTOR = 'NUM_REAL_TARGET_TOKENS'
network.T5Config.emb_dim = 16
network.T5Config.num_heads = 2
network.T5Config.head_dim = 8
network.T5Config.mlp_dim = 32
utils.create_learning_rate_scheduler.factors = 'constant'
utils.create_learning_rate_scheduler.base_learning_rate = 0.02
"""


class Project:
    """A user's folder with a quiz, a gin file and the commands."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.next: dict[str, str] = {}  # commands that the finished run has printed
        rows = [
            {"question": f"what is the capital of country {i}?", "answer": [f"city {i % 7}"]}
            for i in range(120)
        ]
        for split, part in (("train", rows[:100]), ("validation", rows[100:])):
            text = "".join(json.dumps(row) + "\n" for row in part)
            (folder / f"{split}.jsonl").write_text(text)
        files = {split: f"{split}.jsonl" for split in ("train", "validation")}
        own = f"tasks.qa_from_files.files = {{'quiz': {files}}}\n"
        (folder / "quiz.gin").write_text(own + GIN)
        # One device, as a user has: eight would only slow the commands down.
        flags = [f for f in os.environ["XLA_FLAGS"].split() if "device_count" not in f]
        cache = {"CLOSEDBOOK_CACHE_DIR": str(folder / "cache"), "XLA_FLAGS": " ".join(flags)}
        self.environment = os.environ | cache

    def start(self, *words: str) -> subprocess.Popen:
        command = pathlib.Path(sys.executable).parent / words[0]
        return subprocess.Popen(
            [command, *words[1:]],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, code: int = 0, text: str | None = None) -> str:
        process = self.start(*words) if text is None else None
        if process is None:
            command = pathlib.Path(sys.executable).parent / words[0]
            done = subprocess.run(
                [command, *words[1:]], cwd=self.folder, env=self.environment, input=text,
                capture_output=True, text=True,
            )  # fmt: skip
            out, err, found = done.stdout, done.stderr, done.returncode
        else:
            out, err = process.communicate()
            found = process.returncode
        assert found == code, err
        assert "Traceback" not in err
        return out if code == 0 else err

    def params(self, run: str) -> dict[str, np.ndarray]:
        item = self.folder / run / f"checkpoint_{STEPS}" / "params"
        base = {"driver": "ocdbt", "base": f"file://{item}"}
        keys = tensorstore.KvStore.open(base).result().list().result()
        names = sorted({key.decode().rsplit("/", 1)[0] for key in keys if b".zarray" in key})
        assert len(names) > 30
        return {
            name: tensorstore.open({"driver": "zarr", "kvstore": base, "path": name})
            .result()
            .read()
            .result()
            for name in names
        }


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """A project in which the run `runs/quiz` has finished."""
    project = Project(tmp_path_factory.mktemp("project"))
    out = project.run("t5x", "train", "--gin_file=quiz.gin")
    assert f"finished at step {STEPS}; MODEL_DIR runs/quiz" in out
    assert "quiz/em" in out
    _, _, lines = out.partition("next:\n")
    project.next = {line[2:16].strip(): line[16:].strip() for line in lines.splitlines()}
    return project


@pytest.mark.slow
def test_a_run_killed_at_any_time_ends_with_the_same_bits(project):
    words = ("t5x", "train", "--gin_file=quiz.gin", "--gin.MODEL_DIR='killed'")
    folder = project.folder / "killed"

    def after_metrics() -> bool:
        metrics = folder / "train" / "metrics.jsonl"
        return metrics.exists() and '"step": 4' in metrics.read_text()

    def mid_save() -> bool:
        return any(path.name.startswith(f"checkpoint_{2 * SAVE}.") for path in folder.glob("*tmp*"))

    def after_third_save() -> bool:
        return (folder / f"checkpoint_{3 * SAVE}").exists()

    for reached in (after_metrics, mid_save, after_third_save):
        process = project.start(*words)
        deadline = time.monotonic() + 120
        while not reached():
            if process.poll() is not None:
                # Too fast to be caught (a save takes milliseconds): that is no failure by itself.
                break
            assert time.monotonic() < deadline, "the run does not get there"
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    project.run(*words)
    whole, killed = project.params("runs/quiz"), project.params("killed")
    assert whole.keys() == killed.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(value, killed[name], err_msg=name)
    lines = (folder / "train" / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == sorted(set(steps))


def test_sigterm_ends_cleanly_and_says_how_to_go_on(project):
    words = ("t5x", "train", "--gin_file=quiz.gin", "--gin.MODEL_DIR='stopped'")
    process = project.start(*words, "--gin.TRAIN_STEPS=100000", "--gin.EVAL_PERIOD=0")
    metrics = project.folder / "stopped" / "train" / "metrics.jsonl"
    while not (metrics.exists() and metrics.read_text()):
        assert process.poll() is None
        time.sleep(0.05)
    # Another run in the folder is refused while this one is on.
    refused = project.run(*words, code=2)
    assert f"MODEL_DIR {project.folder / 'stopped'} is in use by process {process.pid}" in refused
    assert len(refused.splitlines()) == 1
    process.terminate()
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert not list((project.folder / "stopped").glob("lock-*"))
    assert "stopped as asked" in err
    assert "stopped at step" in out


def test_a_finished_run_prints_commands_that_work(project):
    assert list(project.next) == ["ask it", "score it", "see its errors", "see its curves"]
    assert "probability" in project.run(*shlex.split(project.next["ask it"]))
    project.run(*shlex.split(project.next["see its errors"]))
    assert (project.folder / "runs/quiz/report_quiz/report.html").exists()
    program, option, folder = shlex.split(project.next["see its curves"])
    assert (program, option) == ("tensorboard", "--logdir")
    assert any((project.folder / folder).rglob("events.out.tfevents.*"))
    # With the run's own lengths and data, which the file for evaluation comes after.
    out = project.run(*shlex.split(project.next["score it"]))
    assert f"step {STEPS}" in out
    scores = project.folder / "runs/quiz/eval_validation/inference_eval/quiz-metrics.jsonl"
    (line,) = scores.read_text().splitlines()
    training = project.folder / "runs/quiz/inference_eval/quiz-metrics.jsonl"
    assert json.loads(line) == json.loads(training.read_text().splitlines()[-1])


def test_infer_writes_answers_and_scores(project):
    words = (
        "t5x", "infer", "--gin_file=runs/quiz/config.gin", "--gin_file=runs/infer.gin",
        "--gin.CHECKPOINT_PATH='runs/quiz'", "--gin.SPLIT='validation'",
        "--gin.INFER_OUTPUT_DIR='answers'", "--gin.BATCH_SIZE=4", "--gin.infer.checkpoint_period=2",
    )  # fmt: skip
    project.run(*words)
    path = project.folder / "answers" / "quiz-predict.jsonl-00000-of-00001"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == 20
    assert set(rows[0]) == {"inputs", "prediction"}
    inputs = rows[3]["inputs"]
    assert inputs["inputs_pretokenized"] == "question: what is the capital of country 103?"
    assert inputs["answers"] == [inputs["targets_pretokenized"]]
    assert inputs["targets"][-1] == 1
    project.run(*words, "--gin.infer.mode='score'")
    path = project.folder / "answers" / "quiz-score.jsonl-00000-of-00001"
    scores = [json.loads(line)["score"] for line in path.read_text().splitlines()]
    assert len(scores) == 20
    assert max(scores) < 0
    assert "answers/quiz-predict.jsonl-00000-of-00001" in project.run(*words)
    other = "--gin.BATCH_SIZE=5"
    assert "exists; give another INFER_OUTPUT_DIR" in project.run(*words, other, code=2)


def test_a_trained_model_answers_without_a_gin_file(project):
    question = "what is the capital of country 3?"
    out = project.run("closedbook", "ask", "--model", "runs/quiz", question)
    assert "probability" in out
    rows = project.run(
        "closedbook", "ask", "--model", "runs/quiz", "--json", text=f"{question}\n\nwho?\n"
    )
    assert [json.loads(row)["question"] for row in rows.splitlines()] == [question, "who?"]
    assert "no checkpoint at" in project.run(
        "closedbook", "ask", "--model", "absent", "who?", code=2
    )


def test_unknown_task_lists_the_nearest(project):
    err = project.run(
        "t5x", "train", "--gin_file=quiz.gin", "--gin.MODEL_DIR='x'",
        "--gin.MIXTURE_OR_TASK_NAME='natural_question_open'", code=2,
    )  # fmt: skip
    assert "unknown task or mixture 'natural_question_open'; nearest: natural_questions_open" in err
