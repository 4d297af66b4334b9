"""Sentences of a user's own text, of every kind that `closedbook ssm build` reads."""

import collections
import itertools
import logging
from collections.abc import Iterator

from closedbook.corpora import sentence_splitting, spans, units
from closedbook.corpora.annotate import Limits
from closedbook.corpora.documents import Skipped, Tally, read
from closedbook.corpora.sentence_splitting import split
from closedbook.corpora.taggers import loading
from closedbook.tasks.spans.sentences import Sentence, Span

_log = logging.getLogger(__name__)
_PART = 1 << 24  # bytes of text that are read as one part
_AT_ONCE = 1024  # sentences that a tagger sees together


class TextFiles:
    """The sentences of some text, in the order of the files; may be read again and again.

    What is left out is told once, however often it is read.

    Args:
        pattern: A file, a folder, a pattern in quotes, or "tfds:NAME/VERSION".
        tagger: What marks salient spans, as for `closedbook ssm build`; None for no spans.

    Raises:
        UserError: Nothing matches, or a file's format is not known.
    """

    def __init__(self, pattern: str, tagger: str | None) -> None:
        plan = units.plan([pattern], shard_bytes=_PART)
        self._parts = [part for unit in plan.units for part in unit.parts]
        self._name, self._tagger_name = pattern, tagger
        self._tagger = None if tagger is None else loading.load(tagger)
        self._size = max(1, sum(part.size for part in self._parts))
        self._tally = Tally()
        self._told: set[str] = set()

    @property
    def share(self) -> float:
        """How much of the text has been read, from 0 to 1."""
        return min(1.0, self._tally.nbytes / self._size)

    def sentences(self) -> Iterator[Sentence]:
        """All sentences; what cannot be read is passed by, with a message."""
        self._tally = Tally()
        texts = self._texts()
        seen = gaps = 0
        while group := list(itertools.islice(texts, _AT_ONCE)):
            if self._tagger is None:
                yield from (Sentence(text, ()) for text in group)
                continue
            for text, found in zip(group, self._tagger.tag(group), strict=True):
                inside = spans.to_bytes(text, found, collections.Counter())
                seen, gaps = seen + 1, gaps + len(inside)
                yield Sentence(text, tuple(Span(*each) for each in inside))
        if seen and not gaps:
            self._tell(
                f"{self._name}: the tagger {self._tagger_name} finds no name or date in any of "
                f"{seen:,} sentences, so that there is nothing to make gaps of; give another "
                "--tagger, or other text"
            )

    def _texts(self) -> Iterator[str]:
        longest, too_long = Limits().max_characters, 0
        for part in self._parts:
            for document in read(part, self._tally):
                if isinstance(document, Skipped):
                    place = f"{document.place}, line {document.line}" * (document.line > 0)
                    self._tell(f"{place or document.place}: {document.reason}; it is left out")
                    continue
                lines = sentence_splitting.paragraphs(document.text, wrapped=document.wrapped)
                for sentence in itertools.chain.from_iterable(map(split, lines)):
                    if len(sentence) <= longest:
                        yield sentence
                    else:
                        too_long += 1
        if too_long:
            self._tell(
                f"{self._name}: {too_long:,} sentences of more than {longest:,} characters are "
                "left out; a sentence ends with a full stop, a blank line, or a line of JSON"
            )

    def _tell(self, words: str) -> None:
        if words not in self._told:
            self._told.add(words)
            _log.warning("%s", words)
