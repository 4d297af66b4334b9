"""Edits of the packaged T5: what comes of them, their files, and the way back."""

import contextlib
import dataclasses
import json

import jax
import numpy as np
import pytest

from closedbook.checkpoints import open_checkpoint
from closedbook.errors import UserError
from closedbook.knowledge.editing import answering, deltas, job, moments, presets, stored
from closedbook.knowledge.editing.deltas import Delta
from closedbook.knowledge.editing.editor import Editor
from closedbook.knowledge.editing.moments import Corpus
from closedbook.knowledge.editing.places import Place, kernel
from closedbook.knowledge.editing.requests import Edit
from closedbook.knowledge.editing.settings import Settings
from closedbook.knowledge.editing.values import ValueSettings
from closedbook.knowledge.loading import load_model
from closedbook.tasks.atlas import corpus

MODEL = "closedbook://atlas_qa"
PLACE = Place("encoder", 1)
SETTINGS = Settings(layers=(1,), ridge=1e-3, value=ValueSettings(learning_rate=0.3, steps=12))


def edit(subject, target):
    return Edit(
        id=subject,
        subject=subject,
        prompt="What is the capital of {}?",
        target=target,
        contexts=("Name the capital of {}.",),
    )


EDITS = [edit("Kenya", "Kigali"), edit("Peru", "Oslo"), edit("Norway", "Lima")]


@pytest.fixture(scope="module")
def model():
    return load_model(MODEL)


@pytest.fixture(scope="module")
def text(model):
    rows = list(corpus.questions("train"))[::80]
    return Corpus(
        name="some questions",
        texts=tuple(model.card.prefix + row["question"] for row in rows),
        answers=tuple(row["answers"][0] for row in rows),
    )


@pytest.fixture(scope="module")
def moment(model, text, tmp_path_factory):
    return moments.second_moments(model, [PLACE], text, cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def done(model, moment):
    editor = Editor(model, SETTINGS, moment)
    return editor.apply(EDITS[:1]), editor.params


@pytest.fixture(scope="module")
def delta(model, done):
    record = {"id": "Kenya", "subject": "Kenya", **done[0].record[0]}
    return Delta(model=model.sha256, changes=done[0].changes, records=(record,))


def test_the_edited_model_says_the_target_freely_and_the_original_does_not(model, done):
    questions = ["What is the capital of Kenya?", "Name the capital of Kenya."]
    assert answering.answers(model, model.params, questions) == ["Nairobi"] * 2
    assert answering.answers(model, done[1], questions) == ["Kigali"] * 2


def test_the_edited_layer_gives_the_value_of_its_key(model, done, moment):
    # W k* = v*: the mean key of the prompts, and the layer's output with delta.
    from closedbook.knowledge.editing import keys, requests
    from closedbook.knowledge.editing.rows import pack

    told = requests.tells(model, EDITS[0])
    read = keys.at_places(model, model.params, pack(model, told), [PLACE], 2)[PLACE]
    key = read[0].mean(0)
    change = done[0].changes[PLACE]
    assert np.linalg.matrix_rank(change.matrix) == 1
    wanted = done[0].record[0]["delta_norm"]
    assert abs(np.linalg.norm(key @ change.matrix) - wanted) < 1e-5 * wanted
    edited = np.asarray(kernel(done[1], PLACE), np.float64)
    before = np.asarray(kernel(model.params, PLACE), np.float64)
    np.testing.assert_allclose(key @ edited, key @ before + key @ change.matrix, atol=1e-5)


def test_the_order_of_independent_edits_changes_no_bit(model, moment):
    def changes(edits):
        made = [Editor(model, SETTINGS, moment).apply([each]) for each in edits]
        return {each.edits[0].id: each.changes[PLACE] for each in made}

    there, back = changes(EDITS), changes(EDITS[::-1])
    for name, change in there.items():
        np.testing.assert_array_equal(change.left, back[name].left)
        np.testing.assert_array_equal(change.right, back[name].right)


def test_second_moment_is_the_mean_over_tokens_and_comes_from_the_cache(model, text, tmp_path):
    few = dataclasses.replace(text, texts=text.texts[:3], answers=())
    found = moments.second_moments(model, [PLACE], few, cache=tmp_path)[PLACE]
    from closedbook.models.taps import Taps

    total, count = np.zeros((512, 512)), 0
    for line in few.texts:
        ids = np.array([[*model.vocabulary.encode(line), 1]], np.int32)
        taps = Taps(record=(PLACE.key_site,))
        target = np.zeros((1, 1), np.int32)
        _, read = model.module.apply({"params": model.params}, ids, target, taps=taps)
        own = np.asarray(read[PLACE.key_site][0], np.float64)
        total, count = total + own.T @ own, count + len(own)
    assert found.count == count
    np.testing.assert_allclose(found.matrix, total / count, atol=1e-4)
    (file,) = tmp_path.glob("*.npz")
    stamp = file.stat().st_mtime_ns
    again = moments.second_moments(model, [PLACE], few, cache=tmp_path)[PLACE]
    np.testing.assert_array_equal(again.matrix, found.matrix)
    assert file.stat().st_mtime_ns == stamp


def test_a_stopped_pass_over_the_corpus_goes_on_to_the_same_numbers(
    model, text, tmp_path, monkeypatch
):
    monkeypatch.setattr(moments, "_ROWS", 64)
    monkeypatch.setattr(moments, "_SAVE_EVERY", 1)
    whole = moments.second_moments(model, [PLACE], text, cache=tmp_path / "whole")[PLACE]

    class Stopped(Exception):
        pass

    def stop(done, of):
        if done > 64:
            raise Stopped

    with pytest.raises(Stopped):
        moments.second_moments(model, [PLACE], text, cache=tmp_path / "cut", progress=stop)
    assert list((tmp_path / "cut").glob("*.partial.npz"))
    seen = []
    resumed = moments.second_moments(
        model, [PLACE], text, cache=tmp_path / "cut", progress=lambda done, of: seen.append(done)
    )[PLACE]
    assert min(seen) > 64
    np.testing.assert_array_equal(resumed.matrix, whole.matrix)


def test_a_delta_file_is_small_and_gives_the_same_model_again(model, done, delta, tmp_path):
    file = tmp_path / "delta.npz"
    delta.save(file)
    assert file.stat().st_size < 0.01 * 5_000_000
    found = deltas.load(file)
    deltas.check_fits(found, model, file)
    again = deltas.with_delta(model.params, found.changes)
    np.testing.assert_array_equal(kernel(again, PLACE), kernel(done[1], PLACE))
    (row,) = deltas.compare(found, delta)
    assert row["cosine"] == pytest.approx(1)


def test_a_delta_of_another_model_is_refused(model, delta, tmp_path):
    other = dataclasses.replace(delta, model="0" * 64)
    with pytest.raises(UserError, match="was made for the model 000000000000"):
        deltas.check_fits(other, model, "delta.npz")
    (tmp_path / "broken.npz").write_bytes(delta.content()[:500])
    with pytest.raises(UserError, match=r"broken.npz is no delta file, or a damaged one"):
        deltas.load(tmp_path / "broken.npz")


def test_no_damage_of_a_delta_file_is_more_than_a_message(delta, tmp_path):
    path = tmp_path / "delta.npz"
    whole = delta.content()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with contextlib.suppress(UserError):
            deltas.load(path)


@pytest.mark.parametrize(
    ("header", "right"),
    [
        ("[" * 100_000, 1.0),
        ('{"format": 1, "model": "m", "places": [["encoder", Infinity]], "records": []}', 1.0),
        ('{"format": 1, "model": "m", "places": [["encoder", 1]], "records": [[1]]}', 1.0),
        ('{"format": 1, "model": "m", "places": [["encoder", 1]], "records": []}', np.nan),
    ],
)
def test_a_delta_file_of_nonsense_is_refused(tmp_path, header, right):
    path = tmp_path / "delta.npz"
    header = np.frombuffer(header.encode(), np.uint8)
    np.savez(path, header=header, left_0=np.ones((2, 1)), right_0=np.full((1, 2), right))
    with pytest.raises(UserError, match="is no delta file, or a damaged one"):
        deltas.load(path)


def test_a_text_is_no_delta_file(tmp_path):
    path = tmp_path / "delta.npz"
    path.write_text("left, right\n")
    with pytest.raises(UserError, match="a damaged one: it is no archive of arrays"):
        deltas.load(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "edits.jsonl").write_text("[1]\n"),
        lambda folder: (folder / "edits.jsonl").write_text('{"a": 1}\n'),
        lambda folder: (folder / "edits/before.npz").write_bytes(b"PK\x03\x04"),
        lambda folder: (folder / "edits/before.npz").write_bytes(
            stored._arrays({"encoder/nonsense": np.ones(3, np.float32)})
        ),
    ],
)
def test_undoing_from_a_damaged_record_changes_nothing(delta, tmp_path, damage):
    folder = stored.write(MODEL, tmp_path / "model", delta)
    before = bits(folder)
    damage(folder)
    with pytest.raises(UserError, match=r"the record of edits in .* is damaged"):
        stored.undo(folder)
    assert bits(folder) == before


def bits(path):
    params = open_checkpoint(path).params
    return {name: np.asarray(each.read()).tobytes() for name, each in params.items()}


def test_edits_compose_on_the_disk_and_are_undone_to_the_same_bits(
    model, done, delta, moment, tmp_path
):
    first = stored.write(MODEL, tmp_path / "first", delta)
    loaded = load_model(first)
    np.testing.assert_array_equal(kernel(loaded.params, PLACE), kernel(done[1], PLACE))
    after = Editor(loaded, SETTINGS, moment).apply(EDITS[1:2])
    second_delta = Delta(
        model=loaded.sha256, changes=after.changes, records=({"id": "Peru", "subject": "Peru"},)
    )
    second = stored.write(first, tmp_path / "second", second_delta)
    records = [json.loads(line) for line in (second / "edits.jsonl").read_text().splitlines()]
    assert [each["subject"] for each in records] == ["Kenya", "Peru"]
    assert all(each["when"] for each in records)
    questions = ["What is the capital of Kenya?", "What is the capital of Peru?"]
    edited = load_model(second)
    assert answering.answers(model, edited.params, questions) == ["Kigali", "Oslo"]
    assert stored.undo(second, keep=1) == 1
    assert bits(second) == bits(first)
    assert stored.undo(second) == 1
    assert bits(second) == bits(MODEL)
    assert not (second / "edits.jsonl").exists()
    with pytest.raises(UserError, match="nothing to undo"):
        stored.undo(second)


def test_a_full_disk_leaves_the_edited_model_as_it_was(delta, tmp_path, monkeypatch):
    folder = stored.write(MODEL, tmp_path / "model", delta)
    before = bits(folder)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stored, "convert", full)
    with pytest.raises(UserError, match="No space left on device"):
        stored.undo(folder)
    assert bits(folder) == before
    assert [each.name for each in tmp_path.iterdir()] == ["model"]


def test_the_original_is_never_changed(model, done):
    fresh = load_model(MODEL)
    for one, other in zip(
        jax.tree.leaves(model.params), jax.tree.leaves(fresh.params), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("What is the capital of Peru?", "is not in the prompt"),
        ("Is Kenya the capital of Kenya?", "stands several times"),
        ("{} and {}", "2 places for the subject"),
    ],
)
def test_a_prompt_that_does_not_name_its_subject_once_is_refused(prompt, message):
    with pytest.raises(UserError, match=message):
        presets.slotted(prompt, "Kenya")


def test_a_subject_in_the_prompt_becomes_its_place():
    assert presets.slotted("What is the capital of Kenya?", "Kenya") == "What is the capital of {}?"


def test_a_layer_that_does_not_exist_is_refused(model, moment):
    with pytest.raises(UserError, match="layer 7 does not exist: the encoder has layers 0 to 1"):
        Editor(model, dataclasses.replace(SETTINGS, layers=(7,)), moment)


def test_a_model_or_a_search_without_numbers_is_told_and_gives_no_change(model, tmp_path):
    tuning = Settings(method="ft-m", layers=(1,), fine_tuning_steps=2)
    damaged = jax.tree.map(lambda array: array * np.nan, model.params)
    damaged = dataclasses.replace(model, params=damaged)
    with pytest.raises(UserError, match=r"no numbers for .What is the capital of \{\}"):
        job.run(damaged, EDITS[:1], tuning, None, ())
    lines = Corpus(name="lines", texts=("What is the capital of Kenya?",))
    with pytest.raises(UserError, match="no numbers for the corpus at encoder layer 1"):
        moments.second_moments(damaged, [PLACE], lines, cache=tmp_path)
    assert not list(tmp_path.glob("*.npz"))
    runaway = dataclasses.replace(tuning, fine_tuning_rate=1e38)
    with pytest.raises(UserError, match="the search for the new value left all numbers"):
        job.run(model, EDITS[:1], runaway, None, ())
