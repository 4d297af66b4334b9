"""The tokenizer files of a Hugging Face folder: found, and written out of a SentencePiece model."""

import hashlib
import json
import pathlib
import shutil
from typing import Any

from closedbook import whole_files
from closedbook.cache_folders import cache_folder
from closedbook.checkpoints.huggingface import tokenizer_json
from closedbook.errors import UserError
from closedbook.vocabulary import sentencepiece, sentinel_number

TOKENIZER_JSON = "tokenizer.json"
SENTENCEPIECE = ("spiece.model", "sentencepiece.model", "vocabulary.model")


def find_vocabulary(folder: pathlib.Path) -> pathlib.Path | None:
    """The SentencePiece file of a Hugging Face folder.

    A folder with tokenizer.json alone gets one that gives the same ids, kept in the cache folder
    ($CLOSEDBOOK_CACHE, or ~/.cache/closedbook) under the hash of tokenizer.json.

    Returns:
        Its path, or None if the folder has no tokenizer (ByT5 has none).

    Raises:
        UserError: tokenizer.json is malformed or not a Unigram tokenizer; file and key are named.
    """
    for name in SENTENCEPIECE:
        if (folder / name).is_file():
            return folder / name
    source = folder / TOKENIZER_JSON
    if not source.is_file():
        return None
    try:
        content = source.read_bytes()
    except OSError as error:
        raise UserError(f"{source} cannot be read: {error.strerror}") from error
    target = cache_folder() / "vocabularies" / f"{hashlib.sha256(content).hexdigest()}.model"
    if target.is_file():
        return target
    converted = _converted(content, source)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        whole_files.write_bytes(target, converted)
    except OSError as error:
        raise UserError(
            f"{target} cannot be written: {error.strerror}; set CLOSEDBOOK_CACHE to another folder"
        ) from error
    return target


def _converted(content: bytes, source: pathlib.Path) -> bytes:
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{source} is not JSON: {error}; download it again") from error
    model = tokenizer_json.to_model(data, str(source))
    sentencepiece.tokenizer(model, source)  # refuses what SentencePiece does not load
    return model.SerializeToString()


def write_tokenizer(folder: pathlib.Path, vocabulary: pathlib.Path, extra_ids: int) -> None:
    """Writes spiece.model and the files out of which `transformers` builds its tokenizer.

    `AutoTokenizer` then gives the ids of SentencePiece and SeqIO. The class is the general
    PreTrainedTokenizerFast, which runs tokenizer.json as it is: T5Tokenizer of transformers 5
    takes only the pieces out of it and puts a blank after each sentinel.

    Args:
        folder: An existing folder.
        vocabulary: A SentencePiece unigram model.
        extra_ids: Sentinels after its pieces.

    Raises:
        UserError: The file is not a SentencePiece unigram model.
    """
    model, _ = sentencepiece.read_model(vocabulary)
    sentencepiece.tokenizer(model, vocabulary)  # refuses what SentencePiece does not load
    data = tokenizer_json.from_model(model, str(vocabulary), extra_ids)
    added = [token["content"] for token in data["added_tokens"]]
    names = {
        "eos_token": model.trainer_spec.eos_piece,
        "unk_token": model.trainer_spec.unk_piece,
        "pad_token": model.trainer_spec.pad_piece,
    }
    sentinels: list[str] = [name for name in reversed(added) if sentinel_number(name) is not None]
    own = any(sentinel_number(piece.piece) is not None for piece in model.pieces)
    special: dict[str, Any] = names | {"additional_special_tokens": sentinels}
    config = special | {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "extra_ids": 0 if own else extra_ids,
        "clean_up_tokenization_spaces": False,
        "added_tokens_decoder": {
            str(token["id"]): {key: value for key, value in token.items() if key != "id"}
            for token in data["added_tokens"]
        },
    }
    shutil.copyfile(vocabulary, folder / SENTENCEPIECE[0])
    _write(folder / TOKENIZER_JSON, data)
    _write(folder / "tokenizer_config.json", config)
    _write(folder / "special_tokens_map.json", special)


def _write(path: pathlib.Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
