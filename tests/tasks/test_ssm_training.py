"""A laptop's whole way: sentences, a folder of them, a task, training, and going on."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from closedbook.corpora.shards import write_sentences
from closedbook.tasks import atlas


@pytest.mark.slow
def test_pretraining_on_own_sentences_lowers_the_loss_and_goes_on(sentence, tmp_path):
    names = ("Paris", "London", "Rome", "Berlin")
    write_sentences(
        tmp_path / "sentences",
        (
            sentence(f"{names[i % 4]} is the capital of country {i % 40}.", names[i % 4])
            for i in range(400)
        ),
    )
    flags = [flag for flag in os.environ["XLA_FLAGS"].split() if "device_count" not in flag]

    def train(steps: int) -> str:
        command = [
            *(str(pathlib.Path(sys.executable).parent / "t5x"), "train"),
            "--gin_file=ssm_tiny.gin",
            f"--gin.SENTENCES='{tmp_path}/sentences'",
            f"--gin.VOCABULARY_FILE='{atlas.VOCABULARY}'",
            *(f"--gin.{size}" for size in ("BATCH_SIZE=4", "SAVE_PERIOD=10", "STATS_PERIOD=5")),
            f"--gin.TRAIN_STEPS={steps}",
            "--gin.network.T5Config.emb_dim=32",
            "--gin.network.T5Config.mlp_dim=64",
            "--gin.utils.create_learning_rate_scheduler.warmup_steps=5",
            "--gin.MODEL_DIR='run'",
        ]
        cache = {"CLOSEDBOOK_CACHE_DIR": str(tmp_path / "cache"), "XLA_FLAGS": " ".join(flags)}
        done = subprocess.run(
            command, cwd=tmp_path, env=os.environ | cache, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    assert "token cache: built my_ssm train: 400 examples" in train(20)
    assert "token cache" not in train(40)  # nor is TensorFlow needed any more
    lines = (tmp_path / "run" / "train" / "metrics.jsonl").read_text().splitlines()
    losses = {row["step"]: row["loss_per_token"] for row in map(json.loads, lines)}
    assert sorted(losses) == list(range(5, 45, 5))
    assert losses[40] < losses[20] < losses[5]
    assert losses[40] < 0.7 * losses[5]
