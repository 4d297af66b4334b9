"""Vocabularies by the tokenizers library: byte pairs of GPT-2 and Llama, and T5s with added tokens.

The pipeline of a `tokenizer.json` runs as the file describes it. (A class of transformers 5, such
as its GPT2Tokenizer, takes only pieces and merges out of the file and builds its own pipeline.)
"""

import functools
import hashlib
import json
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from closedbook.errors import UserError
from closedbook.vocabulary.special import sentinel_number

if TYPE_CHECKING:
    import tokenizers

TOKENIZER_JSON = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
VOCAB_JSON, MERGES_TXT = "vocab.json", "merges.txt"
# Where the ends of a sequence stand: names of tokens, then ids.
_NAMES = (TOKENIZER_CONFIG, "special_tokens_map.json")
_IDS = ("config.json", "generation_config.json")
_T5_END = "</s>"
_GPT2_END = "<|endoftext|>"  # GPT-2's only special token: beginning, end and unknown in one


class PipelineVocabulary:
    """Maps text to ids and back; equal to transformers' fast tokenizer of the same files.

    Pickles as its path; the files are read at first use.

    Args:
        path: A folder with `tokenizer.json` of byte pairs or of a T5's Unigram pieces, or with
            GPT-2's `vocab.json` and `merges.txt`; or one of these JSON files. Beginning, end of
            sequence and padding are taken from `tokenizer_config.json`,
            `special_tokens_map.json`, `config.json` and `generation_config.json` in the same
            folder, so far as they are there.
    """

    extra_ids = 0  # where there are sentinels, the file itself has them

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)

    def __repr__(self) -> str:
        return f"PipelineVocabulary({self.path!r})"

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return PipelineVocabulary, (self.path,)

    @functools.cached_property
    def local_path(self) -> str:
        """The JSON file on this machine.

        Raises:
            UserError: There is no such file.
        """
        return str(_find(self.path))

    @functools.cached_property
    def _loaded(self) -> "_Loaded":
        return _load(pathlib.Path(self.local_path))

    @functools.cached_property
    def _settings(self) -> "_Settings":
        return _Settings(pathlib.Path(self.local_path).parent, self._loaded)

    @functools.cached_property
    def sha256(self) -> str:
        """The hash of what ids depend on: the tokenizer's files and the ids that end a text."""
        ends = json.dumps(self.eos_ids)
        return hashlib.sha256(f"{self._loaded.sha256} {ends}".encode()).hexdigest()

    @functools.cached_property
    def vocab_size(self) -> int:
        """The number of ids, added tokens included: 50,257 for GPT-2. Embeddings may have more."""
        return max(self._loaded.tokenizer.get_vocab(with_added_tokens=True).values()) + 1

    @functools.cached_property
    def eos_ids(self) -> tuple[int, ...]:
        """Every id that ends an answer, the tokenizer's own first; empty if no file names one.

        Raises:
            UserError: A file names a token or an id that the vocabulary does not have.
        """
        return self._settings.ids("eos")

    @property
    def eos_id(self) -> int:
        """The end of sequence.

        Raises:
            UserError: No file names one.
        """
        if not self.eos_ids:
            raise UserError(
                f"{self.local_path} does not say which token ends a text: put a "
                f"{TOKENIZER_CONFIG} with eos_token beside it"
            )
        return self.eos_ids[0]

    @functools.cached_property
    def bos_id(self) -> int | None:
        """The beginning of sequence, or None if no file names one."""
        return next(iter(self._settings.ids("bos")), None)

    @functools.cached_property
    def pad_id(self) -> int | None:
        """Padding, or None if no file names it: GPT-2 has none, and its id 0 is "!"."""
        return next(iter(self._settings.ids("pad")), None)

    @functools.cached_property
    def adds_bos(self) -> bool:
        """Whether the model was trained with `bos_id` before each text, as Llama was."""
        stated = self._settings.adds_bos
        if stated is None:
            return self.bos_id in self._loaded.tokenizer.encode("").ids[:1]
        return stated and self.bos_id is not None

    def same_ids(self, other: object) -> bool:
        """Whether two vocabularies are one pipeline; their files may still differ."""
        if not isinstance(other, PipelineVocabulary):
            return False
        return self._loaded.tokenizer.to_str() == other._loaded.tokenizer.to_str()

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, without BOS and EOS; names of special tokens in it become their ids."""
        return self._loaded.tokenizer.encode(text, add_special_tokens=False).ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, without BOS and EOS."""
        rows = self._loaded.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [row.ids for row in rows]

    def places(self, text: str) -> list[tuple[int, int]]:
        """Characters (start, limit) of `text` that each of its ids stands for."""
        return self._loaded.tokenizer.encode(text, add_special_tokens=False).offsets

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids` up to the first EOS, without special tokens and unknown ids.

        Sentinels stay, which mark the parts of an answer of a T5.
        """
        size, kept = self.vocab_size, []
        for token in map(int, ids):
            if token in self.eos_ids:
                break
            if token < size and token not in self._silent:
                kept.append(token)
        return self._loaded.tokenizer.decode(kept, skip_special_tokens=False)

    @functools.cached_property
    def _silent(self) -> frozenset[int]:
        """Ids that stand for no text."""
        added = self._loaded.tokenizer.get_added_tokens_decoder().items()
        return frozenset(
            number
            for number, token in added
            if token.special and sentinel_number(token.content) is None
        )


class _Loaded(NamedTuple):
    tokenizer: "tokenizers.Tokenizer"
    sha256: str  # of the tokenizer's files
    default_end: int | None  # GPT-2's, which vocab.json and merges.txt imply, or T5's


def _find(path: str) -> pathlib.Path:
    place = pathlib.Path(path).expanduser()
    if not place.is_dir():
        if not place.is_file():
            raise UserError(f"there is no vocabulary {path}; give a folder with {TOKENIZER_JSON}")
        return place
    for name in (TOKENIZER_JSON, VOCAB_JSON):
        if (place / name).is_file():
            return place / name
    raise UserError(
        f"{path} has neither {TOKENIZER_JSON} nor {VOCAB_JSON} with {MERGES_TXT}; copy the "
        "tokenizer's files of the model there"
    )


def _load(path: pathlib.Path) -> _Loaded:
    content = _read(path)
    data = _object(path, content)
    if "model" in data and not isinstance(data["model"], int):
        of_json, unigram = _of_json(path, content)
        end = of_json.token_to_id(_T5_END) if unigram else None
        return _Loaded(of_json, hashlib.sha256(content).hexdigest(), end)
    merges = _read(path.with_name(MERGES_TXT))
    made = _of_pieces(path, data, merges)
    digest = hashlib.sha256(len(content).to_bytes(8, "little") + content + merges).hexdigest()
    return _Loaded(made, digest, made.token_to_id(_GPT2_END))


def _of_json(path: pathlib.Path, content: bytes) -> tuple["tokenizers.Tokenizer", bool]:
    """The pipeline of a tokenizer.json, and whether its pieces are a Unigram's, as T5's are."""
    import tokenizers

    try:
        made = tokenizers.Tokenizer.from_str(content.decode("utf-8"))
    except Exception as error:  # the library raises nothing narrower
        raise UserError(f"{path} is not a tokenizer.json: {_short(error)}") from error
    unigram = isinstance(made.model, tokenizers.models.Unigram)
    if not unigram and not isinstance(made.model, tokenizers.models.BPE):
        raise UserError(
            f"{path} is a {type(made.model).__name__} tokenizer; those that can be read are of "
            "byte pairs (GPT-2, Llama) and Unigram's (T5)"
        )
    if not unigram and made.model.dropout:
        raise UserError(
            f"{path}: model.dropout is {made.model.dropout}, with which ids are drawn by chance; "
            "set it to null"
        )
    made.no_truncation()
    made.no_padding()
    return made, unigram


def _of_pieces(
    path: pathlib.Path, pieces: Mapping[str, Any], merges: bytes
) -> "tokenizers.Tokenizer":
    """GPT-2's pipeline around the pieces of vocab.json."""
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers

    natural = all(type(number) is int and 0 <= number < 2**32 for number in pieces.values())
    if not natural or not pieces:
        raise UserError(f"{path} is neither a tokenizer.json nor a table of pieces and their ids")
    try:
        lines = merges.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path.with_name(MERGES_TXT)} is not UTF-8: {error}") from error
    pairs = []
    for number, line in enumerate(lines, 1):
        if line.startswith("#version") or not line.strip():
            continue
        pair = as_pair(line.removesuffix("\r"))
        if pair is None:
            raise UserError(
                f"{path.with_name(MERGES_TXT)}, line {number}: {line[:80]!r} is not a pair of "
                "pieces; the file is damaged, copy or download it again"
            )
        pairs.append(pair)
    try:
        made = tokenizers.Tokenizer(models.BPE(vocab=dict(pieces), merges=pairs))
    except Exception as error:  # the library raises nothing narrower
        raise UserError(
            f"{path} and {MERGES_TXT} are of different models: {_short(error)}"
        ) from error
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    if _GPT2_END in pieces:
        made.add_special_tokens([tokenizers.AddedToken(_GPT2_END, special=True, normalized=False)])
    return made


def as_pair(line: str) -> tuple[str, str] | None:
    """The two pieces of a merge, or None if the line is none."""
    left, _, right = line.partition(" ")
    return (left, right) if left and right and " " not in right else None


class _Settings:
    """What the files beside a tokenizer say of its special tokens."""

    def __init__(self, folder: pathlib.Path, loaded: _Loaded) -> None:
        self._loaded = loaded
        self._files = {
            name: _object(folder / name, _read(folder / name))
            for name in (*_NAMES, *_IDS)
            if (folder / name).is_file()
        }
        self._folder = folder

    @property
    def adds_bos(self) -> bool | None:
        value = self._files.get(TOKENIZER_CONFIG, {}).get("add_bos_token")
        return value if isinstance(value, bool) else None

    def ids(self, kind: str) -> tuple[int, ...]:
        """Ids of "bos", "eos" or "pad": the tokenizer's own, then others of the model's files."""
        found = []
        for name in _NAMES:
            token = self._files.get(name, {}).get(f"{kind}_token")
            token = token.get("content") if isinstance(token, dict) else token
            if token is not None:
                found.append(self._id_of(token, f"{self._folder / name}: {kind}_token"))
                break
        for name in _IDS:
            value = self._files.get(name, {}).get(f"{kind}_token_id")
            for each in value if isinstance(value, list) else [value]:
                if each is not None:
                    found.append(_natural(each, f"{self._folder / name}: {kind}_token_id"))
        if not found and kind != "pad" and self._loaded.default_end is not None:
            found.append(self._loaded.default_end)
        return tuple(dict.fromkeys(found))

    def _id_of(self, token: Any, place: str) -> int:
        number = self._loaded.tokenizer.token_to_id(token) if isinstance(token, str) else None
        if number is None:
            raise UserError(
                f"{place} is {str(token)[:80]!r}, which the tokenizer does not have; take both "
                "files of one model"
            )
        return number


def _natural(value: Any, place: str) -> int:
    if type(value) is not int or not 0 <= value < 2**31:
        raise UserError(f"{place} is {str(value)[:80]!r}; it must be a token's id")
    return value


def _read(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror}; copy the tokenizer's files there"
        ) from error


def _object(path: pathlib.Path, content: bytes) -> dict[str, Any]:
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON: {_short(error)}; download it again") from error
    if not isinstance(data, dict):
        raise UserError(f"{path} is not a JSON object; download it again")
    return data


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
