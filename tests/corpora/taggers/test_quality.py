"""The built-in tagger against hand-written expectations for 300 sentences of WikiText-2."""

import importlib.util
import pathlib
import tarfile

import pytest

from closedbook.corpora.taggers import load
from closedbook.errors import UserError

SCRIPT = pathlib.Path(__file__).resolve().parents[3] / "benchmarks" / "tagger_quality.py"


@pytest.fixture(scope="module")
def quality():
    spec = importlib.util.spec_from_file_location("tagger_quality", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def wikitext(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    with tarfile.open(shared / "data" / "text.tar.xz") as archive:
        members = [
            archive.getmember(f"text/wikitext-2/{name}") for name in ("valid.txt", "test.txt")
        ]
        archive.extractall(folder, members=members, filter="data")
    return folder / "text" / "wikitext-2"


def test_nine_of_ten_dates_are_dates(quality, wikitext):
    expected = quality.expectations(wikitext)
    counts = quality.score(load("dates"), expected)
    assert len(expected) == 200
    assert counts["DATE"].expected >= 50
    for label, floor in (("DATE", 0.90), ("NUMBER", 0.90), ("NORP", 0.85), ("NAME", 0.80)):
        of_label = counts[label]
        assert of_label.right / of_label.found >= floor, label
        assert of_label.characters_right / of_label.characters_found >= floor, label
        assert of_label.right / of_label.expected >= floor - 0.1, label


def test_dates_of_sentences_that_were_read_with_the_rules_settled(quality, wikitext):
    expected = quality.expectations(wikitext, quality.DATED)
    counts = quality.score(load("dates"), expected)
    assert len(expected) == 100
    assert set(counts) == {"DATE", "NUMBER"}
    for of_label in counts.values():
        assert of_label.right / of_label.found >= 0.90
        assert of_label.characters_right / of_label.characters_found >= 0.90
        assert of_label.right / of_label.expected >= 0.85


def test_expectations_of_another_text_are_refused(quality, tmp_path):
    for name in quality.FILES:
        (tmp_path / name).write_text("another text . and more\n" * 5000)
    with pytest.raises(UserError, match="not the text of WikiText-2"):
        quality.expectations(tmp_path)
