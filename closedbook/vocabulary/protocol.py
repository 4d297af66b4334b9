"""What every vocabulary does, whatever its kind."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from closedbook.vocabulary.pipelines import PipelineVocabulary
    from closedbook.vocabulary.sentencepiece import Vocabulary


class AnyVocabulary(Protocol):
    """Maps text to ids and back, and says which file it is.

    `sentencepiece.Vocabulary` (T5), `pipelines.PipelineVocabulary` (GPT-2, Llama, T5s with added
    tokens) and `text_bytes.ByteVocabulary` (ByT5) are such. It pickles as its path; the file is
    read at first use.
    """

    path: str

    @property
    def local_path(self) -> str:
        """The file or folder on this machine."""

    @property
    def sha256(self) -> str:
        """A hash; two vocabularies of one hash give the same ids."""

    @property
    def vocab_size(self) -> int:
        """The number of ids."""

    @property
    def extra_ids(self) -> int:
        """Sentinels that were appended to the file's pieces; 0 where there are none."""

    @property
    def eos_id(self) -> int:
        """Ends a text."""

    @property
    def pad_id(self) -> int | None:
        """Fills up rows; None where every id is a piece."""

    def same_ids(self, other: object) -> bool:
        """Whether two vocabularies give the same ids, though their files may differ."""

    def encode(self, text: str) -> list[int]:
        """Ids of `text` alone, nothing put before or after it."""

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text alone."""

    def places(self, text: str) -> list[tuple[int, int]]:
        """Characters (start, limit) of `text` that each of its ids stands for.

        As many as `encode` gives ids. A blank before a word belongs to the id that holds it. Ids
        that share a character, such as its bytes, have the same place.
        """

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids` up to the first end of sequence."""


if TYPE_CHECKING:  # mypy holds both kinds to it

    def _kinds(t5: Vocabulary, others: PipelineVocabulary) -> tuple[AnyVocabulary, AnyVocabulary]:
        return t5, others
