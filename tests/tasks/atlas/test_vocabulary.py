"""The atlas's SentencePiece model: T5's layout, names in one piece, built again to the byte."""

import importlib.metadata
import json

import pytest
import sentencepiece

from closedbook.tasks import word_vocabulary
from closedbook.tasks.atlas import VOCABULARY, corpus, train_vocabulary


def _processor():
    return sentencepiece.SentencePieceProcessor(model_file=str(VOCABULARY))


def test_special_ids_are_those_of_t5_and_extra_ids_are_left_to_seqio():
    processor = _processor()
    assert (processor.pad_id(), processor.eos_id(), processor.unk_id()) == (0, 1, 2)
    assert processor.bos_id() == -1
    assert "extra_id" not in "".join(map(processor.id_to_piece, range(len(processor))))


def test_answers_come_back_as_they_were():
    processor = _processor()
    for fact in corpus.facts():
        assert processor.decode(processor.encode(fact.object)) == fact.object


def test_words_of_the_atlas_are_single_pieces():
    processor = _processor()
    pieces = [len(processor.encode(fact.object)) for fact in corpus.facts()]
    words = [len(fact.object.split()) for fact in corpus.facts()]
    assert sum(pieces) / sum(words) < 1.05
    for word in ("Ouagadougou", "LHR", ".fr", "+355", "1960", "Which", "seaborgium"):
        assert len(processor.encode(word)) == 1


def test_unknown_characters_fall_back_to_bytes():
    processor = _processor()
    assert processor.decode(processor.encode("東京")) == "東京"


def test_building_again_gives_the_same_bytes():
    manifest = json.loads((train_vocabulary.DATA / "MANIFEST.json").read_text("utf-8"))
    if importlib.metadata.version("sentencepiece") != manifest["sentencepiece"]:
        pytest.skip(f"built with sentencepiece {manifest['sentencepiece']}")
    built = word_vocabulary.train(train_vocabulary.text(), subwords=train_vocabulary.SUBWORDS)
    assert built == VOCABULARY.read_bytes()


def test_every_word_that_is_not_rare_is_a_piece():
    lines = ["Ouagadougou is a capital.", "Ouagadougou, a city"] * 2 + ["rarity of a capital"]
    model = word_vocabulary.train(lines * 2, subwords=280, fewest=5)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    assert len(processor.encode("Ouagadougou")) == 1
    assert len(processor.encode("rarity")) > 1
    assert model == word_vocabulary.train(lines * 2, subwords=280, fewest=5)
