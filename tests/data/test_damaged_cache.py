"""A token cache with damaged files is told, and built again."""

import json
import logging

import pytest

from closedbook.data import cache_lookup
from closedbook.data.cache import BrokenCacheError, TokenCache
from closedbook.errors import UserError
from closedbook.tasks import own_files

pytestmark = pytest.mark.filterwarnings("ignore")  # TensorFlow's own, at import
FILES = ["inputs.tokens", "targets.tokens", "targets.offsets", "examples.jsonl", "manifest.json"]


@pytest.fixture
def made(vocabulary, tmp_path):
    """Opens a cache of one question; says where it lies."""
    path = tmp_path / "own.jsonl"
    path.write_text('{"question": "who was it?", "answer": "me"}\n')
    own_files.qa_from_files({"own_damaged": {"train": path}})

    def opened():
        given = {"vocabulary": vocabulary, "cache_dir": tmp_path / "caches"}
        return cache_lookup.token_cache("own_damaged", "train", **given)

    return opened


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", FILES)
def test_a_byte_of_any_file_is_found_told_and_mended(name, made, vocabulary, caplog):
    folder = made().folder
    _flip(folder / name)
    with pytest.raises(BrokenCacheError, match=rf"{folder} is damaged: {name} "):
        TokenCache(folder)
    with caplog.at_level(logging.WARNING, "closedbook"):
        again = made()
    [line] = [each for each in caplog.messages if "token cache" in each]
    assert line.startswith(f"the token cache {folder} is damaged: {name} ")
    assert line.endswith("; it is built again")
    assert vocabulary.decode(again.inputs(0)) == "question: who was it?"


def test_a_damaged_cache_that_cannot_be_built_again_is_one_message(made, monkeypatch):
    folder = made().folder
    _flip(folder / "targets.tokens")

    def gone(*_):
        raise UserError("own.jsonl does not exist")

    monkeypatch.setattr(cache_lookup, "build", gone)
    message = r"targets\.tokens is not .*; it cannot be built again: own\.jsonl does not exist"
    with pytest.raises(UserError, match=message):
        made()


def test_caches_of_before_there_were_digests_are_read(made):
    path = made().folder / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["digests"], manifest["digest"]
    path.write_text(json.dumps(manifest))
    assert len(TokenCache(path.parent)) == 1
