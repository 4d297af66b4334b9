"""The vocabulary of a model as files: which there are, of which kind, and copies of them."""

import json
import os
import pathlib
from collections.abc import Iterable

from closedbook import whole_files
from closedbook.vocabulary import EXTRA_IDS, Vocabulary
from closedbook.vocabulary.byte_pairs import (
    MERGES_TXT,
    TOKENIZER_CONFIG,
    TOKENIZER_JSON,
    VOCAB_JSON,
    BytePairVocabulary,
)
from closedbook.vocabulary.protocol import AnyVocabulary

VOCABULARY_FILE = "vocabulary.model"  # a SentencePiece file beside `model.json`
_BYTE_PAIRS = (TOKENIZER_JSON, VOCAB_JSON)  # the first that is there is read
_ENDS = "generation_config.json"  # where ids that begin and end a text are written
_COMPANIONS = (MERGES_TXT, TOKENIZER_CONFIG, "special_tokens_map.json", "config.json", _ENDS)


def open_vocabulary(path: str | os.PathLike[str], extra_ids: int = EXTRA_IDS) -> AnyVocabulary:
    """The vocabulary of a file, of the kind that its name says.

    Args:
        path: A SentencePiece model, or a folder or JSON file of byte pairs.
        extra_ids: Sentinels after the pieces of a SentencePiece model.
    """
    if is_byte_pairs(path):
        return BytePairVocabulary(path)
    return Vocabulary(path, extra_ids)


def is_byte_pairs(path: str | os.PathLike[str]) -> bool:
    """Whether a vocabulary is one of byte pairs: a folder or a JSON file."""
    text = os.fspath(path)
    return "://" not in text and (text.endswith(".json") or pathlib.Path(text).is_dir())


def main_file(names: Iterable[str]) -> str | None:
    """The file of a run's folder that is its vocabulary, or None."""
    found = set(names)
    return next((name for name in (VOCABULARY_FILE, *_BYTE_PAIRS) if name in found), None)


def byte_pairs_in(folder: pathlib.Path) -> pathlib.Path | None:
    """The byte-pair vocabulary of a Hugging Face folder, or None."""
    paths = (folder / name for name in _BYTE_PAIRS)
    return next((path for path in paths if path.is_file()), None)


def all_files(names: Iterable[str]) -> list[str]:
    """Of files in a run's folder those that belong to its vocabulary."""
    return [name for name in names if name in (VOCABULARY_FILE, *_BYTE_PAIRS, *_COMPANIONS)]


def copy_vocabulary(path: str | os.PathLike[str], folder: pathlib.Path) -> None:
    """Copies a vocabulary into a run's folder, each file whole or not at all.

    Of byte pairs the ids that begin and end a text are written out, because they may come from
    files that say other things too.
    """
    if not is_byte_pairs(path):
        _copy(pathlib.Path(path), folder / VOCABULARY_FILE)
        return
    vocabulary = BytePairVocabulary(path)
    source = pathlib.Path(vocabulary.local_path)
    _copy(source, folder / source.name)
    for name in (MERGES_TXT, TOKENIZER_CONFIG, "special_tokens_map.json"):
        if (source.parent / name).is_file():
            _copy(source.parent / name, folder / name)
    ids = {
        "bos_token_id": vocabulary.bos_id,
        "eos_token_id": list(vocabulary.eos_ids) or None,
        "pad_token_id": vocabulary.pad_id,
    }
    whole_files.write_text(folder / _ENDS, json.dumps(ids, indent=2) + "\n")


def _copy(source: pathlib.Path, target: pathlib.Path) -> None:
    if not target.exists() or target.read_bytes() != source.read_bytes():
        whole_files.copy(source, target)
