"""The vocabulary gives SeqIO's ids and texts."""

import doctest
import json
import pickle
import subprocess
import sys

import pytest

from closedbook.errors import UserError
from closedbook.tasks.atlas import VOCABULARY as VOCABULARY_FILE
from closedbook.vocabulary import Vocabulary, sentinel, sentinel_number, special

SENTENCES = [
    "",
    " ",
    "who wrote <extra_id_0> and <extra_id_1>?",
    "<extra_id_0>",
    "<extra_id_99> last, <extra_id_100> is no sentinel",
    "glued<extra_id_5>word <extra_id_7>ly",
    "nq question: Beyoncé — 1981–82, ½ tab\tand\nnewline  two spaces",
    "日本語 العربية \U0001f600",
]


@pytest.fixture(scope="module")
def model_file(vocabulary_file):
    return str(vocabulary_file)


@pytest.fixture(scope="module")
def questions(made_questions):
    rows = made_questions[:500]
    return [row["question"] for row in rows] + [a for row in rows for a in row["answer"]]


@pytest.mark.parametrize("extra_ids", [0, 100])
def test_ids_and_texts_equal_seqio(model_file, questions, extra_ids):
    _assert_equal_to_seqio(model_file, questions, extra_ids)
    assert Vocabulary(model_file, extra_ids).vocab_size == 2000 + extra_ids


def test_t5s_own_vocabulary_has_its_known_ids(shared):
    """Of the file that T5 was trained with; "Hello" is 8774 there."""
    path = str(shared / "data/vocab/t5_tokenizer_base.model")
    lines = (shared / "data/qa/NQ-open.dev.jsonl").read_text().splitlines()
    _assert_equal_to_seqio(path, [json.loads(line)["question"] for line in lines[:500]], 100)
    vocabulary = Vocabulary(path)
    assert vocabulary.encode("Hello <extra_id_0>") == [8774, 32099]
    assert vocabulary.vocab_size == 32100


def _assert_equal_to_seqio(model_file, questions, extra_ids):
    import seqio

    ours = Vocabulary(model_file, extra_ids)
    theirs = seqio.SentencePieceVocabulary(model_file, extra_ids)
    texts = SENTENCES + questions
    encoded = [ours.encode(text) for text in texts]
    assert encoded == [list(theirs.encode(text)) for text in texts]
    assert encoded == ours.encode_batch(texts)
    assert encoded == [
        row.to_list() if hasattr(row, "to_list") else row.numpy().tolist()
        for row in (theirs.encode_tf(text) for text in texts)
    ]
    assert [ours.decode(ids) for ids in encoded] == [theirs.decode(ids) for ids in encoded]
    assert ours.vocab_size == theirs.vocab_size


def test_places_lead_from_ids_to_characters():
    vocabulary = Vocabulary(VOCABULARY_FILE)
    for text in (
        "Côte d'Ivoire  or 東京: y?",
        "ﬁve ＡＢＣ in México…",
        "x <extra_id_0> y",
        "",
        "Ünal",
    ):
        places = vocabulary.places(text)
        assert len(places) == len(vocabulary.encode(text))
        assert "".join(text[a:b] for a, b in dict.fromkeys(places)) == text  # in order, none lost
    text = "東京ﬁ"
    pairs = list(zip(vocabulary.encode(text), vocabulary.places(text), strict=True))
    shared = {place: [i for i, p in pairs if p == place] for _, place in pairs}
    # Three bytes of each character, two letters of the ligature.
    assert {place: len(ids) for place, ids in shared.items()} == {
        (0, 0): 1,
        (0, 1): 3,
        (1, 2): 3,
        (2, 3): 2,
    }


def test_decoding_stops_at_eos_and_takes_ids_past_the_end_as_unknown(model_file):
    import seqio

    ours, theirs = Vocabulary(model_file), seqio.SentencePieceVocabulary(model_file, 100)
    rows = [[3, 9, 1, 877, 877], [877, 2127, 1], [1], [], [0, 0, 877, 0], [2099, 2098, 571]]
    assert [ours.decode(row) for row in rows] == [theirs.decode(row) for row in rows]
    assert [ours.decode(row) for row in rows[:2]] == [theirs.decode(row) for row in rows[:2]]


def test_first_sentinel_is_the_last_id(model_file):
    vocabulary = Vocabulary(model_file)
    assert vocabulary.encode("<extra_id_0>") == [vocabulary.vocab_size - 1] == [2099]


def test_round_trip_of_questions(model_file, questions):
    vocabulary = Vocabulary(model_file)
    assert [vocabulary.decode(vocabulary.encode(text)) for text in questions] == questions


def test_a_file_with_its_own_sentinels_gets_no_more(model_file, tmp_path):
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()
    with open(model_file, "rb") as file:
        model.ParseFromString(file.read())
    for number in reversed(range(100)):
        model.pieces.add(piece=f"▁<extra_id_{number}>", score=0.0, type=4)
    path = tmp_path / "own.model"
    path.write_bytes(model.SerializeToString())
    vocabulary = Vocabulary(path)
    assert (vocabulary.vocab_size, vocabulary.extra_ids) == (2100, 0)
    assert vocabulary.encode("a <extra_id_3>") == Vocabulary(model_file).encode("a <extra_id_3>")


def test_pickles_as_its_path(model_file):
    vocabulary = Vocabulary(model_file)
    vocabulary.encode("load it")
    assert pickle.loads(pickle.dumps(vocabulary)).encode("who") == vocabulary.encode("who")


def test_a_missing_or_foreign_file_is_the_users_error(tmp_path):
    with pytest.raises(UserError, match=r"no\.model.*VOCABULARY_FILE or CLOSEDBOOK_VOCABULARY"):
        Vocabulary(tmp_path / "no.model").encode("x")
    (tmp_path / "text.model").write_text("not a model at all")
    with pytest.raises(UserError, match="not a SentencePiece model"):
        Vocabulary(tmp_path / "text.model").encode("x")


def test_works_without_tensorflow(model_file):
    program = (
        "import sys; sys.modules['tensorflow'] = None; sys.modules['seqio'] = None\n"
        "from closedbook.vocabulary.sentencepiece import Vocabulary\n"
        f"print(Vocabulary({model_file!r}).encode('<extra_id_0>'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[2099]", done.stderr


def test_a_file_that_is_written_again_is_read_again(tmp_path):
    from sentencepiece import sentencepiece_model_pb2 as model_pb2

    path = tmp_path / "words.model"
    path.write_bytes(VOCABULARY_FILE.read_bytes())
    before = Vocabulary(path)
    assert before.sha256 == Vocabulary(VOCABULARY_FILE).sha256
    model = model_pb2.ModelProto()
    model.ParseFromString(path.read_bytes())
    model.pieces.add(piece="▁added", score=0.0, type=1)
    path.write_bytes(model.SerializeToString())
    after = Vocabulary(path)
    assert after.sha256 != before.sha256
    assert after.vocab_size == before.vocab_size + 1


@pytest.mark.parametrize("pieces", [["<extra_id_0>"], ["▁<extra_id_1>", "▁<extra_id_0>"]])
def test_names_of_sentinels_with_and_without_a_mark_of_a_words_start(pieces):
    assert [sentinel_number(piece) for piece in reversed(pieces)] == list(range(len(pieces)))
    assert [sentinel_number(word) for word in ("<extra_id_>", "<extra_id_1> a", "a")] == [None] * 3
    assert sentinel(7) == "<extra_id_7>"


def test_examples_in_the_docstrings_hold():
    result = doctest.testmod(special)
    assert (result.failed, result.attempted) == (0, 2)
