"""A tagger's spans, which count characters, as spans that count bytes of the UTF-8 text."""

from collections import Counter
from collections.abc import Sequence

from closedbook.tasks.spans.sentences import Span


def to_bytes(
    text: str, given: Sequence[tuple[int, int, str]], dropped: Counter[str]
) -> Sequence[tuple[int, int, str]]:
    """The spans of a sentence by bytes, in the order of the text and apart from each other.

    Of spans that overlap, the one that starts first is kept; if they start together, the longer.

    Args:
        text: The sentence; no lone surrogates.
        given: (start, limit, label) each, in characters.
        dropped: Counts what could not be kept: "overlapping", "outside" the sentence, "empty".

    >>> to_bytes("Zürich, 1848", [(0, 6, "NAME")], Counter())
    [Span(byte_start=0, byte_limit=7, label='NAME')]
    """
    length = len(text)
    if text.isascii():
        end = 0
        for start, limit, _ in given:
            if start < end or limit <= start:
                break
            end = limit
        else:
            if end <= length:  # nothing to drop, and characters are bytes
                return given
    if len(given) > 1:
        given = sorted(given, key=lambda span: (span[0], -span[1]))
    spans = []
    end = end_byte = 0
    for start, limit, label in given:
        if start < 0 or limit > length:
            dropped["outside"] += 1
        elif start >= limit:
            dropped["empty"] += 1
        elif start < end:
            dropped["overlapping"] += 1
        else:
            start_byte = end_byte + len(text[end:start].encode())
            end_byte = start_byte + len(text[start:limit].encode())
            spans.append(Span(start_byte, end_byte, label))
            end = limit
    return spans
