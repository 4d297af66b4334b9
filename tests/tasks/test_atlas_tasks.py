"""The packaged atlas as tasks: its own vocabulary, and no question of training in evaluation."""

import hashlib

import numpy as np
import pytest

from closedbook.data import cache_lookup
from closedbook.data.leakage import leakage, training_keys
from closedbook.tasks import atlas as packaged
from closedbook.tasks import specs
from closedbook.vocabulary.sentencepiece import Vocabulary

pytestmark = pytest.mark.filterwarnings("ignore")  # TensorFlow's own, at import


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    """Opens a split of an atlas task over the packaged vocabulary."""
    pytest.importorskip("seqio")
    vocabulary = Vocabulary(packaged.VOCABULARY)
    folder = tmp_path_factory.mktemp("caches")

    def opened(task, split):
        return cache_lookup.token_cache(task, split, vocabulary=vocabulary, cache_dir=folder)

    return opened, vocabulary


def test_questions_keep_ids_answers_and_prefix(atlas):
    from closedbook.tasks.atlas import corpus

    opened, vocabulary = atlas
    for task, split, phrasing in (
        ("atlas_qa", "validation", "seen"),
        ("atlas_qa_seen", "test", "seen"),
        ("atlas_qa_unseen", "test", "unseen"),
    ):
        tokens = opened(task, split)
        expected = list(corpus.questions(split, phrasing))
        assert len(tokens) == len(expected) > 100
        for index, (row, example) in enumerate(zip(expected, tokens.examples(), strict=True)):
            assert (example["id"], example["question"]) == (row["id"], row["question"])
            assert example["answers"] == list(dict.fromkeys(row["answers"]))
            if index % 50 == 0:
                text = vocabulary.decode(tokens.inputs(index))
                assert text == "atlas question: " + row["question"]


def test_pretraining_pairs_have_the_sentinel_and_the_bare_span(atlas):
    opened, vocabulary = atlas
    tokens = opened("atlas_ssm", "train")
    sentinel = vocabulary.vocab_size - 1  # <extra_id_0>
    for index in range(0, len(tokens), 997):
        assert (tokens.inputs(index) == sentinel).sum() == 1
        assert (tokens.targets(index) != sentinel).all()
        assert tokens.targets(index)[-1] == 1
    assert list(tokens.examples()) == []


def test_pretraining_tokens_are_those_the_packaged_model_was_trained_on(atlas):
    """Taken from the cache of the version that trained the packaged model."""
    opened, _ = atlas
    tokens = opened("atlas_ssm", "train")
    found = {
        feature: hashlib.sha256(b"".join(a.tobytes() for a in tokens.flat(feature))).hexdigest()
        for feature in ("inputs", "targets")
    }
    assert found == {
        "inputs": "63d22c14085c3b7d2689885f7afc083dacba7b408e4cf865e13c87523b66f3df",
        "targets": "46d30e931aa98aad00cece2df3504a4ad0f9a54ad43d6dc8ba6bbf619442b690",
    }


def test_the_control_of_the_atlas_masks_as_many_tokens_elsewhere(atlas):
    opened, _ = atlas
    salient, control = opened("atlas_ssm", "train"), opened("atlas_span_corruption", "train")
    assert len(salient) == len(control)
    ours, theirs = (
        {side: np.diff(tokens.flat(side)[1]) for side in ("inputs", "targets")}
        for tokens in (salient, control)
    )
    assert (ours["targets"] == theirs["targets"]).all()
    assert abs(ours["inputs"].sum() / theirs["inputs"].sum() - 1) < 0.01
    same = sum(
        (salient.targets(i).tolist() == control.targets(i).tolist()) for i in range(0, 2000, 2)
    )
    assert same < 300  # of 1,000; a sentence of 9 tokens has few places


def test_no_evaluation_question_stands_in_training(atlas):
    opened, _ = atlas
    training = [opened("atlas_qa", "train")]
    for task, split in (
        ("atlas_qa", "validation"),
        ("atlas_qa_seen", "test"),
        ("atlas_qa_unseen", "test"),
    ):
        assert leakage(training_keys(training), opened(task, split)).count == 0


def test_a_folder_for_other_data_sets_does_not_hinder_the_atlas(atlas, monkeypatch, tmp_path):
    monkeypatch.setenv("CLOSEDBOOK_DATA_DIR", str(tmp_path))
    opened, _ = atlas
    assert len(opened("atlas_qa_seen", "test")) > 100
    assert specs.names("atlas_qa_seen") == ("atlas_qa_seen",)


def test_the_packaged_models_and_their_vocabulary_are_found_by_import():
    models = packaged.models()
    assert {"atlas_ssm", "atlas_qa", "atlas_deep"} <= set(models)
    for folder in models.values():
        assert (folder / "vocabulary.model").read_bytes() == packaged.VOCABULARY.read_bytes()
