"""What a tagger is: sentences in, salient spans out."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class CharSpan(NamedTuple):
    """A salient span of a sentence, by **characters** (code points) of the text."""

    start: int
    limit: int  # exclusive
    label: str  # as the tagger names it, e.g. "DATE"


class Tagger(Protocol):
    """Marks named entities, dates and numbers in sentences.

    What a tagger says of a sentence may depend on the other sentences of the same call (the
    built-in one does not), so a caller that wants the same spans from every run has to cut its
    text into the same calls.
    """

    @property
    def name(self) -> str:
        """What `taggers.load` makes this tagger from, e.g. "spacy:en_core_web_sm"."""

    @property
    def version(self) -> str:
        """Changes whenever the same text could get other spans; goes into a corpus's manifest."""

    def tag(self, sentences: Sequence[str]) -> list[list[CharSpan]]:
        """The spans of each sentence, in the order of the text.

        Args:
            sentences: Any number of texts of any length; hostile ones too (NUL bytes, lone
                surrogates).

        Returns:
            One list per sentence; spans do not overlap and lie within the sentence.
        """
