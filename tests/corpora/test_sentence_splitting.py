"""Sentences: where they end, where they do not, and how long that takes."""

import time

import pytest

from closedbook.corpora.sentence_splitting import offsets, paragraphs, split

# A bar stands where one sentence ends and the next begins.
TEXTS = [
    "It rained.| It stopped!| Did it?| It did…| Good.",
    "Mr. and Mrs. Smith met Dr. J. R. Jones on St. Helena.| They left.",
    "He lived in the U.S. for years.| He moved to the U.S. Army base.| Then he left.",
    "She moved to the U.S.| In 1990 she returned.",
    "It was 3.5 million (approx. 4.2 per cent).| That is v. much.",
    "See e.g. Jones, i.e. the elder, cf. Smith et al. 1990.| All agree.",
    "Born ca. 1850 (d. 1900), he was no. 5 of vol. 3, pp. 4–5.| Nobody knew.",
    '"Where is it?" he asked.| "Here."| He sat down.',
    "“Is it?”| “It is.”| (So it is.)| It was.",
    "Acme Inc. was sold to Apple Inc.| The price was low.",
    "He waited ... and waited.| And so ...| The end came.",
    "At 5 p.m. on Jan. 3 it snowed.| At 6 p.m.| The sun set.",
    "Yahoo! is a company.| Is it?| 1990 was cold.",
    "Él nació en Ávila.| Él murió.| Ñandú corre.",
    "他说：“好。”|她走了。|真的吗？|对！",
    "यह एक वाक्य है।| यह दूसरा है।",
    "Visit www.example.com or a.b.c now.| Version 2.0.1 works.",
    "1. The first point.| It has two sentences.",
    # Words apart, as in WikiText.
    "It lives in the sea .| Homarus , or H. americanus , is larger .| It weighs 0 @.@ 7 kg .",
    'He said , " I will go . "| Then he left .| " Yes " , she said .',
    "He was <unk> .| <unk> was not .| Was it Mr. Brown ?| It was !",
]


@pytest.mark.parametrize("marked", TEXTS)
def test_sentences_end_where_a_reader_ends_them(marked):
    expected = [sentence.strip() for sentence in marked.split("|")]
    assert split(marked.replace("|", "")) == expected


@pytest.mark.parametrize("marked", TEXTS)
def test_offsets_cover_all_but_the_white_space_between(marked):
    text = f" \t{marked.replace('|', '')}\n"
    found = offsets(text)
    for start, limit in found:
        assert text[start:limit] == text[start:limit].strip() != ""
    between = [0, *(place for pair in found for place in pair), len(text)]
    assert all(
        not text[start:limit].strip()
        for start, limit in zip(between[::2], between[1::2], strict=True)
    )


def test_headings_are_dropped_and_lines_are_paragraphs():
    text = " = Title = \n\n One . \n = = Part = = \n Two . \n== Other ==\nThree\r\n\x85=\n x = y\n"
    assert [line.strip() for line in paragraphs(text)] == ["One .", "Two .", "Three", "=", "x = y"]


def test_wrapped_lines_are_joined_with_their_distances():
    text = "A line that\ngoes on.\r\n\n  Another\nparagraph."
    assert list(paragraphs(text, wrapped=True)) == ["A line that goes on.", "  Another paragraph."]


@pytest.mark.parametrize(
    "unit",
    (
        '._."_"_a. _A. _. " _ _= _.\t_x_。_.)_(_. (_\n_. \n_..... _A.B._\'_!?_é. _\u2028_-._@.@ '
    ).split("_"),
    ids=repr,
)
def test_time_is_linear_in_the_length(unit):
    def seconds(length: int) -> float:
        text = unit * (length // len(unit)) + "x"
        fastest = 1e9
        for _ in range(2):
            start = time.process_time()
            for paragraph in paragraphs(text):
                offsets(paragraph)
            fastest = min(fastest, time.process_time() - start)
        return fastest

    # Ten times the length; quadratic work would take a hundred times as long.
    assert seconds(300_000) < 30 * seconds(30_000) + 0.05
