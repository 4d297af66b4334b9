"""Spans by bytes, sentences left out, and taggers that fail or say nonsense."""

from collections import Counter

import pytest

from closedbook.corpora import annotate, spans
from closedbook.corpora.annotate import Limits
from closedbook.corpora.documents import Document, Skipped
from closedbook.corpora.manifest import Counts
from closedbook.tasks.spans import sentence_records
from closedbook.tasks.spans.sentences import Sentence, Span


class Years:
    """Tags every number; `special` says what it does at sentences with a certain word."""

    name, version = "years", "1"

    def __init__(self, **special):
        self._special = special
        self.calls = []

    def tag(self, sentences):
        self.calls.append(len(sentences))
        found = []
        for sentence in sentences:
            for word, action in self._special.items():
                if word in sentence:
                    found.append(action(sentence))
                    break
            else:
                starts = [i for i in range(len(sentence)) if sentence[i:].startswith("19")]
                found.append([(start, start + 4, "DATE") for start in starts])
        return found


def document(text: str, identity: str = "", **options) -> Document:
    return Document("a.jsonl", 7, identity, "Titel ä", text, len(text.encode()), **options)


def run(documents, tagger, limits=None):
    counts, skipped = Counts(), []
    found = annotate.records(documents, tagger, limits or Limits(), counts, skipped)
    return [sentence_records.decode(record) for record in found], counts, skipped


def test_sentences_with_spans_are_written_with_their_title(span_texts):
    text = "Äpfel kamen 1900 und 1950. Nichts hier. In 1960 🕯 it ended."
    found, counts, _ = run([document(text)], Years())
    assert found == [
        Sentence(
            "Äpfel kamen 1900 und 1950.",
            (Span(13, 17, "DATE"), Span(22, 26, "DATE")),
            "Titel ä",
        ),
        Sentence("In 1960 🕯 it ended.", (Span(3, 7, "DATE"),), "Titel ä"),
    ]
    assert span_texts(found[0]) == ["1900", "1950"]
    assert counts == Counts(
        documents=1,
        text_bytes=len(text.encode()),
        sentences=2,
        sentences_without_spans=1,
        spans=Counter(DATE=3),
    )


def test_sentences_out_of_the_limits_are_counted():
    text = "In 1900. So " + "x " * 100 + "1900. It was in 1950 here."
    found, counts, _ = run([document(text)], Years(), Limits(min_characters=10, max_characters=50))
    assert [sentence.text for sentence in found] == ["It was in 1950 here."]
    assert (counts.sentences_too_long, counts.sentences_too_short) == (1, 1)


def test_a_ten_mb_sentence_is_left_out_and_the_rest_kept():
    found, counts, _ = run([document("word " * 2_000_000 + "ends 1900. It was 1950.")], Years())
    assert [sentence.text for sentence in found] == ["It was 1950."]
    assert counts.sentences_too_long == 1


def _raise(error):
    raise error


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (lambda text: _raise(KeyError("weights")), "the tagger fails at it: KeyError: 'weights'"),
        (lambda text: _raise(ValueError("\ud800")), r"the tagger fails at it: ValueError: \ud800"),
        (lambda text: [(0, 1)], "not enough values to unpack"),
        (lambda text: [("a", 1, "X")], "the tagger fails at it: TypeError"),
        (lambda text: [(0, 1, None)], "the tagger fails at it: "),
        (lambda text: [(0, 1, "\udfff")], "the tagger fails at it: UnicodeEncodeError"),
        (lambda text: 5, "the tagger fails at it: TypeError"),
    ],
)
def test_a_document_at_which_the_tagger_fails_is_skipped_alone(action, reason):
    documents = [
        document("It was 1900."),
        document("Before 1910. It is bad in 1920.", "d2"),
        document("It was 1930."),
    ]
    found, counts, skipped = run(documents, Years(bad=action))
    assert [sentence.text for sentence in found] == ["It was 1900.", "It was 1930."]
    assert (counts.documents, counts.documents_skipped, counts.sentences) == (2, 1, 2)
    assert counts.spans == Counter(DATE=2)
    ((place, line, identity, given),) = skipped
    assert (place, line, identity) == ("a.jsonl", 7, "d2")
    assert reason in given
    given.encode()


def test_a_tagger_that_loses_sentences_is_no_tagger():
    class Loses(Years):
        def tag(self, sentences):
            return []

    found, counts, skipped = run([document("It was 1900.")], Loses())
    assert (found, counts.documents_skipped) == ([], 1)
    assert "it gave spans for 0 of 1 sentences" in skipped[0].reason


def test_documents_that_readers_skipped_are_passed_on():
    bad = Skipped("a.jsonl", 3, "", "not JSON")
    found, counts, skipped = run([bad, document("It was 1900.")], Years())
    assert (len(found), counts.documents_skipped, skipped) == (1, 1, [bad])


def test_a_tagger_sees_many_sentences_at_once_in_fixed_groups():
    tagger = Years()
    run([document("It was 1900. " * 300)] * 10, tagger)
    assert tagger.calls == [1200, 1200, 600]


@pytest.mark.parametrize(
    ("given", "kept", "dropped"),
    [
        ([(5, 8, "B"), (0, 4, "A")], [(0, 4, "A"), (5, 8, "B")], {}),
        ([(0, 4, "A"), (2, 6, "B"), (4, 5, "C")], [(0, 4, "A"), (4, 5, "C")], {"overlapping": 1}),
        ([(0, 2, "A"), (0, 4, "B")], [(0, 4, "B")], {"overlapping": 1}),
        ([(0, 4, "A"), (0, 4, "B")], [(0, 4, "A")], {"overlapping": 1}),
        ([(-1, 2, "A"), (3, 11, "B"), (20, 21, "C")], [], {"outside": 3}),
        ([(2, 2, "A"), (5, 3, "B")], [], {"empty": 2}),
        ([(0, 10, "A")], [(0, 10, "A")], {}),
        ([], [], {}),
    ],
)
@pytest.mark.parametrize("text", ["0123456789", "äö🕯日é56789"])
def test_spans_that_cannot_be_kept_are_counted(text, given, kept, dropped):
    counted = Counter()
    found = spans.to_bytes(text, given, counted)
    encoded = text.encode()
    assert [(encoded[start:limit].decode(), label) for start, limit, label in found] == [
        (text[start:limit], label) for start, limit, label in kept
    ]
    assert counted == dropped
