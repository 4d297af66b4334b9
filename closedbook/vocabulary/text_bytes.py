"""ByT5's vocabulary: the bytes of UTF-8, and no file (Xue et al. 2021)."""

from collections.abc import Iterable, Sequence

from closedbook.errors import UserError
from closedbook.vocabulary.special import EOS_ID, PAD_ID

BYTES = "bytes"  # stands for the vocabulary where others have a path
_FIRST, _BYTES = 3, 256  # ids of padding, end of text and unknown come before those of bytes


class ByteVocabulary:
    """Maps text to the bytes of its UTF-8 and back; equal to `seqio.ByteVocabulary(extra_ids)`.

    Args:
        extra_ids: Ids after those of the bytes, for sentinels; no text has them.
    """

    pad_id, eos_id = PAD_ID, EOS_ID
    path = local_path = BYTES

    def __init__(self, extra_ids: int = 0) -> None:
        if extra_ids < 0:
            raise UserError(f"ByteVocabulary.extra_ids is {extra_ids}; it must be 0 or more")
        self.extra_ids = extra_ids

    def __repr__(self) -> str:
        return f"ByteVocabulary(extra_ids={self.extra_ids})"

    @property
    def sha256(self) -> str:
        """Stands for the hash of a file: all vocabularies of bytes have the same bytes."""
        return BYTES

    @property
    def vocab_size(self) -> int:
        """The number of ids, extra ids included."""
        return _FIRST + _BYTES + self.extra_ids

    def same_ids(self, other: object) -> bool:
        """Whether the other is one of bytes with as many ids."""
        return isinstance(other, ByteVocabulary) and other.extra_ids == self.extra_ids

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, without EOS.

        >>> ByteVocabulary().encode("aé")
        [100, 198, 172]
        """
        return [byte + _FIRST for byte in text.encode()]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, without EOS."""
        return [self.encode(text) for text in texts]

    def places(self, text: str) -> list[tuple[int, int]]:
        """Characters (start, limit) of `text` that each of its ids stands for."""
        return [(at, at + 1) for at, each in enumerate(text) for _ in each.encode()]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids` up to the first EOS; ids and bytes that are no text are left out."""
        found = bytearray()
        for token in ids:
            if token == EOS_ID:
                break
            if _FIRST <= token < _FIRST + _BYTES:
                found.append(int(token) - _FIRST)
        return found.decode(errors="ignore")
