"""Two processes train as one does: same batches, same seed, one stop."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import pytest

# Run by each process: process index, port, folder of the quiz, MODEL_DIR, model partitions, steps.
PROGRAM = """
import dataclasses, pathlib, sys
import jax
index, port, quiz, model_dir, partitions, steps = sys.argv[1:]
quiz = pathlib.Path(quiz)
from closedbook.parallel import Partitioner
from closedbook.parallel.processes import initialize_processes
if index != "alone":
    initialize_processes(coordinator_address=f"localhost:{port}", process_count=2,
                         process_index=int(index), initialization_timeout=60)
    assert jax.device_count() == 2 and jax.local_device_count() == 1
from closedbook.vocabulary.sentencepiece import Vocabulary
from closedbook.models import T5, T5Config
from closedbook.tasks.own_files import qa_from_files
from closedbook.training import settings
from closedbook.training.optimizers.adafactor import adafactor
from closedbook.training.loop import train
from closedbook.training.model import EncoderDecoderModel
qa_from_files({"loop_quiz": {s: str(quiz / f"{s}.jsonl") for s in ("train", "validation")}})
config = T5Config(vocab_size=3840, emb_dim=16, num_heads=2, num_encoder_layers=1,
                  num_decoder_layers=1, head_dim=8, mlp_dim=32, dropout_rate=0.0)
model = EncoderDecoderModel(
    module=T5(config), vocabulary=Vocabulary(VOCABULARY),
    optimizer=adafactor(), loss_normalizing_factor="NUM_REAL_TARGET_TOKENS")
data = settings.DatasetConfig(
    mixture_or_task_name="loop_quiz", split="train", batch_size=4,
    task_feature_lengths=dict(inputs=32, targets=16), pack=True, cache_dir=str(quiz / "cache"))
result = train(
    model=model, model_dir=model_dir, train_dataset_cfg=data,
    infer_eval_dataset_cfg=dataclasses.replace(data, split="validation", pack=False),
    checkpoint_cfg=settings.CheckpointConfig(), total_steps=int(steps), eval_period=int(steps),
    stats_period=1, random_seed=0 if int(steps) < 100 else None,
    partitioner=Partitioner(num_partitions=int(partitions)))
print("ended", result.step, result.finished)
"""


def _start(index, port, quiz, model_dir, partitions, steps) -> subprocess.Popen:
    vocabulary = pathlib.Path(__file__).resolve().parents[2] / "tasks/atlas/data/atlas.model"
    words = (index, port, quiz, model_dir, partitions, steps)
    flags = [f for f in os.environ["XLA_FLAGS"].split() if "device_count" not in f]
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            PROGRAM.replace("VOCABULARY)", f"{str(vocabulary)!r})"),
            *map(str, words),
        ],
        env=os.environ | {"XLA_FLAGS": " ".join(flags)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def _pair(quiz, model_dir, partitions, steps) -> list[subprocess.Popen]:
    port = _port()
    return [_start(i, port, quiz, model_dir, partitions, steps) for i in range(2)]


def _ends(processes) -> list[str]:
    outputs = [process.communicate(timeout=240) for process in processes]
    for process, (_, err) in zip(processes, outputs, strict=True):
        assert process.returncode == 0, err
    return [out.splitlines()[-1] for out, _ in outputs]


def _losses(model_dir: pathlib.Path) -> list[float]:
    lines = (model_dir / "train" / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


@pytest.fixture(scope="module")
def alone(quiz, tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("alone")
    assert _ends([_start("alone", 0, quiz, folder, 1, 4)]) == ["ended 4 True"]
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("partitions", [1, 2])
def test_two_processes_train_and_answer_as_one(partitions, alone, quiz, tmp_path):
    assert _ends(_pair(quiz, tmp_path, partitions, 4)) == ["ended 4 True"] * 2
    assert _losses(tmp_path) == pytest.approx(_losses(alone), rel=1e-4)
    name = "inference_eval/loop_quiz-metrics.jsonl"
    assert json.loads((tmp_path / name).read_text()) == json.loads((alone / name).read_text())


@pytest.mark.slow
def test_one_processs_sigterm_stops_both_at_the_same_step(quiz, tmp_path):
    processes = _pair(quiz, tmp_path, 1, 100_000)
    metrics = tmp_path / "train" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.exists() and metrics.read_text()):
        assert all(process.poll() is None for process in processes)
        assert time.monotonic() < deadline
        time.sleep(0.1)
    processes[1].terminate()
    first, second = _ends(processes)
    assert first == second
    assert first.endswith("False")
