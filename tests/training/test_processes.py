"""Several processes train as one does: same batches, same seed, one stop, any number afterwards."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

import pytest

from closedbook.checkpoints import soundness

# Run by each process: index, number of processes, port, folder of the quiz, MODEL_DIR, model
# partitions, steps; with 0 steps MODEL_DIR is a checkpoint, and each says what is wrong with it.
PROGRAM = """
import dataclasses, pathlib, sys
import jax
index, count, port, quiz, model_dir, partitions, steps = sys.argv[1:]
quiz = pathlib.Path(quiz)
from closedbook.parallel import Partitioner
from closedbook.parallel.processes import initialize_processes
if index != "alone":
    initialize_processes(coordinator_address=f"localhost:{port}", process_count=int(count),
                         process_index=int(index), initialization_timeout=60)
    assert jax.device_count() == int(count) and jax.local_device_count() == 1
if steps == "0":
    from closedbook.checkpoints import soundness
    print(soundness.damage(pathlib.Path(model_dir), soundness.RUN))
    sys.exit()
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
    stats_period=1, random_seed=0,
    partitioner=Partitioner(num_partitions=int(partitions)))
print("ended", result.step, result.finished)
"""


def _start(index, count, port, quiz, model_dir, partitions, steps) -> subprocess.Popen:
    vocabulary = pathlib.Path(__file__).resolve().parents[2] / "tasks/atlas/data/atlas.model"
    words = (index, count, port, quiz, model_dir, partitions, steps)
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


def _several(count, quiz, model_dir, partitions, steps) -> list[subprocess.Popen]:
    port = _port()
    return [_start(i, count, port, quiz, model_dir, partitions, steps) for i in range(count)]


def _ends(processes) -> list[str]:
    outputs = [process.communicate(timeout=240) for process in processes]
    codes = [process.returncode for process in processes]
    assert set(codes) == {0}, "\n".join([str(codes), *(err for _, err in outputs)])
    return [out.splitlines()[-1] for out, _ in outputs]


def _losses(model_dir: pathlib.Path) -> list[float]:
    lines = (model_dir / "train" / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


def _stopped_in_training(processes, model_dir, victim: int) -> int:
    """Tells one process to stop after a step; the step at which all have stopped."""
    metrics = model_dir / "train" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.exists() and metrics.read_text()):
        assert all(process.poll() is None for process in processes)
        assert time.monotonic() < deadline
        time.sleep(0.1)
    processes[victim].terminate()
    ends = set(_ends(processes))
    assert len(ends) == 1
    _, step, finished = ends.pop().split()
    assert finished == "False"
    return int(step)


@pytest.mark.slow
def test_four_processes_are_stopped_by_one_and_two_go_on_as_one_alone_would(quiz, tmp_path):
    """The batch over four, then the model over two: both meshes give one process's losses."""
    folder, alone = tmp_path / "several", tmp_path / "alone"
    stopped = _stopped_in_training(_several(4, quiz, folder, 1, 100_000), folder, victim=3)
    # What several processes have written and hashed is whole, and a changed byte is seen.
    saved = folder / f"checkpoint_{stopped}"
    assert soundness.damage(saved, soundness.RUN, alone=True) is None
    copy = pathlib.Path(shutil.copytree(saved, tmp_path / "copy" / saved.name))
    largest = max(copy.rglob("d/*"), key=lambda path: path.stat().st_size)
    content = largest.read_bytes()
    largest.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    seen = _ends(_several(2, quiz, copy, 1, 0))
    assert seen[0] == seen[1]
    assert str(largest.relative_to(copy)) in seen[0]
    steps = stopped + 2
    last = f"ended {steps} True"
    assert _ends(_several(2, quiz, folder, 2, steps)) == [last] * 2
    assert _ends([_start("alone", 1, 0, quiz, alone, 1, steps)]) == [last]
    assert len(_losses(alone)) == steps
    assert _losses(folder) == pytest.approx(_losses(alone), rel=1e-4)
    name = "inference_eval/loop_quiz-metrics.jsonl"
    assert json.loads((folder / name).read_text()) == json.loads((alone / name).read_text())
