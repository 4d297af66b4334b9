"""Tokenizer files: the ids of SentencePiece through Hugging Face's files, both ways."""

import io
import json
import pathlib
import shutil
from typing import Any

import pytest
import sentencepiece

from closedbook.checkpoints.huggingface.tokenizer_choice import find_vocabulary
from closedbook.checkpoints.huggingface.tokenizer_files import write_tokenizer
from closedbook.errors import UserError
from closedbook.vocabulary.sentencepiece import Vocabulary

ODD = (
    "<extra_id_0> is <extra_id_1> of.",
    "born in <extra_id_0>.",
    "a  <extra_id_0> <extra_id_1>,  b",
    "<extra_id_99> end <extra_id_50>",
    "  double  blanks \t tab  \n line ",
    "Café résumé naïve Ünïcödé \u0130stanbul",
    "e\u0301 a\u0308 combining",
    "☃ snow ☃☃ x☃ 😀😀 hi",
    "日本 語 한국어 क्षि",
    "ﬁne ligature ½ ＡＢＣ",
    "nbsp\u00a0here zero\u200bwidth ▁ literal",
    " ",
    "",
)


@pytest.fixture(scope="module")
def texts(made_questions: list[dict[str, Any]]) -> list[str]:
    return [row["question"] for row in made_questions[:3000]] + list(ODD)


@pytest.fixture(scope="module")
def written(
    vocabulary_file: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("written")
    write_tokenizer(folder, vocabulary_file, 100)
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setenv("CLOSEDBOOK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "vocabularies"


def _trained(path: pathlib.Path, **options: Any) -> pathlib.Path:
    words = ("who", "wrote", "what", "river", "of", "the", "in", "mountain", "france", "peru")
    lines = [f"{a} {b} {c}" for a in words for b in words for c in words[:4]]
    written = io.BytesIO()
    ids: Any = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=written,
        hard_vocab_limit=False,
        minloglevel=2,
        **{"vocab_size": 60} | ids | options,
    )
    path.write_bytes(written.getvalue())
    return path


def _config(folder: pathlib.Path) -> dict[str, object]:
    return json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))


def test_transformers_gives_the_ids_of_sentencepiece(
    written: pathlib.Path, vocabulary_file: pathlib.Path, texts: list[str]
) -> None:
    transformers = pytest.importorskip("transformers", reason="extra 'test' is not installed")
    tokenizer = transformers.AutoTokenizer.from_pretrained(written)
    vocabulary = Vocabulary(vocabulary_file)
    assert len(tokenizer) == vocabulary.vocab_size == 2100
    ids = vocabulary.encode_batch(texts)
    found = tokenizer(texts)["input_ids"]
    assert [row[:-1] for row in found] == ids
    assert {row[-1] for row in found} == {1}
    assert tokenizer.batch_decode(ids[:500]) == [vocabulary.decode(row) for row in ids[:500]]
    names = ["<pad>", "</s>", "<unk>", "<extra_id_99>", "<extra_id_0>"]
    assert tokenizer.convert_tokens_to_ids(names) == [0, 1, 2, 2000, 2099]
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id) == (0, 1, 2)


def test_t5tokenizer_gives_the_same_ids_but_for_its_blank_after_a_sentinel(
    written: pathlib.Path, vocabulary_file: pathlib.Path, texts: list[str]
) -> None:
    transformers = pytest.importorskip("transformers", reason="extra 'test' is not installed")
    tokenizer = transformers.T5Tokenizer.from_pretrained(written)
    ids = Vocabulary(vocabulary_file).encode_batch(texts)
    found = [row[:-1] for row in tokenizer(texts)["input_ids"]]
    differ = [text for text, a, b in zip(texts, ids, found, strict=True) if a != b]
    assert differ == ["born in <extra_id_0>.", "a  <extra_id_0> <extra_id_1>,  b"]


def test_the_pieces_and_the_character_map_are_those_of_the_published_file(
    shared: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    write_tokenizer(tmp_path, shared / "data/vocab/t5_tokenizer_base.model", 100)
    ours = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    published = shared / "data/vocab/t5-small-tokenizer.json"
    theirs = json.loads(published.read_text(encoding="utf-8"))
    assert ours["model"]["vocab"] == theirs["model"]["vocab"]
    assert ours["model"]["unk_id"] == theirs["model"]["unk_id"]
    assert ours["normalizer"]["normalizers"][0] == theirs["normalizer"]
    assert ours["post_processor"] == theirs["post_processor"]
    names = [
        [(t["id"], t["content"], t["special"]) for t in x["added_tokens"]] for x in (ours, theirs)
    ]
    assert names[0] == names[1]


@pytest.mark.parametrize("published", [False, True])
def test_a_tokenizer_json_alone_gives_the_ids_of_the_sentencepiece_file(
    tmp_path: pathlib.Path,
    cache: pathlib.Path,
    request: pytest.FixtureRequest,
    published: bool,
    texts: list[str],
) -> None:
    if published:
        files = request.getfixturevalue("shared") / "data" / "vocab"
        base, tokenizer = files / "t5_tokenizer_base.model", files / "t5-small-tokenizer.json"
    else:
        base = request.getfixturevalue("vocabulary_file")
        tokenizer = request.getfixturevalue("written") / "tokenizer.json"
    folder = tmp_path / "hub"
    folder.mkdir()
    assert find_vocabulary(folder) == (None, 100)
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    found, _ = find_vocabulary(folder)
    assert found is not None
    assert found.parent == cache
    assert [path.name for path in cache.iterdir()] == [found.name], "no partial file stays"
    ours, theirs = Vocabulary(found), Vocabulary(base)
    assert (ours.vocab_size, ours.extra_ids) == (theirs.vocab_size, 100)
    ids = theirs.encode_batch(texts)
    assert ours.encode_batch(texts) == ids
    assert [ours.decode(row) for row in ids] == [theirs.decode(row) for row in ids]
    changed = found.stat().st_mtime_ns
    assert find_vocabulary(folder) == (found, 100)
    assert found.stat().st_mtime_ns == changed
    shutil.copyfile(base, folder / "spiece.model")
    assert find_vocabulary(folder) == (folder / "spiece.model", 100)


@pytest.mark.parametrize("extra_ids", [0, 7, 100])
def test_a_vocabulary_of_ones_own_comes_back_out_of_the_json(
    tmp_path: pathlib.Path, extra_ids: int
) -> None:
    path = _trained(tmp_path / "own.model", byte_fallback=True, vocab_size=330)
    folder = tmp_path / "out"
    folder.mkdir()
    write_tokenizer(folder, path, extra_ids)
    assert (folder / "spiece.model").read_bytes() == path.read_bytes()
    assert _config(folder)["extra_ids"] == extra_ids
    (folder / "spiece.model").unlink()
    found, _ = find_vocabulary(folder)
    assert found is not None
    before, after = Vocabulary(path, extra_ids), Vocabulary(found, extra_ids)
    lines = ["who wrote  the river", "<extra_id_0> is in peru <extra_id_6>.", "né ☃ 日本"]
    assert before.vocab_size == after.vocab_size > 256 + extra_ids
    assert before.encode_batch(lines) == after.encode_batch(lines)
    transformers = pytest.importorskip("transformers", reason="extra 'test' is not installed")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    # With no sentinels in the vocabulary, their names are plain text to both.
    assert tokenizer(lines, add_special_tokens=False)["input_ids"] == before.encode_batch(lines)
    assert tokenizer.decode(before.encode("né ☃ 日本")) == before.decode(before.encode("né ☃ 日本"))


def test_mt5s_file_gives_the_ids_of_transformers(tmp_path: pathlib.Path) -> None:
    """As mT5's, it holds its sentinels, and spells unknown characters by their bytes."""
    transformers = pytest.importorskip("transformers", reason="extra 'test' is not installed")
    symbols = [f"▁<extra_id_{number}>" for number in reversed(range(100))]
    options: Any = {"user_defined_symbols": symbols, "byte_fallback": True, "vocab_size": 600}
    _trained(tmp_path / "spiece.model", **options)
    settings = {"tokenizer_class": "T5Tokenizer", "extra_ids": 0}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "config.json").write_text('{"model_type": "mt5"}')
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    found, extra_ids = find_vocabulary(tmp_path)
    assert found is not None
    ours = Vocabulary(found, extra_ids)
    assert (ours.vocab_size, extra_ids) == (len(theirs), 0)
    for text in (
        "who wrote  the river",
        "the <extra_id_0> in peru <extra_id_99>",
        " what mountain of france ",
        "whowrotethe",
    ):
        ids = theirs(text, add_special_tokens=False)["input_ids"]
        assert ours.encode(text) == ids
        assert ours.decode(ids) == theirs.decode(ids).replace("</s>", "")
    # Of what no piece spells, transformers 5 leaves the bytes out that mT5 was trained with.
    assert ours.decode(ours.encode("who ☃")) == "who ☃"
    assert theirs("who ☃")["input_ids"][-2:] == [2, 1]


def test_sentinels_that_the_file_holds_itself_are_not_added_twice(tmp_path: pathlib.Path) -> None:
    symbols = [f"▁<extra_id_{number}>" for number in reversed(range(5))]
    path = _trained(tmp_path / "own.model", user_defined_symbols=symbols)
    folder = tmp_path / "out"
    folder.mkdir()
    write_tokenizer(folder, path, 100)
    assert _config(folder)["extra_ids"] == 0
    data = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    assert len(data["model"]["vocab"]) == Vocabulary(path).vocab_size
    (folder / "spiece.model").unlink()
    found, _ = find_vocabulary(folder)
    assert found is not None
    text = "the <extra_id_0> river <extra_id_4>."
    assert Vocabulary(found).encode(text) == Vocabulary(path).encode(text)


def test_other_models_than_unigram_are_refused(tmp_path: pathlib.Path) -> None:
    path = _trained(tmp_path / "bpe.model", model_type="bpe")
    with pytest.raises(UserError, match=r"bpe\.model: its type is BPE.*unigram"):
        write_tokenizer(tmp_path, path, 100)
    assert not (tmp_path / "spiece.model").exists()
    (tmp_path / "text.model").write_text("not a model")
    for name in ("text.model", "absent.model"):
        with pytest.raises(UserError, match=name):
            write_tokenizer(tmp_path, tmp_path / name, 100)


VALID = {
    "added_tokens": [{"id": 0, "content": "<pad>", "special": True}],
    "normalizer": None,
    "pre_tokenizer": {"type": "Metaspace", "replacement": "▁"},
    "model": {"unk_id": 2, "vocab": [["<pad>", 0], ["</s>", 0], ["<unk>", 0], ["▁a", -1.5]]},
}


def _changed(key: str, value: object) -> str:
    data = json.loads(json.dumps(VALID))
    node = data
    *folders, last = key.split(".")
    for folder in folders:
        node = node[int(folder) if folder.isdigit() else folder]
    node[int(last) if last.isdigit() else last] = value
    return json.dumps(data)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("\xff", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "the file is \\[\\]"),
        ("{}", "model is None"),
        (_changed("model.type", "BPE"), "model.type is 'BPE'"),
        (_changed("model.vocab", {"a": 0}), "model.vocab is {'a': 0}"),
        (_changed("model.vocab", []), "model.vocab is"),
        (_changed("model.vocab.3", ["▁a", "-1.5"]), r"model.vocab\[3\] is"),
        (_changed("model.vocab.3", ["▁a", 10**400]), r"model.vocab\[3\] is"),
        (_changed("model.vocab.3", ["▁a", float("nan")]), r"model.vocab\[3\] is"),
        (_changed("model.vocab.3", ["▁a", True]), r"model.vocab\[3\] is"),
        (_changed("model.vocab.3", ["", -1]), r"model.vocab\[3\] is"),
        (
            _changed("model.vocab.3", ["<pad>", -1]),
            "model.vocab is '<pad>'; it stands there 2 times",
        ),
        (_changed("model.vocab.3", ["\udc00", -1]), r"model.vocab\[3\] is"),
        (_changed("model.unk_id", None), "model.unk_id is None"),
        (_changed("model.unk_id", 4), "model.unk_id is 4"),
        (_changed("added_tokens", "a"), "added_tokens is 'a'; it must be a list"),
        (_changed("added_tokens.0.id", 1), r"added_tokens\[0\].id is 1; that is the piece '</s>'"),
        (_changed("added_tokens.0.id", 5), r"added_tokens\[0\].id is 5; the next free id.* is 4"),
        (_changed("added_tokens.0.id", "0"), r"added_tokens\[0\].id is '0'"),
        (_changed("added_tokens.0.content", None), r"added_tokens\[0\].content is None"),
        (_changed("normalizer", {"type": "Lowercase"}), "normalizer.type is 'Lowercase'"),
        (
            _changed("normalizer", {"type": "Precompiled", "precompiled_charsmap": "%"}),
            "normalizer.precompiled_charsmap is",
        ),
        (
            _changed("normalizer", {"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
            "holds no valid SentencePiece model",
        ),
        (
            _changed("pre_tokenizer", {"type": "Sequence", "pretokenizers": [{"type": "Digits"}]}),
            r"pre_tokenizer.pretokenizers\[0\].type is 'Digits'",
        ),
        (_changed("pre_tokenizer", {"type": "Sequence"}), "pre_tokenizer.pretokenizers is None"),
    ],
)
def test_a_bad_tokenizer_json_is_refused_with_its_key(
    tmp_path: pathlib.Path, cache: pathlib.Path, content: str, message: str
) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content.encode("latin-1", "replace"))
    with pytest.raises(UserError, match=message) as raised:
        find_vocabulary(tmp_path)
    assert str(path) in str(raised.value)
    assert not cache.exists() or not list(cache.iterdir())
