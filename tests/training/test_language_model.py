"""Training a decoder-only model on text: its loss, its rows, runs that go on, foreign starts."""

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tokenizers
from tokenizers import models, pre_tokenizers

from closedbook.checkpoints import ModelCard, load_params, open_checkpoint
from closedbook.checkpoints.huggingface.folders import write_huggingface
from closedbook.checkpoints.tensors import Checkpoint, Tensor
from closedbook.data.batches import Batches
from closedbook.data.cache_lookup import token_cache
from closedbook.errors import UserError
from closedbook.models import DecoderOnly, DecoderOnlyConfig, decoder_only
from closedbook.parallel import Partitioner
from closedbook.tasks.own_texts import language_model_from_files
from closedbook.training import programs, settings
from closedbook.training.feeds import RunData
from closedbook.training.loop import train
from closedbook.training.model import DecoderOnlyModel, EncoderDecoderModel
from closedbook.training.optimizers.adafactor import adafactor
from closedbook.training.schedules import constant
from closedbook.training.state import abstract_state, fresh_state
from closedbook.vocabulary.pipelines import PipelineVocabulary

LENGTHS = {"targets": 16}
TEXTS = [
    f"the capital of country {i} is city {i % 7}, as all of its people say." for i in range(60)
]


@pytest.fixture(scope="module")
def words(tiny: EncoderDecoderModel) -> Any:
    return tiny.vocabulary


@pytest.fixture(scope="module")
def lm(words: Any) -> DecoderOnlyModel:
    """Two ReLU layers of width 16 over the atlas's vocabulary."""
    config = DecoderOnlyConfig(
        vocab_size=-(-words.vocab_size // 128) * 128,
        emb_dim=16,
        num_heads=2,
        num_layers=2,
        head_dim=8,
        mlp_dim=32,
        mlp_activations=("relu",),
        positions="sinusoidal",
        dropout_rate=0.0,
        pad_id=0,
        bos_id=1,
        eos_id=1,
        add_bos=True,
    )
    return DecoderOnlyModel(
        module=DecoderOnly(config),
        vocabulary=words,
        optimizer=adafactor(),
        loss_normalizing_factor="NUM_REAL_TARGET_TOKENS",
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The task "loop_text" of 60 documents, 10 of them for validation."""
    folder = tmp_path_factory.mktemp("text")
    for split, part in (("train", TEXTS[:50]), ("validation", TEXTS[50:])):
        (folder / f"{split}.txt").write_text("\n\n".join(part))
    files = {split: folder / f"{split}.txt" for split in ("train", "validation")}
    language_model_from_files({"loop_text": files})
    return folder


def _config(folder: pathlib.Path, **changed: Any) -> settings.DatasetConfig:
    given = {
        "mixture_or_task_name": "loop_text",
        "split": "train",
        "task_feature_lengths": LENGTHS,
        "batch_size": 4,
        "pack": True,
        "cache_dir": str(folder / "cache"),
    }
    return settings.DatasetConfig(**given | changed)


@pytest.fixture
def start(lm: DecoderOnlyModel, folder: pathlib.Path, tmp_path: pathlib.Path) -> Callable[..., Any]:
    """Runs the loop: `start(steps, dir="a", model=..., restore=..., **DatasetConfig)`."""

    def begin(
        steps: int,
        dir: str = "run",
        *,
        model: Any = lm,
        restore: str | None = None,
        **changed: Any,
    ) -> Any:
        cfg = _config(folder, **changed)
        return train(
            model=model,
            model_dir=str(tmp_path / dir),
            train_dataset_cfg=cfg,
            train_eval_dataset_cfg=dataclasses.replace(cfg, split="validation"),
            checkpoint_cfg=settings.CheckpointConfig(
                restore=settings.RestoreCheckpointConfig(path=restore),
                save=settings.SaveCheckpointConfig(period=4),
            ),
            total_steps=steps,
            eval_period=6,
            stats_period=2,
            random_seed=0,
            partitioner=Partitioner(devices=tuple(jax.devices()[:1])),
            trainer=settings.Trainer(learning_rate_fn=constant(0.1)),
        )

    return begin


def _params(model: DecoderOnlyModel, folder: pathlib.Path) -> Any:
    wanted = abstract_state(model, Partitioner(devices=tuple(jax.devices()[:1]))).params
    return jax.device_get(load_params(open_checkpoint(folder), wanted))


def test_the_loss_is_torchs_cross_entropy_of_the_same_logits(lm):
    torch = pytest.importorskip("torch", reason="torch is an extra")
    model = dataclasses.replace(lm, z_loss=0.0)
    params = model.init_unboxed(jax.random.key(0))
    targets = np.array([[5, 9, 3, 1, 0, 0], [7, 8, 1, 4, 4, 1]], np.int32)
    batch = {
        "decoder_input_tokens": np.array([[1, 5, 9, 3, 0, 0], [1, 7, 8, 1, 4, 4]], np.int32),
        "decoder_target_tokens": targets,
        "decoder_loss_weights": np.array([[1, 1, 1, 1, 0, 0], [1] * 6], np.int32),
        "decoder_segment_ids": np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 2, 2, 2]], np.int32),
        "decoder_positions": np.array([[0, 1, 2, 3, 0, 0], [0, 1, 2, 0, 1, 2]], np.int32),
    }
    batch = {name: jnp.asarray(array) for name, array in batch.items()}
    logits = torch.tensor(np.asarray(model.logits(params, batch, None)))
    wanted = torch.where(
        torch.tensor(np.asarray(batch["decoder_loss_weights"])) > 0, torch.tensor(targets), -100
    )
    theirs = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), wanted.flatten().long(), reduction="sum"
    )
    loss, sums = model.loss(params, batch, None)
    assert float(loss) == pytest.approx(float(theirs), rel=1e-6)
    assert float(sums["target_tokens"]) == 10
    right = (logits.argmax(-1) == wanted).sum()
    assert float(sums["correct"]) == float(right)
    assert "input_tokens" not in sums


def test_packed_rows_lose_what_the_same_texts_lose_alone(lm, words, folder):
    tokens = token_cache("loop_text", "train", vocabulary=words, cache_dir=folder / "cache")
    params = lm.init_unboxed(jax.random.key(0))
    run = jax.jit(lambda batch: lm.loss(params, batch, None)[1])
    totals = []
    for pack, rows in ((True, 8), (False, 40)):
        batches = Batches([(tokens, 1.0)], rows, {"targets": 32}, pack, 0, lm.converter)
        sums = {"cross_ent_loss": 0.0, "target_tokens": 0.0}
        index = 0
        while (batch := batches.batch(0, index)) is not None:
            found = run({name: jnp.asarray(array) for name, array in batch.items()})
            sums = {name: sums[name] + float(found[name]) for name in sums}
            index += 1
        totals.append(sums)
    packed, alone = totals
    assert packed["target_tokens"] == alone["target_tokens"] > 500
    assert packed["cross_ent_loss"] == pytest.approx(alone["cross_ent_loss"], rel=1e-5)


def test_a_run_learns_measures_unseen_text_and_says_what_it_is(start, lm, tmp_path):
    result = start(12)
    assert result.finished
    lines = [
        json.loads(line) for line in (tmp_path / "run/train/metrics.jsonl").read_text().splitlines()
    ]
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.5
    assert lines[0]["target_tokens"] > 40
    assert "input_tokens" not in lines[0]
    assert 0 < result.scores["eval/loss"] < lines[0]["loss"]
    card = ModelCard.read(tmp_path / "run")
    assert (card.config, card.lengths, card.prefix) == (lm.config, LENGTHS, "")


def test_a_run_in_parts_ends_with_the_same_bits(start, lm, tmp_path):
    model = dataclasses.replace(
        lm, module=DecoderOnly(dataclasses.replace(lm.config, dropout_rate=0.1))
    )
    start(9, "whole", model=model)
    start(4, "parts", model=model)
    start(9, "parts", model=model)
    whole, parts = (_params(model, tmp_path / name) for name in ("whole", "parts"))
    jax.tree.map(np.testing.assert_array_equal, whole, parts)


@pytest.mark.parametrize(("devices", "partitions"), [(1, 1), (4, 2)])
def test_programs_lower_from_shapes_as_they_run(lm, words, folder, devices, partitions):
    partitioner = Partitioner(num_partitions=partitions, devices=tuple(jax.devices()[:devices]))
    cfg = _config(folder)
    with (
        partitioner.activate(),
        RunData(words, lm.converter).training(cfg, 0, None) as batches,
    ):
        batch = partitioner.put_batch(next(batches))
        state = fresh_state(lm, partitioner, 0)
        program = programs.held_out_loss(lm, partitioner, cfg)
        assert program.lower().as_text() == program.function.lower(state.params, batch).as_text()


def test_a_kind_of_model_refuses_the_other_kinds_tasks(start, run, words):
    with pytest.raises(UserError, match=r"loop_text is text without inputs, .* decoder-only"):
        run(1, data={"mixture_or_task_name": "loop_text"})
    with pytest.raises(UserError, match=r"atlas_qa has inputs and targets, and a decoder-only"):
        start(1, mixture_or_task_name="atlas_qa")
    with pytest.raises(UserError, match=r"feeds a T5 alone"):
        start(1, stream=True)


def test_lengths_are_of_targets_alone(start):
    with pytest.raises(UserError, match=r"give the length of targets alone, for example"):
        start(1, task_feature_lengths={"inputs": 16, "targets": 16})


def test_ids_that_vocabulary_and_network_take_differently_are_refused(start, lm):
    def changed(**values: Any) -> DecoderOnlyModel:
        config = dataclasses.replace(lm.config, **values)
        return dataclasses.replace(lm, module=DecoderOnly(config))

    with pytest.raises(UserError, match=r"ends a text with id 1, the model with 2; set .*eos_id"):
        start(1, model=changed(eos_id=2))
    with pytest.raises(UserError, match=r"takes id 7 for padding, which is a piece"):
        start(1, model=changed(pad_id=7))
    with pytest.raises(UserError, match=r"the model has 8 positions; give a smaller length"):
        start(1, model=changed(positions="learned", max_positions=8))
    with pytest.raises(UserError, match=r"set DecoderOnlyConfig\.vocab_size to 3840"):
        start(1, model=changed(vocab_size=128))


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A random GPT-2 with a tokenizer of its own, as transformers keeps it."""
    folder = tmp_path_factory.mktemp("gpt2")
    end = "<|endoftext|>"
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=[end],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(TEXTS, trainer)
    config = DecoderOnlyConfig(
        vocab_size=made.get_vocab_size(), emb_dim=32, num_heads=4, num_layers=2, head_dim=8,
        mlp_dim=128, max_positions=64, eos_id=0, bos_id=0,
    )  # fmt: skip
    random = np.random.default_rng(0)
    params = {
        name: Tensor.of(random.normal(scale=0.05, size=shape).astype(np.float32), name)
        for name, shape in decoder_only.parameter_shapes(config).items()
    }
    write_huggingface(folder, Checkpoint(format="", path="made", params=params), config)
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": end, "bos_token": end}))
    return folder


def test_training_goes_on_from_a_hugging_face_gpt2_and_the_result_is_asked(
    gpt2, start, folder, tmp_path
):
    transformers = pytest.importorskip("transformers", reason="transformers is an extra")
    torch = pytest.importorskip("torch", reason="torch is an extra")
    from closedbook.checkpoints import recognise
    from closedbook.inference.settings import DecodeSettings
    from closedbook.knowledge import load_model

    config = dataclasses.replace(recognise(open_checkpoint(gpt2)), dropout_rate=0.0)
    vocabulary = PipelineVocabulary(gpt2)
    model = DecoderOnlyModel(
        module=DecoderOnly(config),
        vocabulary=vocabulary,
        optimizer=adafactor(),
        loss_normalizing_factor="NUM_REAL_TARGET_TOKENS",
    )
    start(6, model=model, restore=str(gpt2), task_feature_lengths={"targets": 64})
    lines = (tmp_path / "run/train/metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["loss"] < json.loads(lines[0])["loss"]
    # A batch's loss is that of transformers, which reads the first parameters' folder itself.
    tokens = token_cache("loop_text", "train", vocabulary=vocabulary, cache_dir=folder / "cache")
    batch = Batches([(tokens, 1.0)], 2, {"targets": 64}, False, 0, model.converter).batch(0, 0)
    loss, _ = dataclasses.replace(model, z_loss=0.0).loss(
        _params(model, gpt2), {name: jnp.asarray(array) for name, array in batch.items()}, None
    )
    theirs = transformers.AutoModelForCausalLM.from_pretrained(gpt2).eval()
    with torch.no_grad():
        logits = theirs(torch.tensor(batch["decoder_input_tokens"])).logits
    wanted = torch.tensor(batch["decoder_target_tokens"]).long()
    wanted[torch.tensor(batch["decoder_loss_weights"]) == 0] = -100
    total = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), wanted.flatten(), reduction="sum"
    )
    assert float(loss) == pytest.approx(float(total), rel=1e-5)
    assert (batch["decoder_input_tokens"][:, 0] == 0).all()
    asked = load_model(tmp_path / "run").ask(["the capital"], DecodeSettings(max_decode_length=4))
    assert len(asked) == 1
    # Another vocabulary than the checkpoint's is refused.
    other = tmp_path / "other"
    other.mkdir()
    (other / "tokenizer_config.json").write_text((gpt2 / "tokenizer_config.json").read_text())
    described = json.loads((gpt2 / "tokenizer.json").read_text())
    described["pre_tokenizer"]["add_prefix_space"] = True
    (other / "tokenizer.json").write_text(json.dumps(described))
    changed = dataclasses.replace(model, vocabulary=PipelineVocabulary(other))
    with pytest.raises(UserError, match="trained with another vocabulary"):
        start(6, "second", model=changed, restore=str(gpt2), task_feature_lengths={"targets": 64})
