"""A tiny model, batches for it, and runs of the real loop on prepared token caches."""

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from closedbook.data.cache_lookup import token_cache
from closedbook.models import T5, T5Config
from closedbook.parallel import Partitioner
from closedbook.tasks.own_files import qa_from_files
from closedbook.training import settings
from closedbook.training.loop import train
from closedbook.training.model import EncoderDecoderModel
from closedbook.training.optimizers.adafactor import adafactor
from closedbook.training.schedules import constant
from closedbook.vocabulary.sentencepiece import Vocabulary

ATLAS_VOCABULARY = (
    pathlib.Path(__file__).resolve().parents[2] / "tasks" / "atlas" / "data" / "atlas.model"
)
LENGTHS = {"inputs": 32, "targets": 16}


@pytest.fixture(scope="session")
def tiny() -> EncoderDecoderModel:
    """2+2 layers of width 16 over the atlas's vocabulary, without dropout."""
    vocabulary = Vocabulary(ATLAS_VOCABULARY)
    config = T5Config(
        vocab_size=-(-vocabulary.vocab_size // 128) * 128,
        emb_dim=16,
        num_heads=2,
        num_encoder_layers=2,
        num_decoder_layers=2,
        head_dim=8,
        mlp_dim=32,
        dropout_rate=0.0,
    )
    return EncoderDecoderModel(
        module=T5(config),
        vocabulary=vocabulary,
        optimizer=adafactor(),
        loss_normalizing_factor="NUM_REAL_TARGET_TOKENS",
    )


@pytest.fixture(scope="session")
def batch() -> dict[str, np.ndarray]:
    """Eight rows of random tokens, some of them padding."""
    rng = np.random.default_rng(0)
    inputs = rng.integers(3, 60, (8, 12)).astype(np.int32)
    targets = rng.integers(3, 60, (8, 6)).astype(np.int32)
    for row in range(8):
        inputs[row, 12 - row :] = 0
        targets[row, 6 - row // 2 :] = 0
    return {
        "encoder_input_tokens": inputs,
        "decoder_input_tokens": np.pad(targets[:, :-1], ((0, 0), (1, 0))),
        "decoder_target_tokens": targets,
        "decoder_loss_weights": (targets > 0).astype(np.int32),
    }


@pytest.fixture(scope="session")
def quiz(tmp_path_factory) -> pathlib.Path:
    """A task "loop_quiz" of 60 questions, its token caches built; returns their folder."""
    folder = tmp_path_factory.mktemp("quiz")
    rows = [
        {"question": f"what is the capital of country {i}?", "answer": [f"city {i % 7}"]}
        for i in range(60)
    ]
    for split, part in (("train", rows[:50]), ("validation", rows[45:])):
        text = "".join(json.dumps(row) + "\n" for row in part)
        (folder / f"{split}.jsonl").write_text(text)
    files = {split: str(folder / f"{split}.jsonl") for split in ("train", "validation")}
    qa_from_files({"loop_quiz": files})
    for split in files:
        token_cache(
            "loop_quiz", split, vocabulary=Vocabulary(ATLAS_VOCABULARY), cache_dir=folder / "cache"
        )
    return folder


@pytest.fixture
def run(tiny, quiz, tmp_path) -> Callable[..., Any]:
    """Runs the loop: `run(steps, dir="a", model=..., restore=..., **save and train settings)`."""

    def start(
        steps: int,
        dir: str = "run",
        *,
        model: EncoderDecoderModel = tiny,
        restore: settings.RestoreCheckpointConfig | None = None,
        save: dict[str, Any] | None = None,
        learning_rate: float = 0.01,
        data: dict[str, Any] | None = None,
        **arguments: Any,
    ) -> Any:
        train_data = settings.DatasetConfig(
            **{
                "mixture_or_task_name": "loop_quiz",
                "split": "train",
                "task_feature_lengths": LENGTHS,
                "batch_size": 4,
                "pack": True,
                "cache_dir": str(quiz / "cache"),
                **(data or {}),
            }
        )
        held_out = dataclasses.replace(train_data, split="validation")
        questions = dataclasses.replace(held_out, pack=False, batch_size=8)
        given = {
            "eval_period": 0,
            "stats_period": 2,
            "random_seed": 0,
            "infer_eval_dataset_cfg": questions,
            "train_eval_dataset_cfg": held_out,
        }
        return train(
            model=model,
            model_dir=dir if "://" in dir else str(tmp_path / dir),
            train_dataset_cfg=train_data,
            checkpoint_cfg=settings.CheckpointConfig(
                restore=restore, save=settings.SaveCheckpointConfig(**{"period": 4, **(save or {})})
            ),
            total_steps=steps,
            partitioner=Partitioner(devices=tuple(jax.devices()[:1])),
            trainer=arguments.pop("trainer", None)
            or settings.Trainer(learning_rate_fn=constant(learning_rate)),
            **(given | arguments),
        )

    return start
