"""Sentences with salient spans for the tests of masking."""

import pytest

from closedbook.tasks.spans.sentences import Sentence, Span


@pytest.fixture(scope="session")
def sentence():
    """Makes a sentence: `sentence(text, "a span", ("another", "LABEL"), title="...")`."""

    def make(text: str, *spans: str | tuple[str, str], title: str = "") -> Sentence:
        found = []
        for span in spans:
            name, label = (span, "X") if isinstance(span, str) else span
            start = len(text[: text.index(name)].encode())
            found.append(Span(start, start + len(name.encode()), label))
        return Sentence(text, tuple(sorted(found)), title)

    return make
