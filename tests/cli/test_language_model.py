"""A language model by the commands: text in, killed, resumed to the same bits, asked."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorstore

from closedbook.cli import gin_files
from closedbook.cli.runs import modes
from closedbook.errors import UserError

STEPS, SAVE = 24, 6
SMALL = [
    "network.DecoderOnlyConfig.emb_dim=16",
    "network.DecoderOnlyConfig.num_layers=2",
    "network.DecoderOnlyConfig.mlp_dim=32",
    "TASK_FEATURE_LENGTHS={'targets': 32}",
    "BATCH_SIZE=4",
    "EVAL_STEPS=2",
    f"TRAIN_STEPS_RELATIVE={STEPS}",
    f"SAVE_PERIOD={SAVE}",
    f"EVAL_PERIOD={STEPS}",
    "STATS_PERIOD=2",
    "RANDOM_SEED=3",
]


class Project:
    """A user's folder with a text and the commands."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        texts = [f"The capital of country {i} is city {i % 7}." for i in range(80)]
        (folder / "my_text.txt").write_text("\n\n".join(texts))
        # One device, as a user has: eight would only slow the commands down.
        flags = [f for f in os.environ["XLA_FLAGS"].split() if "device_count" not in f]
        cache = {"CLOSEDBOOK_CACHE_DIR": str(folder / "cache"), "XLA_FLAGS": " ".join(flags)}
        self.environment = os.environ | cache

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = pathlib.Path(sys.executable).parent / words[0]
        return subprocess.Popen(
            [command, *words[1:]], cwd=self.folder, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *words: str, code: int = 0) -> str:
        process = self.start(*words)
        out, err = process.communicate()
        assert process.returncode == code, err
        assert "Traceback" not in err
        return out if code == 0 else err

    def train(self, run: str, *more: str) -> tuple[str, ...]:
        given = [*SMALL, "TEXT='my_text.txt'", f"MODEL_DIR='{run}'", *more]
        return ("t5x", "train", "--gin_file=lm_tiny.gin", *(f"--gin.{each}" for each in given))

    def params(self, run: str) -> dict[str, np.ndarray]:
        base = {
            "driver": "ocdbt",
            "base": f"file://{self.folder / run / f'checkpoint_{STEPS}' / 'params'}",
        }
        keys = tensorstore.KvStore.open(base).result().list().result()
        names = sorted({key.decode().rsplit("/", 1)[0] for key in keys if b".zarray" in key})
        assert len(names) > 20
        return {
            name: tensorstore.open({"driver": "zarr", "kvstore": base, "path": name})
            .result()
            .read()
            .result()
            for name in names
        }


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which the run "whole" has finished."""
    project = Project(tmp_path_factory.mktemp("lm"))
    out = project.run(*project.train("whole"))
    assert f"finished at step {STEPS}; MODEL_DIR whole" in out
    assert "eval/loss" in out
    return project


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_bits(project: Project):
    words = project.train("killed")
    folder = project.folder / "killed"
    process = project.start(*words)
    deadline = time.monotonic() + 240
    while not (folder / f"checkpoint_{SAVE}").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "the run does not get there"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    project.run(*words)
    whole, killed = project.params("whole"), project.params("killed")
    assert whole.keys() == killed.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(value, killed[name], err_msg=name)


def test_the_result_is_asked_without_a_gin_file(project: Project):
    out = project.run("closedbook", "ask", "--model", "whole", "The capital of")
    assert "probability" in out


def test_a_wrong_text_gives_one_message(project: Project):
    (project.folder / "rows.jsonl").write_text('{"question": "who?"}\n')
    err = project.run(*project.train("x", "TEXT='rows.jsonl'"), code=2)
    assert err.splitlines()[-1].startswith("error: ")
    assert "rows.jsonl:1: no text under the key 'text'" in err.splitlines()[-1]
    err = project.run(*project.train("x", "TEXT='absent.txt'"), code=2)
    [line] = err.splitlines()
    assert line.startswith(
        "error: task 'my_text', split 'train': there is no file absent.txt; give"
    )
    assert "by TEXT" in line


def test_the_plan_tells_what_would_be_trained(tmp_path: pathlib.Path):
    (tmp_path / "a.txt").write_text("text")
    bindings = [f"TEXT = ['{tmp_path}/a.txt']", "VOCABULARY_FILE = 'absent.model'"]
    for model, parameters, layers in (
        ("lm_relu_16x1024", "234,440,704", 16),
        ("gpt2", "124,439,808", 12),
        ("lm_relu_tiny", "1,284,864", 4),
    ):
        files = [f"models/{model}.gin", "lm_from_files.gin"]
        arguments = gin_files.resolve("train", files, bindings)
        plan = modes.plan("train", arguments)
        assert parameters in plan
        assert f" {layers} layers" in plan
        assert "128 rows, 65,536 tokens, " in plan
        assert "steps           100000 more" in plan
    with pytest.raises(UserError, match="macro TEXT is used but has no value"):
        gin_files.resolve("train", ["lm_tiny.gin"], [])
