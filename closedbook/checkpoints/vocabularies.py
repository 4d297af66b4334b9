"""The vocabulary of a model as files: which there are, of which kind, and copies of them."""

import json
import os
import pathlib
from collections.abc import Iterable

from closedbook import whole_files
from closedbook.errors import UserError
from closedbook.vocabulary import EXTRA_IDS, Vocabulary
from closedbook.vocabulary.pipelines import (
    MERGES_TXT,
    TOKENIZER_CONFIG,
    TOKENIZER_JSON,
    VOCAB_JSON,
    PipelineVocabulary,
)
from closedbook.vocabulary.protocol import AnyVocabulary
from closedbook.vocabulary.text_bytes import BYTES, ByteVocabulary

VOCABULARY_FILE = "vocabulary.model"  # a SentencePiece file beside `model.json`
_PIPELINES = (TOKENIZER_JSON, VOCAB_JSON)  # the first that is there is read
_ENDS = "generation_config.json"  # where ids that begin and end a text are written
_COMPANIONS = (MERGES_TXT, TOKENIZER_CONFIG, "special_tokens_map.json", "config.json", _ENDS)


def open_vocabulary(path: str | os.PathLike[str], extra_ids: int | None = None) -> AnyVocabulary:
    """The vocabulary of a file, of the kind that its name says.

    Args:
        path: A SentencePiece model, or a folder or JSON file of the tokenizers library, or
            "bytes" for ByT5's, which has no file.
        extra_ids: Sentinels after the pieces of a SentencePiece model (100 if None), or ids after
            those of bytes (none if None).
    """
    if os.fspath(path) == BYTES:
        return ByteVocabulary(extra_ids or 0)
    if is_pipeline(path):
        return PipelineVocabulary(path)
    return Vocabulary(path, EXTRA_IDS if extra_ids is None else extra_ids)


def is_pipeline(path: str | os.PathLike[str]) -> bool:
    """Whether the tokenizers library runs a vocabulary: a folder or a JSON file."""
    text = os.fspath(path)
    return "://" not in text and (text.endswith(".json") or pathlib.Path(text).is_dir())


def main_file(names: Iterable[str]) -> str | None:
    """The file of a run's folder that is its vocabulary, or None."""
    found = set(names)
    return next((name for name in (VOCABULARY_FILE, *_PIPELINES) if name in found), None)


def pipeline_in(folder: pathlib.Path) -> pathlib.Path | None:
    """The JSON vocabulary of a Hugging Face folder, or None."""
    paths = (folder / name for name in _PIPELINES)
    return next((path for path in paths if path.is_file()), None)


def all_files(names: Iterable[str]) -> list[str]:
    """Of files in a run's folder those that belong to its vocabulary."""
    return [name for name in names if name in (VOCABULARY_FILE, *_PIPELINES, *_COMPANIONS)]


def copy_vocabulary(path: str | os.PathLike[str], folder: pathlib.Path) -> None:
    """Copies a vocabulary into a run's folder, each file whole or not at all.

    Of a JSON file the ids that begin and end a text are written out, because they may come from
    files that say other things too. Bytes have no file.

    Raises:
        UserError: A copy cannot be written, or its source not be read; it is named.
    """
    if os.fspath(path) == BYTES:
        return
    if not is_pipeline(path):
        _copy(pathlib.Path(path), folder / VOCABULARY_FILE)
        return
    vocabulary = PipelineVocabulary(path)
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
    try:
        if not target.exists() or target.read_bytes() != source.read_bytes():
            whole_files.copy(source, target)
    except OSError as error:
        reason = error.strerror or str(error)
        if error.filename == os.fspath(source) and error.filename2 is None:
            raise UserError(f"the vocabulary {source} cannot be read: {reason}") from error
        raise UserError(
            f"{target}, the run's copy of its vocabulary, cannot be written: {reason}"
        ) from error
