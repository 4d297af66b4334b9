"""Texts cut to a size that a model stands, and offsets put back."""

import re
from collections.abc import Iterator

# Characters; a "sentence" longer than this is a table or a broken file, and models need memory, or
# refuse, by length.
MOST = 10_000
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def pieces(text: str) -> Iterator[tuple[int, str]]:
    """A text in pieces of at most `MOST` characters, each with its place in the text.

    Cut at the last white space of each piece if it has any. Lone surrogates, which models'
    tokenisers refuse, become U+FFFD: one character for one, so that offsets stay.
    """
    text = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
    start = 0
    while len(text) - start > MOST:
        space = text.rfind(" ", start + 1, start + MOST)
        limit = space if space > 0 else start + MOST
        yield start, text[start:limit]
        start = limit
    yield start, text[start:]
