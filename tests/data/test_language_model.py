"""Text becomes rows of a language model: whole, in order, each token predicted once."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tokenizers
from tokenizers import models, pre_tokenizers

from closedbook.data import cache
from closedbook.data.batches import Batches
from closedbook.data.cache_lookup import token_cache, training_sources
from closedbook.data.converters import LMFeatureConverter
from closedbook.errors import UserError
from closedbook.tasks.own_texts import language_model_from_files
from closedbook.vocabulary.pipelines import PipelineVocabulary

DOCUMENTS = ["what is it?", "a much longer text than the others, of several rows", "who?"] * 9
BEGIN = 1


@pytest.fixture
def my_text(tmp_path):
    """A file of the documents, and the task "lm_text" of it."""
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in DOCUMENTS))
    language_model_from_files({"lm_text": {"train": path}})
    return path


def _batches(tokens, length, *, pack=True, rows=4, rate=1.0):
    converter = LMFeatureConverter(begin_id=BEGIN)
    return Batches([(tokens, rate)], rows, {"targets": length}, pack, 0, converter)


def _epoch(batches, number=0):
    found, index = [], 0
    while (batch := batches.batch(number, index)) is not None:
        found.append(batch)
        index += 1
    return found


def _pieces(batches):
    """(inputs, targets, positions) of each segment."""
    for batch in _epoch(batches):
        segments = batch.get("decoder_segment_ids", batch["decoder_loss_weights"])
        for row in range(len(segments)):
            for segment in range(1, segments[row].max() + 1):
                here = segments[row] == segment
                yield tuple(
                    batch[name][row][here].tolist()
                    for name in ("decoder_input_tokens", "decoder_target_tokens")
                )


def test_documents_are_whole_and_end_in_eos(my_text, vocabulary, tmp_path):
    tokens = token_cache("lm_text", "train", vocabulary=vocabulary, cache_dir=tmp_path)
    assert len(tokens) == len(DOCUMENTS)
    assert set(tokens.manifest["features"]) == {"targets"}
    for index, text in enumerate(DOCUMENTS):
        assert tokens.targets(index).tolist() == [*vocabulary.encode(text), 1]


def test_a_cache_is_built_and_fed_without_tensorflow(my_text, vocabulary, tmp_path):
    program = f"""
import sys
sys.modules["tensorflow"] = sys.modules["seqio"] = None
from closedbook.data.batches import Batches
from closedbook.data.cache_lookup import training_sources
from closedbook.data.converters import LMFeatureConverter
from closedbook.tasks.own_texts import language_model_from_files
from closedbook.vocabulary.sentencepiece import Vocabulary
language_model_from_files({{"lm_text": {{"train": {str(my_text)!r}}}}})
sources = training_sources(
    "lm_text", vocabulary=Vocabulary({vocabulary.path!r}), cache_dir={str(tmp_path)!r})
batches = Batches(sources, 8, {{"targets": 16}}, True, 0, LMFeatureConverter(1))
print(sorted(next(batches)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    names = ["input_tokens", "loss_weights", "positions", "segment_ids", "target_tokens"]
    assert done.stdout == f"{[f'decoder_{name}' for name in names]}\n", done.stderr


@pytest.mark.filterwarnings("ignore")  # TensorFlow's own, at import
def test_seqio_gives_the_task_the_same_ids(my_text, vocabulary, tmp_path):
    from closedbook.tasks import registry

    features = registry.output_features(vocabulary.path, vocabulary.extra_ids)
    task = registry.task("lm_text", features={"targets": features["targets"]})
    rows = task.get_dataset(split="train", shuffle=False, sequence_length=None)
    theirs = [row["targets"].tolist() for row in rows.as_numpy_iterator()]
    tokens = token_cache("lm_text", "train", vocabulary=vocabulary, cache_dir=tmp_path)
    assert theirs == [tokens.targets(index).tolist() for index in range(len(tokens))]


@pytest.mark.parametrize("pack", [True, False])
def test_a_long_document_goes_on_in_other_rows_from_its_own_last_token(my_text, vocabulary, pack):
    tokens = token_cache("lm_text", "train", vocabulary=vocabulary, cache_dir=my_text.parent)
    length = 8
    wanted = []
    for text in DOCUMENTS:
        ids = [*vocabulary.encode(text), 1]
        for start in range(0, len(ids), length):
            piece = ids[start : start + length]
            wanted.append(([BEGIN if not start else ids[start - 1], *piece[:-1]], piece))
    assert max(map(len, map(vocabulary.encode, DOCUMENTS))) > 2 * length
    assert sorted(_pieces(_batches(tokens, length, pack=pack))) == sorted(wanted)


def test_rows_are_packed_with_positions_of_their_own(my_text, vocabulary):
    tokens = token_cache("lm_text", "train", vocabulary=vocabulary, cache_dir=my_text.parent)
    found = _epoch(_batches(tokens, 32))
    weights = np.concatenate([batch["decoder_loss_weights"] for batch in found[:-1]])
    assert weights.mean() > 0.9
    for batch in found:
        begins = (batch["decoder_positions"] == 0) & (batch["decoder_segment_ids"] > 0)
        changes = np.diff(batch["decoder_segment_ids"], axis=1, prepend=0) > 0
        np.testing.assert_array_equal(begins, changes)
        used = batch["decoder_segment_ids"] > 0
        np.testing.assert_array_equal(used, batch["decoder_loss_weights"] > 0)


def test_a_position_is_two_integers_and_the_next_epoch_has_another_order(my_text, vocabulary):
    tokens = token_cache("lm_text", "train", vocabulary=vocabulary, cache_dir=my_text.parent)
    batches, resumed = _batches(tokens, 16), _batches(tokens, 16)
    for _ in range(7):
        next(batches)
    resumed.restore(batches.state())
    for name, array in next(batches).items():
        np.testing.assert_array_equal(array, resumed.batch(**batches.state() | {
            "index": batches.state()["index"] - 1})[name])  # fmt: skip
    assert not np.array_equal(
        batches.batch(0, 0)["decoder_target_tokens"], batches.batch(1, 0)["decoder_target_tokens"]
    )


def test_every_piece_of_two_tasks_comes_once_per_epoch(tmp_path):
    """Rates count documents, of which the two have as many, though not as many tokens."""
    made = []
    for name, longest in (("long", 50), ("short", 5)):
        random = np.random.default_rng(0)
        rows = [
            ({"targets": [[*random.integers(10, 500, longest).tolist(), 1]]}, None)
            for _ in range(20)
        ]
        described = {"task": name, "split": "train"}
        made.append(cache.write(tmp_path / name, rows, manifest=described, vocab_size=500))
    sources = [(tokens, float(len(tokens))) for tokens in made]
    batches = Batches(sources, 4, {"targets": 16}, True, 0, LMFeatureConverter(BEGIN))
    found = sorted(targets for _, targets in _pieces(batches))
    wanted = []
    for tokens in made:
        for index in range(len(tokens)):
            ids = tokens.targets(index).tolist()
            wanted += [ids[start : start + 16] for start in range(0, len(ids), 16)]
    assert found == sorted(wanted)
    for inputs, targets in _pieces(batches):
        assert inputs[1:] == targets[:-1]
        assert inputs[0] == BEGIN or inputs[0] >= 10


def test_byte_pairs_give_text_their_ids_and_their_end(my_text, tmp_path):
    words = tokenizers.Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=280, special_tokens=["<end>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    words.train_from_iterator(DOCUMENTS, trainer)
    words.save(str(tmp_path / "tokenizer.json"))
    vocabulary = PipelineVocabulary(tmp_path)
    with pytest.raises(UserError, match="does not say which token ends a text"):
        token_cache("lm_text", "train", vocabulary=vocabulary, cache_dir=tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "<end>"}')
    vocabulary = PipelineVocabulary(tmp_path)
    tokens = token_cache("lm_text", "train", vocabulary=vocabulary, cache_dir=tmp_path)
    assert tokens.targets(1).tolist() == [*words.encode(DOCUMENTS[1]).ids, 0]
    # Id 0 is a token like any other: weights tell padding.
    batch = _batches(tokens, 16).batch(0, 0)
    counted = LMFeatureConverter(begin_id=0).tokens(batch)
    assert (
        counted
        == batch["decoder_loss_weights"].sum()
        > np.count_nonzero(batch["decoder_target_tokens"])
    )
    with pytest.raises(UserError, match=r"atlas_qa is tokenised by SeqIO, .*Piece and bytes"):
        training_sources("atlas_qa", vocabulary=vocabulary, cache_dir=tmp_path)
