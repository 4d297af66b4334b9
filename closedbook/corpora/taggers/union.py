"""A model's entities and the built-in tagger's dates, as Guu et al. (2020, section 3.4) have both.

Models of CoNLL-2003 know persons, places, organisations and the rest, but no dates.
"""

from collections.abc import Sequence

from closedbook.corpora.taggers import builtin
from closedbook.corpora.taggers.base import CharSpan, Tagger


class WithDates:
    """Another tagger's spans, and the built-in tagger's dates where they overlap none of them."""

    def __init__(self, tagger: Tagger):
        self._tagger = tagger
        self.name = f"{tagger.name}+dates"
        self.version = f"{tagger.version}; dates {builtin.BuiltinTagger().version}"

    def tag(self, sentences: Sequence[str]) -> list[list[CharSpan]]:
        """The spans of each sentence, in the order of the text."""
        found = self._tagger.tag(sentences)
        return [_merged(spans, text) for spans, text in zip(found, sentences, strict=True)]


def _merged(spans: list[CharSpan], text: str) -> list[CharSpan]:
    new = [
        date
        for date in builtin.dates_of(text)
        if not any(span.start < date.limit and date.start < span.limit for span in spans)
    ]
    return sorted(spans + new) if new else spans
