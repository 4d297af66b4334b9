"""Sentences with salient spans: what `closedbook ssm build` writes and the SSM tasks read.

The schema is that of TFDS `salient_span_wikipedia/sentences`: text, title, and for every span its
start, limit and type, where start and limit count **bytes** of the UTF-8 text.
"""

import dataclasses
from typing import NamedTuple


class Span(NamedTuple):
    """A named entity, date or number of a sentence, by bytes of the UTF-8 text."""

    byte_start: int
    byte_limit: int  # exclusive
    label: str  # as the tagger names it, e.g. "DATE"


@dataclasses.dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, its salient spans in the order of the text, and its document's title."""

    text: str
    spans: tuple[Span, ...]
    title: str = ""
