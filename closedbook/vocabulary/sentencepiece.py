"""A SentencePiece vocabulary without TensorFlow, with the ids that SeqIO gives.

SeqIO appends its extra ids to the model itself, as user-defined pieces, and both its Python and
its TensorFlow tokenizer then run on that model. The same is done here, so that text with
sentinels in it gets SeqIO's ids too.
"""

import functools
import hashlib
import itertools
import os
import pathlib
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from closedbook import whole_files
from closedbook.cache_folders import cache_folder
from closedbook.errors import UserError
from closedbook.vocabulary.special import (
    EOS_ID,
    EXTRA_IDS,
    PAD_ID,
    WORD_START,
    sentinel,
    sentinel_number,
)

if TYPE_CHECKING:
    import sentencepiece

_USER_DEFINED = 4  # ModelProto.SentencePiece.USER_DEFINED
_DOWNLOAD_SECONDS = 60  # the public model is 0.8 MB


class Vocabulary:
    """Maps text to ids and back; equal to `seqio.SentencePieceVocabulary(path, extra_ids)`.

    Pickles as its path and number of extra ids; the model is loaded at first use.

    Args:
        path: A SentencePiece model. A `gs://` path of a public bucket is fetched once over HTTPS
            and kept in the cache folder of closedbook.
        extra_ids: Sentinels to append. `<extra_id_0>` is the last id of all, as in T5. A file
            that already holds sentinels (T5X's `cc_all.32000.100extra`) gets no more.
    """

    def __init__(self, path: str | os.PathLike, extra_ids: int = EXTRA_IDS) -> None:
        if extra_ids < 0:
            raise UserError(f"extra_ids is {extra_ids}; it must be 0 or more")
        self.path = os.fspath(path)
        self._asked_extra_ids = extra_ids

    def __repr__(self) -> str:
        return f"Vocabulary({self.path!r}, extra_ids={self._asked_extra_ids})"

    def __reduce__(self) -> tuple:
        return Vocabulary, (self.path, self._asked_extra_ids)

    @functools.cached_property
    def local_path(self) -> str:
        """The model file on this machine.

        Raises:
            UserError: There is no such file, or it could not be fetched.
        """
        return _fetched(self.path) if "://" in self.path else self.path

    @functools.cached_property
    def _loaded(self) -> "_Loaded":
        return _load(self.local_path, _stamp(self.local_path), self._asked_extra_ids)

    @property
    def extra_ids(self) -> int:
        """Sentinels appended to the file's pieces; 0 when the file holds its own."""
        return self._loaded.extra_ids

    @property
    def sha256(self) -> str:
        """The hash of the model file, without the appended sentinels."""
        return self._loaded.sha256

    @property
    def vocab_size(self) -> int:
        """The number of ids, extra ids included: 32,100 for T5."""
        return self._loaded.tokenizer.GetPieceSize()

    @property
    def eos_id(self) -> int:
        """Ends a text; T5's."""
        return EOS_ID

    @property
    def pad_id(self) -> int:
        """Fills up rows; T5's."""
        return PAD_ID

    def same_ids(self, other: object) -> bool:
        """Whether two vocabularies agree in pieces and scores; their files may still differ."""
        if not isinstance(other, Vocabulary) or self.vocab_size != other.vocab_size:
            return False
        ours, theirs = self._loaded.tokenizer, other._loaded.tokenizer

        def same(i: int) -> bool:
            a, b = ours.IdToPiece(i), theirs.IdToPiece(i)
            if (number := sentinel_number(a)) is not None:
                return number == sentinel_number(b)
            return a == b and ours.GetScore(i) == theirs.GetScore(i)

        return all(map(same, range(self.vocab_size)))

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, without EOS."""
        return self._loaded.tokenizer.EncodeAsIds(text)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, without EOS."""
        return self._loaded.tokenizer.EncodeAsIds(list(texts)) if texts else []

    def places(self, text: str) -> list[tuple[int, int]]:
        """Characters (start, limit) of `text` that each of its ids stands for.

        The mark of a word's beginning that SentencePiece puts before the text stands for none.
        """
        from sentencepiece import sentencepiece_pb2

        found = sentencepiece_pb2.SentencePieceText()  # type: ignore[attr-defined]  # generated
        found.ParseFromString(self._loaded.tokenizer.EncodeAsSerializedProto(text))
        ends = itertools.accumulate(len(c.encode()) for c in text)
        character = {0: 0} | {end: number for number, end in enumerate(ends, 1)}
        places: list[tuple[int, int]] = []
        limit = 0
        for piece in reversed(found.pieces):
            # Of the pieces of one character, such as its bytes, the last one alone has a length.
            own = piece.end > piece.begin or piece.piece == WORD_START
            limit = piece.end if own else max(limit, piece.end)
            places.append((character[piece.begin], character[limit]))
        return places[::-1]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids` up to the first EOS; ids past the vocabulary count as unknown."""
        tokenizer = self._loaded.tokenizer
        size, unknown = tokenizer.GetPieceSize(), tokenizer.unk_id()
        kept = []
        for token in ids:
            kept.append(int(token) if token < size else unknown)
            if token == EOS_ID:
                break
        return tokenizer.DecodeIds(kept)


def read_model(path: str | os.PathLike[str]) -> tuple[Any, bytes]:
    """A SentencePiece file as a ModelProto, and its bytes.

    Raises:
        UserError: It cannot be read, or is no SentencePiece model.
    """
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2 as model_pb2

    try:
        content = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise UserError(
            f"cannot read the vocabulary {path}: {error.strerror}; give the path of a "
            "SentencePiece model in VOCABULARY_FILE or CLOSEDBOOK_VOCABULARY"
        ) from error
    model = model_pb2.ModelProto()  # type: ignore[attr-defined]  # generated at import
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise UserError(f"{path} is not a SentencePiece model") from error
    if not model.pieces:
        raise UserError(f"{path} is not a SentencePiece model: it has no pieces")
    return model, content


def tokenizer(model: Any, path: str | os.PathLike[str]) -> "sentencepiece.SentencePieceProcessor":
    """SentencePiece's tokenizer of a ModelProto.

    Raises:
        UserError: SentencePiece refuses the model, for example two pieces of one name.
    """
    import sentencepiece

    made = sentencepiece.SentencePieceProcessor()
    try:
        made.LoadFromSerializedProto(model.SerializeToString())
    except RuntimeError as error:
        raise UserError(
            f"{path} holds no valid SentencePiece model ({' '.join(str(error).split())}); take "
            "the model's own SentencePiece file"
        ) from error
    return made


class _Loaded(NamedTuple):
    tokenizer: "sentencepiece.SentencePieceProcessor"  # with sentinels
    sha256: str  # of the file
    extra_ids: int  # sentinels that were appended


def _stamp(path: str) -> tuple[int, ...]:
    """What changes when a file is written again; empty where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_size, status.st_ino


@functools.lru_cache(maxsize=8)
def _load(path: str, stamp: tuple[int, ...], extra_ids: int) -> _Loaded:
    model, content = read_model(path)
    if any(sentinel_number(piece.piece) is not None for piece in model.pieces):
        extra_ids = 0
    for number in reversed(range(extra_ids)):
        model.pieces.add(piece=WORD_START + sentinel(number), score=0.0, type=_USER_DEFINED)
    made = tokenizer(model, path)
    if (made.pad_id(), made.eos_id()) != (PAD_ID, EOS_ID):
        raise UserError(
            f"{path} has padding {made.pad_id()} and end of sequence {made.eos_id()}; "
            "train the SentencePiece model with --pad_id=0 --eos_id=1 --unk_id=2"
        )
    return _Loaded(made, hashlib.sha256(content).hexdigest(), extra_ids)


def _fetched(url: str) -> str:
    """Downloads a public model once; returns the path of the copy."""
    name = hashlib.sha256(url.encode()).hexdigest()[:16] + ".model"
    target = cache_folder("CLOSEDBOOK_VOCABULARY_DIR", inside="vocabularies") / name
    if target.is_file():
        return str(target)
    scheme, _, rest = url.partition("://")
    address = f"https://storage.googleapis.com/{rest}" if scheme == "gs" else url
    try:
        with urllib.request.urlopen(address, timeout=_DOWNLOAD_SECONDS) as answer:
            content = answer.read()
    except (urllib.error.URLError, ValueError, OSError) as error:
        raise UserError(
            f"cannot fetch the vocabulary {url} ({error}); copy the file to this machine and give "
            "its path in VOCABULARY_FILE or CLOSEDBOOK_VOCABULARY"
        ) from error
    target.parent.mkdir(parents=True, exist_ok=True)
    whole_files.write_bytes(target, content)
    return str(target)
