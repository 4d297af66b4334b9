"""The packaged model by its name alone, and what is said of folders that hold no model."""

import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from closedbook.checkpoints import packaged_models
from closedbook.errors import UserError
from closedbook.eval import summary
from closedbook.eval.predictions import Prediction
from closedbook.inference.settings import DecodeSettings
from closedbook.knowledge import load_model
from closedbook.knowledge.editing.rows import Row, pack
from closedbook.knowledge.memories.batches import read_by_decoder
from closedbook.knowledge.memories.examples import Example
from closedbook.knowledge.memories.explanations.answers import framed
from closedbook.models import T5, Taps
from closedbook.tasks.atlas import corpus


@pytest.fixture(scope="module")
def atlas_qa():
    return load_model()


def test_packaged_model_knows_facts_that_it_was_never_asked(atlas_qa):
    rows = list(corpus.questions("test", "seen"))
    found = atlas_qa.ask([row["question"] for row in rows], DecodeSettings(max_decode_length=16))
    scored = [
        Prediction(question=row["question"], answers=row["answers"], prediction=answer.text)
        for row, answer in zip(rows, found, strict=True)
    ]
    assert summary.score_all(scored, "squad").em >= 85


def test_answers_come_with_falling_log_probabilities(atlas_qa):
    (answer,) = atlas_qa.ask(["What is the capital of France?"])
    assert answer.text == "Paris"
    scores = [answer.log_prob, *(score for _, score in answer.alternatives)]
    assert len(scores) == 4
    assert max(scores) <= 0
    assert atlas_qa.ask(["What is the capital of France?"], None) == [answer]


def test_every_system_begins_an_answer_with_the_id_that_the_model_was_trained_with(atlas_qa):
    config = dataclasses.replace(atlas_qa.config, begin_id=7)
    model = dataclasses.replace(atlas_qa, config=config)
    prompt, ids = (5, 9, 1), [11, 12]
    answer = framed(model, prompt, ids, "ab", own=False)
    assert answer.row == (7, 11, 12)
    read, targets = read_by_decoder(model.module, Example(inputs=prompt, targets=(11, 12, 1)))
    assert (tuple(read), tuple(targets)) == ((7, 11, 12), (11, 12, 1))
    batch = pack(model, [Row(prompt=prompt, subject=0, answer=(11, 12, 1))])
    assert np.asarray(batch.answers)[0, :3].tolist() == [7, 11, 12]
    # What decoding gives is what the network itself says after that id, and not after padding.
    ((score,),) = model.predictor().score_tokens(model.params, [prompt], [[[11, 12, 1]]])
    logits = T5(config).apply(
        {"params": model.params}, jnp.array([prompt]), jnp.array([[7, 11, 12]])
    )
    log_probs = jax.nn.log_softmax(logits[0])
    wanted = float(log_probs[jnp.arange(3), jnp.array([11, 12, 1])].sum())
    assert score == pytest.approx(wanted, abs=1e-3)
    ((other,),) = atlas_qa.predictor().score_tokens(atlas_qa.params, [prompt], [[[11, 12, 1]]])
    assert abs(other - score) > 0.1


def test_asking_again_compiles_nothing(atlas_qa):
    atlas_qa.ask(["What is the capital of France?"])
    seen = []
    listen = lambda name, seconds, **_: seen.append(name)  # noqa: E731
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        atlas_qa.ask(["What is the capital of Japan?"])
        assert [name for name in seen if "/compile/" in name] == []
        atlas_qa.ask(["What is the capital of Japan?"], DecodeSettings(max_decode_length=3))
        assert [name for name in seen if "/compile/" in name]
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def test_taps_look_into_a_loaded_model(atlas_qa):
    question = atlas_qa.vocabulary.encode(atlas_qa.card.prefix + "What is the capital of Japan?")
    inputs = jnp.array([[*question, 1]])
    _, records = T5(atlas_qa.config).apply(
        {"params": atlas_qa.params},
        inputs,
        jnp.zeros((1, 1), jnp.int32),
        taps=Taps(record=("encoder.*.mlp.coefficients",)),
    )
    shapes = {site: value.shape for site, value in records.items()}
    expected = (1, len(question) + 1, atlas_qa.config.mlp_dim)
    assert shapes == {f"encoder.{i}.mlp.coefficients": expected for i in range(2)}


def test_unknown_packaged_name_lists_the_others():
    with pytest.raises(UserError, match=r"'atlas_q'; nearest: atlas_qa"):
        load_model("closedbook://atlas_q")


def test_folders_without_a_model_are_told(tmp_path):
    with pytest.raises(UserError, match=r"no checkpoint at .*absent"):
        load_model(tmp_path / "absent")
    with pytest.raises(UserError, match=r"no checkpoint at"):
        load_model(tmp_path)


def test_damaged_models_are_told_apart(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(packaged_models()["atlas_qa"], folder)
    card = (folder / "model.json").read_text()

    (folder / "model.json").write_text(card.replace('"emb_dim": 128', '"emb_dim": 64'))
    with pytest.raises(UserError, match=r"other shape: decoder/decoder_norm/scale is \(128,\)"):
        load_model(folder)
    (folder / "model.json").write_text(card[:100])
    with pytest.raises(UserError, match=r"not a valid model card.*copy back the model\.json"):
        load_model(folder)
    (folder / "model.json").write_text(card)
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    (other / "vocabulary.model").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="not a SentencePiece model"):
        load_model(other)
    (checkpoint,) = folder.glob("checkpoint_*")
    shutil.rmtree(checkpoint / "params")
    with pytest.raises(UserError, match=r"checkpoint_1850 is damaged: .*; no other checkpoint in"):
        load_model(folder)
    shutil.rmtree(checkpoint)
    with pytest.raises(UserError, match=r"no checkpoint at .*model; known are"):
        load_model(folder)
