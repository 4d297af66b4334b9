"""Training a decoder-only model on text: rows, loss, going on, and being asked afterwards."""

import dataclasses
import json
import pathlib

import jax
import numpy as np
import pytest

from closedbook.checkpoints import ModelCard
from closedbook.data.batches import Batches
from closedbook.data.cache_lookup import token_cache
from closedbook.errors import UserError
from closedbook.inference.settings import DecodeSettings
from closedbook.knowledge import load_model
from closedbook.models import DecoderOnly, DecoderOnlyConfig
from closedbook.parallel import Partitioner
from closedbook.tasks import atlas
from closedbook.tasks.own_files import language_model_from_files
from closedbook.training import settings
from closedbook.training.adafactor import adafactor
from closedbook.training.feeds import RunData
from closedbook.training.loop import train
from closedbook.training.model import DecoderOnlyModel
from closedbook.training.schedules import create_learning_rate_scheduler
from closedbook.vocabulary import Vocabulary

CAPITALS = {"France": "Paris", "Italy": "Rome", "Japan": "Tokyo", "Kenya": "Nairobi"}
TEXTS = [f"{capital} is the capital of {country}." for country, capital in CAPITALS.items()] * 10
LENGTH = 32


@pytest.fixture(scope="module")
def model() -> DecoderOnlyModel:
    vocabulary = Vocabulary(atlas.VOCABULARY)
    config = DecoderOnlyConfig(
        vocab_size=-(-vocabulary.vocab_size // 128) * 128,
        emb_dim=32,
        num_heads=2,
        num_layers=2,
        head_dim=16,
        mlp_dim=64,
        mlp_activations=("relu",),
        max_positions=LENGTH + 8,
        dropout_rate=0.0,
        pad_id=0,
        eos_id=1,
        bos_id=0,
        add_bos=True,
    )
    return DecoderOnlyModel(
        module=DecoderOnly(config),
        vocabulary=vocabulary,
        optimizer=adafactor(),
        z_loss=0.0,
        loss_normalizing_factor="NUM_REAL_TARGET_TOKENS",
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    """Files of text as tasks, and their token caches."""
    folder = tmp_path_factory.mktemp("texts")
    (folder / "train.txt").write_text("\n\n".join(TEXTS) + "\n")
    lines = [json.dumps({"text": text, "id": 3}) for text in TEXTS[:4]]
    (folder / "held_out.jsonl").write_text("\n".join(lines))
    files = {"train": folder / "train.txt", "validation": folder / "held_out.jsonl"}
    language_model_from_files({"lm_texts": files})
    return folder


def data(folder: pathlib.Path, **changes) -> settings.DatasetConfig:
    fields = {
        "mixture_or_task_name": "lm_texts",
        "split": "train",
        "task_feature_lengths": {"targets": LENGTH},
        "batch_size": 4,
        "pack": True,
        "cache_dir": str(folder / "cache"),
    }
    return settings.DatasetConfig(**(fields | changes))


def run(model, folder, run_folder, steps, **changes):
    return train(
        model=model,
        train_dataset_cfg=data(folder),
        train_eval_dataset_cfg=data(folder, split="validation"),
        eval_steps=1,
        eval_period=30,
        model_dir=str(run_folder),
        checkpoint_cfg=settings.CheckpointConfig(save=settings.SaveCheckpointConfig(period=30)),
        partitioner=Partitioner(devices=tuple(jax.devices()[:1])),
        trainer=settings.Trainer(
            learning_rate_fn=create_learning_rate_scheduler(
                factors="constant", base_learning_rate=0.05
            )
        ),
        total_steps=steps,
        stats_period=10,
        random_seed=0,
        **changes,
    )


def test_rows_hold_whole_texts_that_end_in_eos(folder, model):
    words = model.vocabulary
    cache = token_cache("lm_texts", "validation", vocabulary=words, cache_dir=folder / "cache")
    assert [words.decode(cache.targets(i)) for i in range(len(cache))] == TEXTS[:4]
    batch = Batches([(cache, 1.0)], 4, {"targets": LENGTH}, True, 0).batch(0, 0)
    assert batch is not None
    assert sorted(batch) == [
        *("decoder_input_tokens", "decoder_loss_weights", "decoder_positions"),
        *("decoder_segment_ids", "decoder_target_tokens"),
    ]
    targets, segments = batch["decoder_target_tokens"], batch["decoder_segment_ids"]
    found = [
        words.decode(row[ids == number])
        for row, ids in zip(targets, segments, strict=True)
        for number in range(1, ids.max() + 1)
    ]
    assert sorted(found) == sorted(TEXTS[:4])
    assert (targets == 1).sum() == 4
    starts = np.pad(segments, ((0, 0), (1, 0)))[:, :-1] != segments
    assert not batch["decoder_input_tokens"][starts].any()


def test_model_learns_its_texts_goes_on_and_answers(model, folder, tmp_path):
    run(model, folder, tmp_path / "run", 60)
    whole = run(model, folder, tmp_path / "run", 90)
    assert whole.finished
    lines = (tmp_path / "run" / "train" / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert losses[-1] < 0.2 * losses[0]
    card = ModelCard.read(tmp_path / "run")
    assert card.config == model.config
    assert card.lengths == {"targets": LENGTH}
    loaded = load_model(tmp_path / "run")
    settings = DecodeSettings(max_decode_length=8)
    answers = loaded.ask(
        [f"{capital} is the capital of" for capital in CAPITALS.values()], settings
    )
    assert [answer.text for answer in answers] == [f"{country}." for country in CAPITALS]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task_feature_lengths": {"inputs": 8, "targets": 8}}, "give a length of 'targets' alone"),
        ({"task_feature_lengths": None}, r'for example {"targets": 128}'),
    ],
)
def test_lengths_are_those_of_targets_alone(model, folder, changes, message):
    with pytest.raises(UserError, match=message):
        RunData(model.vocabulary, model.features).record(data(folder, **changes))


def test_task_with_inputs_is_refused(model, folder, quiz):
    cfg = data(folder, mixture_or_task_name="loop_quiz", cache_dir=str(quiz / "cache"))
    with (
        pytest.raises(UserError, match="task loop_quiz has inputs, which a decoder-only model"),
        RunData(model.vocabulary, model.features).training(cfg, 0, None),
    ):
        pass


def test_other_ends_than_the_vocabularys_are_refused(model, folder, tmp_path):
    config = dataclasses.replace(model.config, pad_id=-1)
    other = dataclasses.replace(model, module=DecoderOnly(config))
    with pytest.raises(UserError, match=r"pad_id and eos_id are \(-1, 1\), but the vocabulary"):
        run(other, folder, tmp_path / "run", 1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "\n \n", "holds no text"),
        ("a.jsonl", '{"text": "x"}\n{"txt": "y"}', r'line 2 has no "text"'),
        ("a.jsonl", "text", "line 1 is not JSON"),
    ],
)
def test_malformed_files_of_text_are_named(model, tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    language_model_from_files({"lm_malformed": {"train": tmp_path / name}})
    with pytest.raises(UserError, match=message):
        token_cache("lm_malformed", "train", vocabulary=model.vocabulary, cache_dir=tmp_path)
