"""Where what can be made again is kept, also for a user without a home folder."""

import logging
import pathlib

import pytest

from closedbook import cache_folders
from closedbook.errors import UserError


@pytest.fixture
def homeless(monkeypatch):
    def refuse(path):
        if str(path).startswith("~"):
            raise RuntimeError("Could not determine home directory.")
        return path

    monkeypatch.delenv(cache_folders.VARIABLE, raising=False)
    monkeypatch.setattr(pathlib.Path, "expanduser", refuse)
    cache_folders._of_this_process.cache_clear()
    yield
    cache_folders._of_this_process.cache_clear()


def test_a_user_without_a_home_gets_a_folder_for_the_process_and_one_word(homeless, caplog):
    with caplog.at_level(logging.WARNING, logger="closedbook"):
        found = [cache_folders.cache_folder(inside="tokens") for _ in range(2)]
    assert found[0] == found[1]
    assert found[0].name == "tokens"
    assert found[0].parent.is_dir()
    assert len(caplog.records) == 1
    assert "set HOME" in caplog.text


def test_a_variable_names_the_folder(homeless, monkeypatch):
    monkeypatch.setenv(cache_folders.VARIABLE, "/data/cache")
    assert cache_folders.cache_folder(inside="tokens") == pathlib.Path("/data/cache")


def test_a_cache_lies_on_a_disk(monkeypatch):
    monkeypatch.setenv(cache_folders.VARIABLE, "gs://bucket/cache")
    words = "CLOSEDBOOK_CACHE is gs://bucket/cache; caches lie on a disk"
    with pytest.raises(UserError, match=words):
        cache_folders.cache_folder(inside="tokens")
    with pytest.raises(UserError, match="the cache folder is s3://bucket/a"):
        cache_folders.on_disk("s3://bucket/a", "the cache folder")
