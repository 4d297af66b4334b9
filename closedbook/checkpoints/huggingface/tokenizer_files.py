"""The tokenizer files of a Hugging Face folder, written out of a SentencePiece model."""

import json
import pathlib
import shutil
from typing import Any

from closedbook.checkpoints.huggingface import tokenizer_json
from closedbook.checkpoints.huggingface.tokenizer_choice import BYTES_CLASS, SENTENCEPIECE
from closedbook.checkpoints.vocabularies import copy_vocabulary, is_pipeline
from closedbook.vocabulary import sentencepiece, sentinel_number
from closedbook.vocabulary.pipelines import TOKENIZER_CONFIG, TOKENIZER_JSON
from closedbook.vocabulary.text_bytes import BYTES


def write_vocabulary(folder: pathlib.Path, vocabulary: pathlib.Path, extra_ids: int) -> None:
    """Writes the tokenizer of a vocabulary of any kind, as `transformers` loads it.

    Args:
        folder: An existing folder.
        vocabulary: A SentencePiece unigram model; or a tokenizer.json, which is copied; or
            "bytes".
        extra_ids: Sentinels after the pieces of a SentencePiece model.

    Raises:
        UserError: The file is neither a unigram model nor a tokenizer.json.
    """
    if str(vocabulary) == BYTES:
        names = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
        _write(folder / TOKENIZER_CONFIG, names | {"tokenizer_class": BYTES_CLASS})
    elif is_pipeline(vocabulary):
        copy_vocabulary(vocabulary, folder)
    else:
        write_tokenizer(folder, vocabulary, extra_ids)


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
    _write(folder / TOKENIZER_CONFIG, config)
    _write(folder / "special_tokens_map.json", special)


def _write(path: pathlib.Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
