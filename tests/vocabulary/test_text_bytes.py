"""The vocabulary of bytes against SeqIO's."""

import pytest

from closedbook.errors import UserError
from closedbook.vocabulary.text_bytes import ByteVocabulary

TEXTS = ["", "who was it?", "Zürich, 東京\n", "\N{GRINNING FACE}"]


@pytest.mark.parametrize("extra_ids", [0, 100])
def test_ids_and_texts_are_seqios(extra_ids):
    seqio = pytest.importorskip("seqio")
    theirs, ours = seqio.ByteVocabulary(extra_ids), ByteVocabulary(extra_ids)
    assert ours.vocab_size == theirs.vocab_size
    assert (ours.pad_id, ours.eos_id) == (theirs.pad_id, theirs.eos_id)
    for text in TEXTS:
        ids = ours.encode(text)
        assert ids == theirs.encode(text)
        for given in (ids, [*ids[:-1], 1, 70], [0, 2, *ids, 300]):
            assert ours.decode(given) == theirs.decode(given)


def test_every_id_has_the_place_of_its_character():
    assert ByteVocabulary().places("aé!") == [(0, 1), (1, 2), (1, 2), (2, 3)]


def test_a_number_of_extra_ids_below_0_is_refused():
    with pytest.raises(UserError, match="extra_ids is -1"):
        ByteVocabulary(-1)
