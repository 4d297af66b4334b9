"""Folders whose tokenizer files disagree, or that add tokens: transformers' ids, or none."""

import dataclasses
import json
import logging
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from closedbook.checkpoints import Checkpoint, open_checkpoint
from closedbook.checkpoints.convert import Options, convert
from closedbook.checkpoints.huggingface.folders import write_huggingface
from closedbook.checkpoints.huggingface.tokenizer_choice import find_vocabulary
from closedbook.checkpoints.huggingface.tokenizer_files import write_tokenizer
from closedbook.checkpoints.vocabularies import open_vocabulary
from closedbook.errors import UserError
from closedbook.knowledge.loading import load_model
from closedbook.models import T5Config

TEXTS = (
    "a {b} < c\nd",
    "<extra_id_0> is {x}.",
    "def f(x): {\n  return x <= 3\n}",
    "who  wrote <sep> the river?",
    "{{}}<<㋐㋐ b",
)
CONFIG = T5Config(
    vocab_size=2176,
    emb_dim=16,
    num_heads=2,
    num_encoder_layers=1,
    num_decoder_layers=1,
    head_dim=4,
    mlp_dim=24,
)


@pytest.fixture(autouse=True)
def _cache(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOSEDBOOK_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def plain(vocabulary_file: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """spiece.model and the tokenizer.json that is made of it."""
    folder = tmp_path_factory.mktemp("plain")
    write_tokenizer(folder, vocabulary_file, 100)
    return folder


@pytest.fixture(scope="module")
def added(plain: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A T5's tokenizer with six added tokens, as transformers saves it, beside spiece.model."""
    transformers = pytest.importorskip("transformers", reason="extra 'test' is not installed")
    folder = tmp_path_factory.mktemp("added")
    tokenizer = transformers.T5Tokenizer.from_pretrained(plain)
    newline = transformers.AddedToken("\n", normalized=False)
    # Braces are pieces already; as added tokens they cut a text where they stand.
    tokenizer.add_tokens(["{", "}", "<", newline, "㋐"])
    tokenizer.add_tokens(["<sep>"], special_tokens=True)
    tokenizer.save_pretrained(folder)
    shutil.copyfile(plain / "spiece.model", folder / "spiece.model")
    return folder


@pytest.fixture
def folder(plain: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy of the plain folder to change."""
    return shutil.copytree(plain, tmp_path / "folder")


def _is_as_transformers_has_it(path: pathlib.Path, theirs: Any) -> None:
    ours = open_vocabulary(path)
    assert (ours.vocab_size, ours.eos_id) == (len(theirs), 1)
    for text in TEXTS:
        ids = theirs(text, add_special_tokens=False)["input_ids"]
        assert ours.encode(text) == ids
        assert ours.encode_batch([text]) == [ids]
        # Sentinels stay in our texts: they mark the parts of an answer.
        kept = [i for i in ids if theirs.convert_ids_to_tokens(i) != "<sep>"]
        assert ours.decode([*ids, 1, 5]) == theirs.decode(kept)


@pytest.mark.parametrize("both", [True, False])
def test_added_tokens_have_the_ids_and_texts_of_transformers(
    added: pathlib.Path, tmp_path: pathlib.Path, both: bool, caplog: pytest.LogCaptureFixture
) -> None:
    transformers = pytest.importorskip("transformers", reason="extra 'test' is not installed")
    folder = shutil.copytree(added, tmp_path / "hub")
    if not both:
        (folder / "spiece.model").unlink()
    with caplog.at_level(logging.INFO, logger="closedbook"):
        found, extra_ids = find_vocabulary(folder)
    assert (found, extra_ids) == (folder / "tokenizer.json", 0)
    assert ("is read, not spiece.model: they differ at id" in caplog.text) == both
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    assert theirs.convert_tokens_to_ids(["\n", "㋐", "<sep>"]) == [2100, 2101, 2102]
    _is_as_transformers_has_it(found, theirs)


def test_every_format_keeps_added_tokens(
    added: pathlib.Path, tmp_path: pathlib.Path, random_model: Callable[[T5Config], Checkpoint]
) -> None:
    transformers = pytest.importorskip("transformers", reason="extra 'test' is not installed")
    source = tmp_path / "source"
    source.mkdir()
    write_huggingface(source, random_model(CONFIG), CONFIG)
    shutil.copytree(added, source, dirs_exist_ok=True)
    theirs = transformers.AutoTokenizer.from_pretrained(added)
    for last, to in enumerate(("closedbook", "t5x", "huggingface")):
        source = convert(source, tmp_path / str(last), Options(to=to))
        vocabulary = open_checkpoint(source).vocabulary
        assert vocabulary is not None
        assert vocabulary.name == "tokenizer.json"
        _is_as_transformers_has_it(vocabulary, theirs)
    again = transformers.AutoTokenizer.from_pretrained(source)
    assert [again(text)["input_ids"] for text in TEXTS] == [
        theirs(text)["input_ids"] for text in TEXTS
    ]
    generation = transformers.GenerationConfig.from_pretrained(source)
    assert generation.decoder_start_token_id == 0


def test_an_embedding_may_have_more_rows_than_its_folders_vocabulary_has_ids(
    plain: pathlib.Path, tmp_path: pathlib.Path, random_model: Callable[[T5Config], Checkpoint]
) -> None:
    config = dataclasses.replace(CONFIG, vocab_size=4096)
    source = tmp_path / "source"
    source.mkdir()
    write_huggingface(source, random_model(config), config)
    shutil.copytree(plain, source, dirs_exist_ok=True)
    run = convert(source, tmp_path / "own", Options(to="closedbook"))
    back = convert(run, tmp_path / "back", Options(to="huggingface"))
    assert load_model(back).config.vocab_size == 4096
    # Of T5X's files nothing says that a vocabulary beside them is the model's.
    bare = convert(source, tmp_path / "t5x", Options(to="t5x"))
    (bare.parent / "model.json").unlink()
    with pytest.raises(UserError, match=r"has 2100 ids, .* has 4096 rows .* another model's"):
        load_model(bare)


def test_files_that_agree_give_sentencepiece_which_seqio_reads(folder: pathlib.Path) -> None:
    assert find_vocabulary(folder) == (folder / "spiece.model", 100)
    (folder / "tokenizer.json").unlink()
    assert find_vocabulary(folder) == (folder / "spiece.model", 100)


def _set(path: pathlib.Path, **fields: Any) -> None:
    """Sets fields of a JSON file, which need not be there."""
    data = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps(data | fields), encoding="utf-8")


def _edit(change: Callable[[dict[str, Any]], object]) -> Callable[[pathlib.Path], None]:
    def edit(folder: pathlib.Path) -> None:
        path = folder / "tokenizer.json"
        data = json.loads(path.read_text(encoding="utf-8"))
        change(data)
        path.write_text(json.dumps(data), encoding="utf-8")

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_edit(lambda data: data["model"]["vocab"][50].__setitem__(1, -1.0)), "at id 50"),
        (_edit(lambda data: data["model"]["vocab"][50].__setitem__(0, "zzz")), "id 50, 'zzz' and"),
        (_edit(lambda data: data.update(normalizer=None)), "its precompiled_charsmap is another"),
        (
            _edit(lambda data: data.update(normalizer={"type": "Lowercase"})),
            "it does what SentencePiece cannot",
        ),
        (
            _edit(
                lambda data: data["added_tokens"].append(
                    {**data["added_tokens"][0], "id": 40, "content": data["model"]["vocab"][40][0]}
                )
            ),
            "at id 40",
        ),
    ],
)
def test_of_files_that_disagree_the_one_that_transformers_runs_is_read(
    folder: pathlib.Path,
    edit: Callable[[pathlib.Path], None],
    message: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    edit(folder)
    with caplog.at_level(logging.INFO, logger="closedbook"):
        assert find_vocabulary(folder) == (folder / "tokenizer.json", 0)
    assert message in caplog.text


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize(
    ("file", "fields", "message"),
    [
        ("added_tokens.json", {"{": 2100, "<pad>": 0}, r"adds '\{' as 2100, which"),
        (
            "tokenizer_config.json",
            {"added_tokens_decoder": {"2100": {"content": "\n"}}},
            r"adds '\\n' as 2100",
        ),
        ("special_tokens_map.json", {"additional_special_tokens": ["<sep>"]}, "adds '<sep>', "),
        (
            "added_tokens.json",
            {name: 2100 + i for i, name in enumerate("{}<>^~`")},
            r"'\^' as 2104 and 2 more, which",
        ),
    ],
)
def test_tokens_that_the_vocabulary_lacks_are_named(
    folder: pathlib.Path, file: str, fields: dict[str, Any], message: str, alone: bool
) -> None:
    if alone:
        (folder / "tokenizer.json").unlink()
    path = folder / file
    _set(path, **fields)
    with pytest.raises(UserError, match=message) as raised:
        find_vocabulary(folder)
    assert str(path) in str(raised.value)


def test_a_tokenizer_that_ends_texts_otherwise_is_refused(
    added: pathlib.Path, tmp_path: pathlib.Path, random_model: Callable[[T5Config], Checkpoint]
) -> None:
    write_huggingface(tmp_path, random_model(CONFIG), CONFIG)
    shutil.copytree(added, tmp_path, dirs_exist_ok=True)
    _set(tmp_path / "tokenizer_config.json", eos_token="<sep>")
    with pytest.raises(UserError, match="ends a text with id 2102; a T5 whose texts"):
        open_checkpoint(tmp_path)
