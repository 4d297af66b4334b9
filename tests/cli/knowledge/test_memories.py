"""`closedbook memories index | show | search`: what they print and write, and mistakes."""

import json
import pathlib
import shutil
from collections.abc import Callable

import numpy as np
import pytest

from closedbook.knowledge.memories.index import Index
from closedbook.tasks.atlas import corpus

_HOSTILE = "\x1b[31mred\x1b[0m"


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A file of 60 questions, the first with what could drive a terminal in it."""
    path = tmp_path_factory.mktemp("asked") / "asked.jsonl"
    rows = [row for row in corpus.questions("test") if "capital" in row["relation"]][:60]
    rows[0]["question"] = f"What is the capital of {_HOSTILE}?"
    lines = [json.dumps({"question": r["question"], "answer": r["answers"][0]}) for r in rows]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory, asked, exit_code):
    """An index of the packaged model on these questions."""
    out = tmp_path_factory.mktemp("memories") / "memories"
    assert not exit_code("memories", "index", "--corpus", asked, "--t", 60, "--out", out)
    return out


def test_show_marks_where_a_memory_answers(memories, folder, monkeypatch) -> None:
    monkeypatch.chdir(folder.parent)  # where the folder `memories` is the default
    index = Index.open("memories")
    cell = next(cell for cell in index.each_cell("decoder") if index.triggers(cell))
    code, printed, errors = memories("show", cell.name, "--triggers", 3, "--tokens", 4)
    assert (code, errors) == (0, "")
    lines = printed.splitlines()
    assert lines[0] == f"{cell.name}: memory {cell.number} of layer {cell.layer} of the decoder"
    assert "the part of the answer that the decoder has read" in printed
    shown = [line for line in lines if "«" in line]
    assert len(shown) == 3
    assert all("[atlas question: " in line and "»" in line for line in shown)
    (promotes,) = (line for line in lines if line.startswith("  promotes"))
    assert promotes.count("(+") == 4


def test_show_of_the_encoder_marks_the_whole_input(memories, folder) -> None:
    index = Index.open(folder)
    cell = next(cell for cell in index.each_cell("encoder") if len(index.triggers(cell)) == 60)
    code, printed, _ = memories("show", cell.name, "--triggers", 60, "--index", folder)
    assert code == 0
    assert "the whole input, of which the encoder reads both sides" in printed
    assert "an empty input (scaled)" in printed
    assert "\x1b" not in printed
    assert "red" in printed  # the text itself is there


def test_search_tells_how_many_chance_would_give(memories, folder) -> None:
    words = ("search", "Europe", "--index", folder, "--z", 2, "--most", 4)
    code, printed, errors = memories(*words)
    assert (code, errors) == (0, "")
    assert "of the 1,024 memories of the decoder promote Europe (pieces: 'Europe')" in printed
    assert "By chance it would be 23.3 (normally distributed votes)" in printed
    rows = [line for line in printed.splitlines() if line.startswith("decoder.")]
    assert len(rows) == 4
    code, printed, _ = memories(*words, "--stack", "encoder")
    assert code == 0
    assert any(line.startswith("encoder.") for line in printed.splitlines())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("show", "decoder.2.0"), "there is no layer 2; the decoder has 2 layers, 0 to 1"),
        (("show", "decoder.0.512"), "there is no cell 512"),
        (("show", "decodr.0.1"), "nearest: decoder"),
        (("show", "42"), "'42' names no cell"),
        (("show", "decoder.１.1"), "'decoder.１.1' names no cell"),
        (("search", "\udcff"), "is not UTF-8"),
        (("search", "Europe", "--z", "nan"), "z is nan"),
        (("show", "decoder.0.1", "--reading", "raww"), "nearest: raw"),
        (("show", "decoder.0.1", "--model", "closedbook://atlas_ssm"), "index of another model"),
        (("search", "Europe", "--stack", "encodr"), "nearest: encoder"),
    ],
)
def test_mistakes_have_one_message_each(memories, folder, words, message: str) -> None:
    code, printed, errors = memories(*words, "--index", folder)
    assert (code, printed) == (2, "")
    assert errors.count("error: ") == 1
    assert message in errors


def test_mistakes_of_index_write_nothing(memories, asked, tmp_path) -> None:
    for words, message in {
        ("--corpus", asked, "--t", 61): "has 60 texts, fewer than t = 61",
        ("--corpus", asked, "--t", 0): "t is 0",
        ("--stack", "encodr"): "nearest: encoder",
        ("--per", "word"): "valid: position, text",
        ("--style", "sentence"): "unknown --style 'sentence'",
        ("--style", "continuation"): "the encoder of this T5 1.0 would read nothing",
        ("--corpus", tmp_path / "no.jsonl"): "no.jsonl",
        ("--out", "."): "is or holds the working directory",
    }.items():
        code, printed, errors = memories("index", *words)
        assert (code, printed) == (2, "")
        assert message in errors
    assert not list(tmp_path.iterdir())
    code, _, errors = memories("show", "decoder.0.1")
    assert code == 2
    assert "make one with `closedbook memories index --out DIR`" in errors


def test_an_index_whose_model_is_gone_tells_how_to_name_it(memories, folder, tmp_path) -> None:
    copy = tmp_path / "copy"
    _copied_without_digests(folder, copy)
    manifest = copy / "manifest.json"
    manifest.write_text(manifest.read_text().replace("closedbook://atlas_qa", "/gone/model"))
    code, _, errors = memories("show", "decoder.0.1", "--index", copy)
    assert code == 2
    assert "no checkpoint at /gone/model" in errors
    assert "say with --model where it is now" in errors
    assert (
        memories("show", "decoder.0.1", "--index", copy, "--model", "closedbook://atlas_qa")[0] == 0
    )


def _copied_without_digests(folder: pathlib.Path, copy: pathlib.Path) -> None:
    """An index as earlier versions wrote it, whose damage only its content tells."""
    shutil.copytree(folder, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["digests"], manifest["digest"]
    (copy / "manifest.json").write_text(json.dumps(manifest, indent=1))


def _truncate(folder: pathlib.Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:-5])


def _of_version_9(folder: pathlib.Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 9'))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda f: _truncate(f, "decoder/positive.coefficient.npy"),
            "is damaged (decoder/positive.coefficient.npy holds no whole array)",
        ),
        (lambda f: _truncate(f, "texts/tokens.npy"), "texts/tokens.npy holds no whole array"),
        (lambda f: (f / "encoder" / "positive.text.npy").write_bytes(b""), "is damaged"),
        (
            lambda f: (f / "encoder" / "positive.text.npy").write_bytes(b"no array" * 40),
            "encoder/positive.text.npy holds no whole array",
        ),
        (
            lambda f: (f / "decoder" / "positive.active.npy").unlink(),
            "is damaged (decoder/positive.active.npy: No such file or directory)",
        ),
        (lambda f: (f / "manifest.json").write_text("{}"), "manifest.json does not say 'format'"),
        (lambda f: np.save(f / "decoder/positive.position.npy", np.zeros((2, 2))), "has shape"),
        (lambda f: np.save(f / "texts/facts.npy", np.zeros(1, np.int32)), "not as many as offsets"),
        (lambda f: (f / "manifest.json").unlink(), "there is no index of memories in"),
        (_of_version_9, "has format 9, this closedbook reads 1"),
    ],
)
def test_a_damaged_index_has_one_message(memories, folder, tmp_path, damage, message) -> None:
    copy = tmp_path / "copy"
    _copied_without_digests(folder, copy)
    damage(copy)
    for words in (("show", "decoder.0.1"), ("report", "--out", tmp_path / "out")):
        code, printed, errors = memories(*words, "--index", copy)
        assert (code, printed) == (2, "")
        assert errors.count("error: ") == 1
        assert message in errors
        assert "Traceback" not in errors
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def _changed(folder: pathlib.Path, name: str, change: Callable[[np.ndarray], object]) -> None:
    array = np.load(folder / name)
    change(array)
    np.save(folder / name, array)


def _reversed(array: np.ndarray) -> None:
    array[1:-1] = array[1:-1][::-1].copy()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("decoder/positive.text.npy", lambda a: a.__iadd__(1000), "there is no text 1"),
        ("decoder/positive.position.npy", lambda a: a.fill(60000), "has no position 60000"),
        ("texts/offsets.npy", _reversed, "goes from"),
        ("texts/tokens.npy", lambda a: a.fill(-7), "holds ids below 0"),
        ("texts/tokens.npy", lambda a: a.fill(1 << 30), "does not have; open it with its own"),
    ],
)
def test_an_index_that_holds_nonsense_has_one_message(
    memories, folder, tmp_path, name: str, change, message: str
) -> None:
    copy = tmp_path / "copy"
    _copied_without_digests(folder, copy)
    _changed(copy, name, change)
    code, _, errors = memories("show", "decoder.0.1", "--index", copy)
    assert code == 2
    assert errors.count("error: ") == 1
    assert message in errors
