"""The built-in tagger as a whole: offsets, hostile text, the same spans everywhere."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closedbook.corpora.taggers import load

TAGGER = load("dates")
SIZE = 400_000

HOSTILE = {
    "digits": "1" * SIZE,
    "numbers with commas": "1," * (SIZE // 2),
    "tokenised numbers": "1 @,@ " * (SIZE // 6),
    "one capital word": "A" * SIZE,
    "capitals apart": "A " * (SIZE // 2),
    "initials": "A." * (SIZE // 2),
    "hyphens": "A-" * (SIZE // 2),
    "tokenised hyphens": "A @-@ " * (SIZE // 6),
    "apostrophes": "A'" * (SIZE // 2),
    "particles": "A of the " * (SIZE // 9),
    "particles alone": "A" + " of the" * (SIZE // 7),
    "months": "May " * (SIZE // 4),
    "days of months": "12 May " * (SIZE // 7),
    "ranges": "1 – " * (SIZE // 4),
    "years": "1990 to " * (SIZE // 8),
    "dollars": "$ " * (SIZE // 2),
    "marks and a capital": '"' * SIZE + "A",
    "marks and capitals": '" A' * (SIZE // 3),
    "white space": " " * SIZE,
    "accents": "E" + "\u0301" * SIZE,
    "centuries": "first and " * (SIZE // 10) + "century",
    "NUL": "\0A\x001990\0" * (SIZE // 8),
    "surrogates": "\ud800A 12 May \udfff" * (SIZE // 12),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_takes_linear_time(kind):
    text = HOSTILE[kind]
    start = time.process_time()
    (spans,) = TAGGER.tag([text])
    assert time.process_time() - start < 5  # quadratic time would be minutes
    assert all(0 <= a.start < a.limit <= len(text) for a in spans)


@settings(deadline=None, max_examples=200)
@given(
    st.text(
        st.sampled_from("12 905,.:;/–-'\"$%@MayJuneof the AÉŁ\u0301\0\ud800在km in\n"), max_size=60
    )
)
def test_spans_lie_in_the_text_in_order_and_apart(text):
    (spans,) = TAGGER.tag([text])
    ends = [0]
    for span in spans:
        assert ends[-1] <= span.start < span.limit <= len(text)
        assert text[span.start : span.limit].strip() == text[span.start : span.limit]
        ends.append(span.limit)


def test_offsets_count_characters_beyond_the_first_plane():
    text = "𝔘 😀 naïve: Émile Zola, 12 June 2007 😀"
    (spans,) = TAGGER.tag([text])
    assert [text[a.start : a.limit] for a in spans] == ["Émile Zola", "12 June 2007"]


def test_sentence_has_the_same_spans_whatever_stands_beside_it():
    sentences = ["Homer was there.", "They saw Homer in May.", "", "May was in Rome in 1990."]
    together = TAGGER.tag(sentences)
    assert together == [TAGGER.tag([text])[0] for text in sentences]
    assert TAGGER.tag(sentences[::-1])[::-1] == together
    assert TAGGER.tag([]) == []


def test_version_names_rules_and_tables():
    assert TAGGER.version == load("dates").version
    rules, _, digest = TAGGER.version.partition("+")
    assert rules.isdigit()
    assert len(digest) == 8
