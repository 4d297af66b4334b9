"""Which of a folder's tokenizer files gives the ids that the model was trained with.

A folder may hold a SentencePiece file, a tokenizer.json and lists of tokens that were added later.
Where they agree, SentencePiece's is taken, which SeqIO reads too. Where they do not, tokenizer.json
is what transformers runs.
"""

import hashlib
import json
import logging
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from closedbook import whole_files
from closedbook.cache_folders import cache_folder, writing
from closedbook.checkpoints.huggingface import tokenizer_json
from closedbook.checkpoints.huggingface.config import CONFIG_FILE, read_json
from closedbook.errors import UserError
from closedbook.vocabulary import EOS_ID, EXTRA_IDS, sentencepiece, sentinel, sentinel_number
from closedbook.vocabulary.pipelines import TOKENIZER_CONFIG, TOKENIZER_JSON, PipelineVocabulary
from closedbook.vocabulary.text_bytes import BYTES

SENTENCEPIECE = ("spiece.model", "sentencepiece.model", "vocabulary.model")
BYTES_CLASS = "ByT5Tokenizer"
_MOST_SENTINELS = 125  # of transformers' ByT5
_ADDED = "added_tokens.json"
_NORMAL, _BYTE = 1, 6  # ModelProto.SentencePiece.Type
_SHOWN = 5  # added tokens that a message names
_log = logging.getLogger(__name__)


def sentencepiece_file(folder: pathlib.Path) -> pathlib.Path | None:
    """The SentencePiece file of a Hugging Face folder, or None."""
    paths = (folder / name for name in SENTENCEPIECE)
    return next((path for path in paths if path.is_file()), None)


def find_vocabulary(folder: pathlib.Path) -> tuple[pathlib.Path | None, int]:
    """The file of a Hugging Face folder's vocabulary, and the sentinels after its pieces.

    A tokenizer.json without a SentencePiece file, and without tokens that SentencePiece could not
    find in text as transformers does, gets one that gives the same ids. It is kept in the cache
    folder ($CLOSEDBOOK_CACHE, or ~/.cache/closedbook) under the hash of tokenizer.json.

    Returns:
        The SentencePiece file, tokenizer.json where that says more or something else, or None if
        the folder has no tokenizer. Of ByT5, "bytes": it needs no file.

    Raises:
        UserError: A file is malformed or no Unigram tokenizer, or the folder adds tokens that
            neither file has; file and key are named.
    """
    own, source = sentencepiece_file(folder), folder / TOKENIZER_JSON
    if own is None and not source.is_file():
        return _without_files(folder)
    extra_ids = _extra_ids(folder)
    if not source.is_file():
        assert own is not None
        model, _ = sentencepiece.read_model(own)
        _check_added(folder, own, [row[0] for row in _table(model, extra_ids)])
        return own, extra_ids
    content, data = _read(source)
    _check_added(folder, source, tokenizer_json.names(data))
    if own is not None:
        if difference := _difference(own, extra_ids, data, source):
            _log.info("%s is read, not %s: %s", source, own.name, difference)
            return source, 0
        return own, extra_ids
    if not tokenizer_json.is_plain(data):
        return source, 0
    return _as_sentencepiece(content, data, source), extra_ids


def _without_files(folder: pathlib.Path) -> tuple[pathlib.Path | None, int]:
    """ByT5's vocabulary, if the folder names its tokenizer; else none."""
    names = [
        read_json(folder / file).get("tokenizer_class")
        for file in (TOKENIZER_CONFIG, CONFIG_FILE)
        if (folder / file).is_file()
    ]
    if BYTES_CLASS not in names:
        return None, _extra_ids(folder)
    # transformers names ids after those of bytes, which the published models never saw.
    sentinels = [sentinel(number) for number in range(_MOST_SENTINELS)]
    _check_added(folder, folder / BYTES_CLASS, ["<pad>", "</s>", "<unk>", *[""] * 256, *sentinels])
    return pathlib.Path(BYTES), 0


def check_ends(path: pathlib.Path) -> None:
    """Checks that a tokenizer.json ends texts as every T5 does, before its ids are used.

    Raises:
        UserError: It does not, or is no tokenizer.
    """
    vocabulary = PipelineVocabulary(path)
    if vocabulary.eos_id != EOS_ID:
        raise UserError(
            f"{path} ends a text with id {vocabulary.eos_id}; a T5 whose texts end with another id "
            f"than {EOS_ID} cannot be read"
        )


def _extra_ids(folder: pathlib.Path) -> int:
    """How many sentinels follow the vocabulary's pieces: as its settings say, else T5's 100."""
    path = folder / TOKENIZER_CONFIG
    value = read_json(path).get("extra_ids") if path.is_file() else None
    if value is None:
        return EXTRA_IDS
    if type(value) is not int or not 0 <= value <= 10_000:
        raise UserError(f"{path}: extra_ids is {value!r}; it must be a natural number")
    return value


def _read(source: pathlib.Path) -> tuple[bytes, Any]:
    try:
        content = source.read_bytes()
    except OSError as error:
        raise UserError(f"{source} cannot be read: {error.strerror}") from error
    try:
        return content, json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{source} is not JSON: {error}; download it again") from error


def _difference(own: pathlib.Path, extra_ids: int, data: Any, source: pathlib.Path) -> str:
    """What a tokenizer.json says otherwise than the SentencePiece file beside it, or ""."""
    try:
        theirs = tokenizer_json.to_model(data, str(source))
    except UserError:
        return "it does what SentencePiece cannot"
    ours, _ = sentencepiece.read_model(own)
    tables = (
        _table(ours, extra_ids),
        _table(theirs, len(tokenizer_json.names(data)) - len(theirs.pieces)),
    )
    for number, (one, other) in enumerate(zip(*tables, strict=False)):
        if one != other:
            return f"they differ at id {number}, {other[0]!r} and {one[0]!r}"
    lengths = [len(table) for table in tables]
    if lengths[0] != lengths[1]:
        return f"it has {lengths[1]} ids, not {lengths[0]}"
    for name in ("precompiled_charsmap", "add_dummy_prefix", "remove_extra_whitespaces"):
        if getattr(ours.normalizer_spec, name) != getattr(theirs.normalizer_spec, name):
            return f"its {name} is another"
    return ""


def _table(model: Any, extra_ids: int) -> list[tuple[str, float, int]]:
    """Name, score and type of each id of a ModelProto, sentinels after its pieces included.

    The bytes of SentencePiece's byte fallback count as plain pieces: transformers writes a
    tokenizer.json without that fallback, which makes characters unknown that the model knows.
    """
    rows = []
    for piece in model.pieces:
        which = sentinel_number(piece.piece)
        kind = _NORMAL if piece.type == _BYTE else piece.type
        rows.append((piece.piece, piece.score, kind) if which is None else _sentinel(which))
    if all(sentinel_number(name) is None for name, _, _ in rows):
        rows += map(_sentinel, reversed(range(extra_ids)))
    return rows


def _sentinel(number: int) -> tuple[str, float, int]:
    return sentinel(number), 0.0, 0


def _check_added(folder: pathlib.Path, main: pathlib.Path, names: list[str]) -> None:
    """Checks that tokens which files beside a vocabulary add are in it, each at its id.

    Raises:
        UserError: Some are not; they are named.
    """
    if not names:  # of a file that is no list of pieces, which its reader refuses
        return
    known = {name: number for number, name in enumerate(names)}
    for path, tokens in _added(folder):
        missing = [
            f"{name!r}" + (f" as {number}" if number is not None else "")
            for name, number in tokens
            if name not in known or number not in (None, known[name])
        ]
        if missing:
            more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
            raise UserError(
                f"{path} adds {', '.join(missing[:_SHOWN])}{more}, which {main.name} lacks; write "
                "all files of one tokenizer with transformers: "
                f"AutoTokenizer.from_pretrained({str(folder)!r}).save_pretrained({str(folder)!r})"
            )


def _added(folder: pathlib.Path) -> Iterator[tuple[pathlib.Path, list[tuple[str, int | None]]]]:
    """Files that list added tokens, and the tokens with their ids, so far as they say those."""
    if (path := folder / _ADDED).is_file():
        yield path, [(name, _id(number)) for name, number in read_json(path).items()]
    for name in (TOKENIZER_CONFIG, "special_tokens_map.json"):
        if not (path := folder / name).is_file():
            continue
        fields = read_json(path)
        decoder = fields.get("added_tokens_decoder")
        tokens: list[tuple[str, int | None]] = [
            (_content(token), _id(number))
            for number, token in (decoder.items() if isinstance(decoder, Mapping) else ())
        ]
        for key in ("additional_special_tokens", "extra_special_tokens"):
            named = fields.get(key)
            # Version 5 may map names to tokens.
            named = list(named.values()) if isinstance(named, Mapping) else named
            tokens += [(_content(token), None) for token in named or ()]
        yield path, [(name, number) for name, number in tokens if name]


def _content(token: object) -> str:
    token = token.get("content") if isinstance(token, Mapping) else token
    return token if isinstance(token, str) else ""


def _id(number: object) -> int:
    return int(str(number)) if str(number).isdecimal() and len(str(number)) < 10 else -1


def _as_sentencepiece(content: bytes, data: Any, source: pathlib.Path) -> pathlib.Path:
    """A SentencePiece file that gives the ids of a tokenizer.json, from the cache or made."""
    target = cache_folder() / "vocabularies" / f"{hashlib.sha256(content).hexdigest()}.model"
    if target.is_file():
        return target
    model = tokenizer_json.to_model(data, str(source))
    sentencepiece.tokenizer(model, source)  # refuses what SentencePiece does not load
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        whole_files.write_bytes(target, model.SerializeToString())
    return target
