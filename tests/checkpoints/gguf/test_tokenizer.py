"""The tokenizer in a GGUF file is the one that the file was made of."""

import json
import pathlib
import pickle

import pytest
import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

from closedbook.checkpoints.gguf import open_gguf
from closedbook.errors import UserError

TEXTS = [
    "In  1945 the war ended; it's 12,345.67 now",
    " two  blanks\n\n\n before   1 and ½ x²\t9\r\n",
    "I'LL we've you're THEY'D 日本語 3千 \U0001f600",
    "<|im_start|>user\nhello<|im_end|> and <extra> here",
    "",
]
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def split(pattern: str) -> list:
    return [
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]


# As the published tokenizer.json of each model family has them.
PUBLISHED = {
    "gpt-2": [pre_tokenizers.ByteLevel(add_prefix_space=False)],
    "smollm": [
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
    ],
    "llama-bpe": split(LLAMA3),
}


def published(pre: str) -> tokenizers.Tokenizer:
    """A tokenizer with merges over blanks, digits and marks, so that wrong cuts are seen."""
    made = tokenizers.Tokenizer(models.BPE())
    # Learned without cuts, so that every cut matters.
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(
        TEXTS * 3,
        trainers.BpeTrainer(
            vocab_size=400,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
            show_progress=False,
        ),
    )
    made.pre_tokenizer = pre_tokenizers.Sequence(PUBLISHED[pre])
    made.model.ignore_merges = pre == "llama-bpe"
    made.add_tokens(["<extra>"])
    return made


def metadata(made: tokenizers.Tokenizer) -> dict:
    """What llama.cpp's converter writes of a tokenizer."""
    model = json.loads(made.to_str())["model"]
    vocab = made.get_vocab(with_added_tokens=True)
    tokens = sorted(vocab, key=vocab.__getitem__)
    return {
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3, 3, 3, *[1] * (len(tokens) - 4), 4],
        "tokenizer.ggml.merges": [" ".join(pair) for pair in model["merges"]],
        "llama.vocab_size": None,
    }


@pytest.mark.parametrize("pre", PUBLISHED)
def test_ids_are_those_of_the_tokenizer_json_that_the_file_was_made_of(pre, llama) -> None:
    made = published(pre)
    values = metadata(made) | {"tokenizer.ggml.pre": pre}
    ours = open_gguf(llama.write(values)).vocabulary
    expected = [made.encode(text, add_special_tokens=False).ids for text in TEXTS]
    assert ours.encode_batch(TEXTS) == expected
    assert [ours.encode(text) for text in TEXTS] == expected
    assert [ours.decode(row) for row in expected[:3]] == TEXTS[:3]
    assert ours.vocab_size == made.get_vocab_size()
    others = {other for other in PUBLISHED if other != pre}
    # The texts tell the ways of cutting apart.
    for other in others:
        assert [published(other).encode(text).ids for text in TEXTS] != expected


def test_llama_3_takes_a_word_that_is_a_token_whole(llama) -> None:
    tokens = [*llama.tokens[:-1], "bab"]  # no merges lead to the last
    values = {"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.merges": ["a b"]}
    for pre, expected in (("llama-bpe", [9]), ("gpt-2", [3, 7])):
        ours = open_gguf(llama.write(values | {"tokenizer.ggml.pre": pre})).vocabulary
        assert ours.encode("bab") == expected


def test_ends_are_those_of_the_file(llama) -> None:
    ours = open_gguf(llama.write({"tokenizer.ggml.padding_token_id": 1})).vocabulary
    assert (ours.bos_id, ours.eos_ids, ours.pad_id, ours.adds_bos) == (0, (1,), 1, False)
    assert open_gguf(llama.write({"tokenizer.ggml.add_bos_token": True})).vocabulary.adds_bos
    assert ours.decode([7, 1, 7]) == "ab"


def test_the_vocabulary_lives_in_the_cache_and_outlives_the_file(llama) -> None:
    path: pathlib.Path = llama.write()
    ours = open_gguf(path).vocabulary
    assert pathlib.Path(ours.path).parent == llama.folder / "cache" / "vocabularies"
    path.unlink()
    assert pickle.loads(pickle.dumps(ours)).encode("ab  1") == [7, 8, 5]
    again = open_gguf(llama.write()).vocabulary
    assert again.path == ours.path
    other = open_gguf(llama.write({"tokenizer.ggml.pre": "gpt-2"})).vocabulary
    assert other.path != ours.path
    assert not other.same_ids(ours)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tokenizer.ggml.model": "llama"}, "tokenizer.ggml.model is 'llama'; only byte-pair"),
        ({"tokenizer.ggml.model": None}, "tokenizer.ggml.model is 'None'"),
        ({"tokenizer.ggml.pre": "smolm"}, "way of cutting a text 'smolm'; nearest: smollm"),
        ({"tokenizer.ggml.pre": None}, "unknown way of cutting a text 'None'"),
        ({"tokenizer.ggml.tokens": None}, "tokenizer.ggml.tokens is not a list of texts"),
        ({"tokenizer.ggml.tokens": ["a"] * 10}, "has a token twice"),
        ({"tokenizer.ggml.merges": ["a b c"]}, "merges has 'a b c', not a pair"),
        ({"tokenizer.ggml.merges": ["a 9"]}, "merges does not fit its tokens"),
        ({"tokenizer.ggml.merges": [1, 2]}, "tokenizer.ggml.merges is not a list of texts"),
        ({"tokenizer.ggml.token_type": [1]}, "token_type is not a list of 10 numbers"),
        ({"tokenizer.ggml.eos_token_id": 10}, "eos_token_id is 10; there are 10 tokens"),
    ],
    ids=str,
)
def test_a_tokenizer_that_cannot_be_read_is_the_users_error(llama, values, message) -> None:
    with pytest.raises(UserError, match=message) as caught:
        open_gguf(llama.write(values))
    assert "model.gguf" in str(caught.value)
