"""Kills runs whose MODEL_DIR is in a bucket at random moments, and looks what they end as.

    python -m benchmarks.killed_in_bucket --kills 12 --json killed.json

One run on a disk is not disturbed. Others write to a bucket that this program serves, are killed
with SIGKILL at moments drawn from a whole run's time, started again, and at last left alone. Their
parameters must be the same bits, and their metrics one curve.
"""

import argparse
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np

from closedbook.checkpoints import open_checkpoint
from closedbook.telemetry import jsonl
from tests.bucket_server import FakeBuckets, Server, handler

VOCABULARY = (
    pathlib.Path(__file__).resolve().parents[1] / "tasks" / "atlas" / "data" / "atlas.model"
)
STEPS = 48
GIN = f"""
include 'models/tiny.gin'
include 'runs/pretrain.gin'
tasks.qa_from_files.files = {{'quiz': {{'train': 'train.jsonl', 'validation': 'train.jsonl'}}}}
VOCABULARY_FILE = '{VOCABULARY}'
MIXTURE_OR_TASK_NAME = 'quiz'
TASK_FEATURE_LENGTHS = {{'inputs': 32, 'targets': 16}}
BATCH_SIZE = 8
TRAIN_STEPS = {STEPS}
SAVE_PERIOD = 4
STATS_PERIOD = 2
EVAL_PERIOD = 8
RANDOM_SEED = 1
DROPOUT_RATE = 0.1
utils.SaveCheckpointConfig.keep = 2
network.T5Config.emb_dim = 16
network.T5Config.num_heads = 2
network.T5Config.head_dim = 8
network.T5Config.mlp_dim = 32
"""


def begin(folder: pathlib.Path, model_dir: str, environment: dict[str, str]) -> subprocess.Popen:
    """Starts the run in a process of its own."""
    command = [pathlib.Path(sys.executable).parent / "t5x", "train", "--gin_file=quiz.gin"]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [*command, f"--gin.MODEL_DIR={model_dir!r}"],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
        )


def finish(folder: pathlib.Path, model_dir: str, environment: dict[str, str]) -> float:
    """Lets the run end; returns its seconds."""
    began = time.monotonic()
    code = begin(folder, model_dir, environment).wait()
    if code:
        sys.exit(f"the run in {model_dir} ended with code {code}: {(folder / 'log').read_text()}")
    return time.monotonic() - began


def params(place: str) -> dict[str, np.ndarray]:
    return {name: tensor.read() for name, tensor in open_checkpoint(place).params.items()}


def losses(place: str) -> list[tuple[float | None, float | None]]:
    return [(row["step"], row["loss"]) for row in jsonl.read(f"{place}/train/metrics.jsonl")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=pathlib.Path)
    given = parser.parse_args()
    buckets = FakeBuckets()
    buckets.made.add("some-bucket")
    buckets.page = 1000
    server = Server(("127.0.0.1", 0), handler(buckets))
    buckets.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ |= buckets.environment()
    draw, kills = random.Random(given.seed), []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        rows = [{"question": f"capital of {i}?", "answer": [f"city {i % 7}"]} for i in range(120)]
        (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "quiz.gin").write_text(GIN)
        environment = os.environ | {"CLOSEDBOOK_CACHE_DIR": str(folder / "cache")}
        disk = str(folder / "disk")
        finish(folder, disk, environment)
        seconds = finish(
            folder, "gs://some-bucket/whole", environment
        )  # with what it compiles kept
        place, writes = "gs://some-bucket/killed", len(buckets.writes)
        while len(kills) < given.kills:
            process = begin(folder, place, environment)
            wait = draw.uniform(0.2, 1.0) * seconds
            try:
                process.wait(wait)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                now = len(buckets.writes)
                kills.append({"after_seconds": round(wait, 2), "writes": now - writes})
                writes = now
                print(json.dumps(kills[-1]), flush=True)
            else:  # it came to its end first: another one
                place = f"gs://some-bucket/killed-{len(kills)}"
        finish(folder, place, environment)
        whole = params(disk)
        found = {
            "kills": kills,
            "seconds_of_a_run": round(seconds, 1),
            "in_writing": sum(each["writes"] > 0 for each in kills),
            "same_bits": {
                each: all(np.array_equal(value, whole[n]) for n, value in params(each).items())
                for each in ("gs://some-bucket/whole", place)
            },
            "lines": {each: len(losses(each)) for each in (disk, "gs://some-bucket/whole", place)},
            "lines_agree": set(losses(place)) <= set(losses(disk)),
        }
    print(json.dumps(found, indent=1))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
