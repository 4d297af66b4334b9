"""Byte-pair vocabularies give transformers' ids and texts."""

import json
import pathlib
import pickle
import random
import subprocess
import sys
import tarfile

import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from closedbook.errors import UserError
from closedbook.vocabulary.pipelines import PipelineVocabulary
from closedbook.vocabulary.protocol import AnyVocabulary

CORPUS = [
    "The capital of France is Paris, and the capital of Italy is Rome.",
    "In 1945 the war ended; in 1989 the wall fell. It's what they've said, isn't it?",
    "Marie Curie was born in Warsaw\nand  died in   Passy.\t(1867 to 1934)",
    "Beyoncé, Dvořák — and São Paulo; 北京 is the capital of 中国.",
] * 5
TEXTS = [
    *CORPUS[:4],
    "",
    " ",
    "  two blanks before, and after  ",
    "we'll   see\n\n\n  1234 5,678.90 ½ x² \r\n\ttab",
    "日本語 العربية \U0001f600 e\u0301 \u00a0 \u3000 \ufeff",
    "the end<|endoftext|>and <s> after </s> it",
]


def drawn_texts(count: int) -> list[str]:
    """Strings of all scripts, blanks and punctuation, drawn with a fixed seed."""
    draw = random.Random(0)
    words = [word for line in CORPUS[:4] for word in line.split()]
    odd = [
        *"  \n\t\r'0123456789.,-_<>|/",
        "'s",
        "'ll",
        "½",
        "é",
        "中",
        "\u00a0",
        "\U0001f469",
        "\0",
    ]

    def piece() -> str:
        kind = draw.random()
        if kind < 0.5:
            return draw.choice([" ", "", "  "]) + draw.choice(words)
        if kind < 0.9:
            return draw.choice(odd)
        point = draw.randrange(0x20, 0x110000 - 0x800)
        return chr(point if point < 0xD800 else point + 0x800)  # no half characters

    return ["".join(piece() for _ in range(draw.randrange(12))) for _ in range(count)]


EVERY = TEXTS + drawn_texts(2000)


def gpt2_pieces() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Pieces and merges learned as GPT-2's."""
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=500,
            initial_alphabet=alphabet,
            special_tokens=["<|endoftext|>"],
            show_progress=False,
        ),
    )
    model = json.loads(made.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


def llama_pipeline() -> tokenizers.Tokenizer:
    """A tokenizer in the form of Llama 2's: blanks in pieces, unknown characters as bytes."""
    made = tokenizers.Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    made.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=300, show_progress=False))
    model = json.loads(made.to_str())["model"]
    first = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces = first + sorted(model["vocab"], key=model["vocab"].__getitem__)
    made.model = models.BPE(
        vocab={piece: number for number, piece in enumerate(pieces)},
        merges=[tuple(pair) for pair in model["merges"]],
        byte_fallback=True,
        unk_token="<unk>",
        fuse_unk=True,
    )
    made.pre_tokenizer = None
    made.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    made.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    made.add_special_tokens(["<unk>", "<s>", "</s>"])
    return made


def smollm_pipeline() -> tokenizers.Tokenizer:
    """A tokenizer in the form of SmolLM2's: bytes as GPT-2's, each digit alone."""
    vocab, merges = gpt2_pieces()
    made = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=merges))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["<|endoftext|>"])
    return made


def write_json(path: pathlib.Path, data: object) -> None:
    path.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")


def write_gpt2(
    folder: pathlib.Path, vocab: dict[str, int], merges: list[tuple[str, str]]
) -> pathlib.Path:
    write_json(folder / "vocab.json", vocab)
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def gpt2(tmp_path: pathlib.Path) -> pathlib.Path:
    return write_gpt2(tmp_path, *gpt2_pieces())


@pytest.fixture
def llama(tmp_path: pathlib.Path) -> pathlib.Path:
    llama_pipeline().save(str(tmp_path / "tokenizer.json"))
    ends = {"bos_token": {"content": "<s>", "__type": "AddedToken"}, "eos_token": "</s>"}
    write_json(tmp_path / "tokenizer_config.json", ends)
    return tmp_path


def assert_equal_ids(ours: PipelineVocabulary, theirs, texts: list[str]) -> None:
    expected = theirs(texts, add_special_tokens=False).input_ids
    assert [ours.encode(text) for text in texts] == expected
    assert ours.encode_batch(texts) == expected
    whole = [ids for ids in expected if not set(ids) & set(ours.eos_ids)]
    assert [ours.decode(row) for row in whole] == theirs.batch_decode(
        whole, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    assert ours.vocab_size == len(theirs)


def test_gpt2s_files_give_transformers_ids_and_texts(gpt2):
    transformers = pytest.importorskip("transformers", reason="transformers is an extra")
    ours: AnyVocabulary = PipelineVocabulary(gpt2)
    assert_equal_ids(ours, transformers.GPT2Tokenizer.from_pretrained(gpt2), EVERY)


def test_the_published_gpt2_gives_transformers_ids(shared, tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is an extra")
    archive = shared / "data/vocab.tar.xz"
    if not archive.is_file():
        pytest.skip(f"no {archive}")
    with tarfile.open(archive) as tar:
        for theirs, name in (
            ("encoder_canonical.json", "vocab.json"),
            ("bpe_vocab.bpe", "merges.txt"),
        ):
            member = tar.extractfile(f"vocab/gpt2_{theirs}")
            assert member is not None
            (tmp_path / name).write_bytes(member.read())
    ours = PipelineVocabulary(tmp_path)
    questions = (shared / "data/qa/NQ-open.dev.jsonl").read_text().splitlines()
    texts = EVERY + [json.loads(line)["question"] for line in questions[:1000]]
    assert_equal_ids(ours, transformers.GPT2Tokenizer.from_pretrained(tmp_path), texts)
    # As OpenAI's encoder gives them.
    assert ours.encode("Hello world, it's 2019!") == [15496, 995, 11, 340, 338, 13130, 0]
    assert (ours.vocab_size, ours.eos_id, ours.bos_id, ours.pad_id) == (50257, 50256, 50256, None)
    assert not ours.adds_bos


@pytest.mark.parametrize("pipeline", [llama_pipeline, smollm_pipeline])
def test_a_tokenizer_json_gives_transformers_ids_and_texts(pipeline, tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is an extra")
    pipeline().save(str(tmp_path / "tokenizer.json"))
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    assert_equal_ids(PipelineVocabulary(tmp_path), theirs, EVERY)


def test_places_lead_from_ids_to_characters(gpt2):
    vocabulary = PipelineVocabulary(gpt2)
    for text in TEXTS:
        places = vocabulary.places(text)
        assert len(places) == len(vocabulary.encode(text))
        assert "".join(text[a:b] for a, b in dict.fromkeys(places)) == text


def test_llamas_own_class_in_transformers_gives_the_same_ids(llama):
    transformers = pytest.importorskip("transformers", reason="transformers is an extra")
    theirs = transformers.LlamaTokenizer.from_pretrained(llama)
    # Before a text that begins with a blank, and after a special token, that class puts no blank.
    texts = [text for text in EVERY if text and not text[0].isspace() and "<" not in text]
    assert len(texts) > 900
    ids = theirs(texts, add_special_tokens=False).input_ids
    assert PipelineVocabulary(llama).encode_batch(texts) == ids


def test_each_digit_is_a_token_and_blanks_before_a_number_stay_together(tmp_path):
    smollm_pipeline().save(str(tmp_path / "tokenizer.json"))
    ours = PipelineVocabulary(tmp_path)
    split = [[ours.decode([token]) for token in ours.encode(text)] for text in ("1945", "in  19")]
    assert split[0] == ["1", "9", "4", "5"]
    assert split[1][-2:] == ["1", "9"]
    assert "".join(split[1]) == "in  19"


def test_beginning_end_and_padding_come_from_the_files_beside(llama):
    ours = PipelineVocabulary(llama / "tokenizer.json")
    assert (ours.bos_id, ours.eos_id, ours.eos_ids, ours.pad_id) == (1, 2, (2,), None)
    assert ours.adds_bos
    write_json(llama / "config.json", {"eos_token_id": 2, "pad_token_id": 0})
    write_json(llama / "generation_config.json", {"eos_token_id": [7, 2, 9]})
    write_json(
        llama / "tokenizer_config.json",
        {"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": False},
    )
    ours = PipelineVocabulary(llama)
    assert (ours.bos_id, ours.eos_id, ours.eos_ids, ours.pad_id) == (1, 2, (2, 7, 9), 0)
    assert not ours.adds_bos


def test_decoding_stops_at_any_end_and_leaves_special_and_unknown_ids_out(llama):
    write_json(llama / "generation_config.json", {"eos_token_id": [2, 0]})
    ours = PipelineVocabulary(llama)
    paris, rome = ours.encode("Paris"), ours.encode("Rome")
    rows = [
        [1, *paris, 2, *rome],
        [*paris, 0, *rome],
        [*paris, ours.vocab_size, 10**9],
        [],
        [2],
    ]
    assert [ours.decode(row) for row in rows] == ["Paris", "Paris", "Paris", "", ""]


def test_without_a_named_end_decoding_goes_on_and_asking_for_it_says_what_to_do(tmp_path):
    llama_pipeline().save(str(tmp_path / "tokenizer.json"))
    ours = PipelineVocabulary(tmp_path)
    assert ours.decode([*ours.encode("Paris"), 2, *ours.encode("Rome")]) == "Paris Rome"
    assert ours.eos_ids == ()
    with pytest.raises(UserError, match=r"tokenizer.json does not say which token ends a text"):
        ours.eos_id  # noqa: B018


def test_truncation_and_padding_of_the_file_are_not_used(tmp_path):
    made = llama_pipeline()
    made.enable_truncation(3)
    made.enable_padding(length=9)
    made.save(str(tmp_path / "tokenizer.json"))
    ours = PipelineVocabulary(tmp_path)
    assert len(ours.encode(CORPUS[0])) > 9
    assert len(ours.encode("a")) < 9


def test_equal_pipelines_have_the_same_ids_and_other_ends_another_hash(gpt2, tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    pieces = PipelineVocabulary(gpt2)
    pieces._loaded.tokenizer.save(str(whole / "tokenizer.json"))
    ours = PipelineVocabulary(whole)
    assert ours.same_ids(pieces)
    assert not ours.same_ids(object())
    before = ours.sha256
    write_json(whole / "tokenizer_config.json", {"eos_token": "<|endoftext|>"})
    assert PipelineVocabulary(whole).sha256 != before
    smollm_pipeline().save(str(whole / "tokenizer.json"))
    assert not PipelineVocabulary(whole).same_ids(pieces)


def test_pickles_as_its_path(gpt2):
    ours = PipelineVocabulary(gpt2)
    ids = ours.encode("Paris")
    packed = pickle.dumps(ours)
    assert len(packed) < 300
    assert pickle.loads(packed).encode("Paris") == ids


def test_is_opened_at_first_use_without_transformers_or_tensorflow(gpt2):
    program = (
        "import sys\n"
        "from closedbook.vocabulary.pipelines import PipelineVocabulary\n"
        f"ours = PipelineVocabulary({str(gpt2)!r})\n"
        "assert 'tokenizers' not in sys.modules\n"
        "assert ours.decode(ours.encode('Paris')) == 'Paris'\n"
        "assert not {'transformers', 'tensorflow', 'jax', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_files_that_are_no_vocabulary_are_the_users_error(gpt2, tmp_path):
    vocab, merges = gpt2_pieces()
    words = tokenizers.Tokenizer(models.WordLevel({"a": 0}, "a")).to_str()
    dropping = json.loads(llama_pipeline().to_str())
    dropping["model"]["dropout"] = 0.1
    other = {piece: number for piece, number in vocab.items() if piece != "".join(merges[0])}
    cases = [
        ({}, "has neither tokenizer.json nor vocab.json"),
        ({"tokenizer.json": "{"}, "tokenizer.json is not JSON"),
        ({"tokenizer.json": "[]"}, "is not a JSON object"),
        ({"tokenizer.json": '{"model": {"type": "None"}}'}, "is not a tokenizer.json"),
        ({"tokenizer.json": '{"version": "1.0"}'}, "merges.txt cannot be read"),
        ({"tokenizer.json": words}, "is a WordLevel tokenizer; those that can be read are of byte"),
        ({"tokenizer.json": json.dumps(dropping)}, "model.dropout is 0.1"),
        ({"vocab.json": json.dumps(vocab)}, "merges.txt cannot be read"),
        ({"vocab.json": '{"a": "b"}', "merges.txt": ""}, "neither a tokenizer.json nor a table"),
        ({"vocab.json": json.dumps(vocab), "merges.txt": "#version: 0.2\na b c\n"}, "line 2"),
        (
            {"vocab.json": json.dumps(other), "merges.txt": " ".join(merges[0])},
            "merges.txt are of different models",
        ),
    ]
    for number, (files, message) in enumerate(cases):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_text(content, encoding="utf-8")
        with pytest.raises(UserError, match=message):
            PipelineVocabulary(folder).encode("a")
    with pytest.raises(UserError, match="there is no vocabulary"):
        PipelineVocabulary(tmp_path / "absent").encode("a")


def test_a_special_token_that_the_vocabulary_lacks_is_the_users_error(gpt2):
    write_json(gpt2 / "tokenizer_config.json", {"eos_token": "<|im_end|>"})
    with pytest.raises(UserError, match=r"tokenizer_config.json: eos_token is '<\|im_end\|>'"):
        PipelineVocabulary(gpt2).decode([1])
    write_json(gpt2 / "tokenizer_config.json", {})
    write_json(gpt2 / "config.json", {"eos_token_id": True})
    with pytest.raises(UserError, match="eos_token_id is 'True'; it must be a token's id"):
        PipelineVocabulary(gpt2).decode([1])
