"""The tokenizer in a GGUF file as a `tokenizer.json`, and so as a vocabulary.

A GGUF file holds pieces and merges, and the name of what cuts the text before them
(`tokenizer.ggml.pre`). What the names mean stands in llama.cpp's src/llama-vocab.cpp.
"""

import hashlib
import json
from typing import TYPE_CHECKING, Any

from closedbook import whole_files
from closedbook.cache_folders import cache_folder, writing
from closedbook.checkpoints.files.gguf import GGUFFile
from closedbook.errors import UserError, unknown_name
from closedbook.vocabulary.pipelines import (
    TOKENIZER_CONFIG,
    TOKENIZER_JSON,
    PipelineVocabulary,
    as_pair,
)

if TYPE_CHECKING:
    import tokenizers

# A name in the file -> patterns that cut the text, each piece of it alone, before bytes are made
# of it; None: GPT-2's own pattern (the library's ByteLevel has it).
_DIGITS = r"\p{N}"
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_PRE: dict[str, tuple[str | None, ...]] = {
    "gpt-2": (None,),
    "smollm": (_DIGITS, None),
    "starcoder": (_DIGITS, None),
    "llama-bpe": (_LLAMA3,),
    "llama3": (_LLAMA3,),
    "llama-v3": (_LLAMA3,),
}
_WHOLE = {"llama-bpe", "llama3", "llama-v3"}  # a piece that is a token is taken without merges
_NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4  # llama_token_type
_ENDS = {"bos_token": "bos", "eos_token": "eos", "pad_token": "padding", "unk_token": "unknown"}


def vocabulary(file: GGUFFile) -> PipelineVocabulary:
    """The vocabulary of a file.

    Its tokenizer.json and tokenizer_config.json are kept in the cache folder ($CLOSEDBOOK_CACHE,
    or ~/.cache/closedbook) under the hash of their content.

    Raises:
        UserError: The file has no byte-pair tokenizer, a damaged one, or one whose way of
            cutting the text is not known.
    """
    pipeline = _pipeline(file).to_str()
    config = json.dumps(_config(file), ensure_ascii=False, indent=2) + "\n"
    digest = hashlib.sha256(f"{pipeline}\0{config}".encode()).hexdigest()
    folder = cache_folder() / "vocabularies" / digest
    content = {TOKENIZER_CONFIG: config, TOKENIZER_JSON: pipeline}
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in content.items():
            if not (folder / name).is_file():
                whole_files.write_text(folder / name, text)
    return PipelineVocabulary(folder)


def _pipeline(file: GGUFFile) -> "tokenizers.Tokenizer":
    import tokenizers
    from tokenizers import decoders, models

    place = f"{file.path}: tokenizer.ggml"
    kind = file.metadata.get("tokenizer.ggml.model")
    if kind != "gpt2":
        raise UserError(
            f"{place}.model is {str(kind)[:40]!r}; only byte-pair encoding of bytes, 'gpt2', can "
            "be read from a GGUF file, give the model's Hugging Face folder"
        )
    tokens = _texts(file, "tokens")
    if len(set(tokens)) != len(tokens):
        raise UserError(f"{place}.tokens has a token twice; the file is damaged")
    merges = []
    for line in _texts(file, "merges"):
        pair = as_pair(line)
        if pair is None:
            raise UserError(
                f"{place}.merges has {line[:80]!r}, not a pair of pieces; it is damaged"
            )
        merges.append(pair)
    types = file.metadata.get("tokenizer.ggml.token_type", [_NORMAL] * len(tokens))
    if not isinstance(types, list) or len(types) != len(tokens):
        raise UserError(f"{place}.token_type is not a list of {len(tokens)} numbers; it is damaged")
    try:
        model = models.BPE(
            vocab={token: number for number, token in enumerate(tokens)}, merges=merges
        )
    except Exception as error:  # the library raises nothing narrower
        detail = " ".join(str(error).split())[:200]
        raise UserError(f"{place}.merges does not fit its tokens: {detail}") from error
    model.ignore_merges = file.metadata.get("tokenizer.ggml.pre") in _WHOLE
    made = tokenizers.Tokenizer(model)
    made.pre_tokenizer = _cuts(file)
    made.decoder = decoders.ByteLevel()
    made.add_tokens(
        [
            tokenizers.AddedToken(token, special=kind == _CONTROL, normalized=False)
            for token, kind in zip(tokens, types, strict=True)
            if kind in (_CONTROL, _USER_DEFINED)
        ]
    )
    return made


def _cuts(file: GGUFFile) -> Any:
    from tokenizers import Regex, pre_tokenizers

    name = file.metadata.get("tokenizer.ggml.pre")
    if not isinstance(name, str) or name not in _PRE:
        raise UserError(
            f"{file.path}: tokenizer.ggml.pre: "
            f"{unknown_name('way of cutting a text', str(name)[:40], _PRE)}; give the model's "
            "Hugging Face folder"
        )
    steps = [
        pre_tokenizers.Split(Regex(pattern), behavior="isolated")
        for pattern in _PRE[name]
        if pattern is not None
    ]
    own = None in _PRE[name]
    return pre_tokenizers.Sequence(
        [*steps, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=own)]
    )


def _texts(file: GGUFFile, key: str) -> list[str]:
    value = file.metadata.get(f"tokenizer.ggml.{key}")
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise UserError(
            f"{file.path}: tokenizer.ggml.{key} is not a list of texts; it has no tokenizer"
        )
    return value


def _config(file: GGUFFile) -> dict[str, Any]:
    """What goes into tokenizer_config.json."""
    tokens = _texts(file, "tokens")
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "add_bos_token": file.metadata.get("tokenizer.ggml.add_bos_token") is True,
    }
    for ours, theirs in _ENDS.items():
        key = f"tokenizer.ggml.{theirs}_token_id"
        number = file.metadata.get(key)
        if number is None:
            continue
        if type(number) is not int or not 0 <= number < len(tokens):
            raise UserError(f"{file.path}: {key} is {number!r}; there are {len(tokens)} tokens")
        config[ours] = tokens[number]
    return config
