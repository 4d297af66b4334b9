"""Documents of every format, whole and damaged."""

import gzip
import json
import random

import pyarrow
import pyarrow.parquet
import pytest
import zstandard

from closedbook.corpora import documents, units
from closedbook.corpora.documents import Document, Skipped
from closedbook.errors import UserError


def read(folder, *, shard_bytes: int = 1 << 24, **options) -> list[Document | Skipped]:
    plan = units.plan([str(folder)], shard_bytes=shard_bytes, **options)
    return [
        document
        for unit in plan.units
        for part in unit.parts
        for document in documents.read(part, documents.Tally())
    ]


def titles_and_texts(found):
    assert not [each for each in found if isinstance(each, Skipped)]
    return [(each.title, each.text) for each in found]


ROWS = [{"id": i, "title": f"Ä{i}", "text": f"Zürich {i}.\n" + "é" * i} for i in range(50)]
PAIRS = [(row["title"], row["text"]) for row in ROWS]


def lines(rows) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def test_json_lines_plain_and_compressed(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(lines(ROWS[:20]).removesuffix(b"\n"))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines(ROWS[20:30])) * 1)
    frames = zstandard.compress(lines(ROWS[30:40])) + zstandard.compress(lines(ROWS[40:]))
    (tmp_path / "c.json.zst").write_bytes(frames)
    assert titles_and_texts(read(tmp_path)) == PAIRS


def test_parquet_in_row_groups(tmp_path):
    table = pyarrow.Table.from_pylist([row | {"id": str(row["id"]), "url": "x"} for row in ROWS])
    pyarrow.parquet.write_table(table, tmp_path / "train-00000.parquet", row_group_size=7)
    assert titles_and_texts(read(tmp_path)) == PAIRS
    assert titles_and_texts(read(tmp_path, shard_bytes=600)) == PAIRS
    assert len(units.plan([str(tmp_path)], shard_bytes=600).units) > 3


@pytest.mark.parametrize("shard_bytes", [1, 13, 100, 577, 10_000])
def test_parts_cut_anywhere_share_the_lines_among_them(tmp_path, shard_bytes):
    (tmp_path / "a.jsonl").write_bytes(lines(ROWS))
    assert titles_and_texts(read(tmp_path, shard_bytes=shard_bytes)) == PAIRS


WIKITEXT = "".join(
    f" = Article {i} = \n \n Text of {i} . \n = = Part = = \n" + " More . \n" * (i % 7)
    for i in range(40)
)


@pytest.mark.parametrize("shard_bytes", [1, 13, 100, 577, 10_000])
def test_wikitext_has_a_document_an_article(tmp_path, shard_bytes):
    (tmp_path / "wiki.test.tokens").write_text(WIKITEXT)
    found = read(tmp_path, shard_bytes=shard_bytes)
    assert [document.title for document in found] == [f"Article {i}" for i in range(40)]
    assert [document.text.count("More") for document in found] == [i % 7 for i in range(40)]


@pytest.mark.parametrize("shard_bytes", [700, 5_000, 1 << 24])
def test_any_cut_of_plain_text_keeps_all_of_it(tmp_path, shard_bytes):
    words = random.Random(0)
    text = "".join(
        f"wörd{words.randrange(99)}{words.choice([' ', ' ', chr(10), chr(10) * 2])}"
        for _ in range(3000)
    )
    (tmp_path / "book.txt").write_text(text)
    found = read(tmp_path, shard_bytes=shard_bytes)
    assert "".join(document.text for document in found).split() == text.split()
    assert {document.title for document in found} == {"book"}
    assert all(document.wrapped for document in found)


def test_long_plain_text_is_cut_at_blank_lines_after_each_mb(tmp_path):
    (tmp_path / "long.txt").write_text(("word " * 20 + "\n\n") * 30_000)
    found = read(tmp_path)
    assert len(found) == 3
    assert all(document.nbytes < 1.1 * (1 << 20) for document in found)


def test_wiki_extractor_in_both_of_its_forms(tmp_path):
    (tmp_path / "AA").mkdir()
    (tmp_path / "AA" / "wiki_00").write_bytes(lines(ROWS[:3]))
    (tmp_path / "AA" / "wiki_01").write_text(
        '<doc id="12" url="https://x?curid=12" title="Bär">\nBär\n\nEin Bär lebt.\n\n</doc>\n'
        '<doc id="13" url="https://x?curid=13" title="Wolf">\nWolf\n\nEin Wolf.\n</doc>\n'
    )
    found = titles_and_texts(read(tmp_path))
    assert found[:3] == PAIRS[:3]
    assert [title for title, _ in found[3:]] == ["Bär", "Wolf"]
    assert found[3][1].split() == "Bär Ein Bär lebt.".split()


BAD_LINES = [
    (b'{"text": "broken', "not JSON"),
    (b'{"text": ""}', "its text is empty"),
    (b'{"text": " \\n "}', "its text is empty"),
    (b'{"id": "x7", "body": "a"}', "no text under the key 'text'; keys: id, body"),
    (b'{"text": null}', "no text under the key"),
    (b'["a"]', "not a JSON object"),
    (b"[" * 100_000, "not JSON"),
    (b"1" * 10_000, "not JSON"),
    (b'{"text": "a \\ud800 b"}', r"a lone surrogate, '\\ud800', at character 2"),
    (b'{"text": "a", "title": "\\udfff"}', "a lone surrogate"),
    (b'{"text": "a", "title": ["b"]}', "its title is not a text"),
    (b'{"text": "a\\u0000b"}', "a NUL character at 1"),
    (b'{"text": "\xff\xfe"}', "not UTF-8"),
    (b'{"\\ud800": "a"}', "no text under the key"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD_LINES, ids=[reason for _, reason in BAD_LINES])
def test_a_bad_line_is_skipped_and_named(tmp_path, bad, reason):
    good = lines(ROWS[:1])
    (tmp_path / "a.jsonl").write_bytes(good + bad + b"\n\n" + good)
    first, skipped, last = read(tmp_path)
    assert first[3:5] == last[3:5] == PAIRS[0]
    assert skipped.place.endswith("a.jsonl")
    assert skipped.line == 2
    assert reason.replace(r"\\", "\\") in skipped.reason
    assert skipped.id == ("x7" if b"x7" in bad else "")
    json.dumps(skipped).encode()


def test_a_line_of_more_than_100_mb_is_skipped_in_little_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "_LONGEST_LINE", 1000)
    line = json.dumps({"text": "x" * 5000}).encode()
    (tmp_path / "a.jsonl").write_bytes(line + b"\n" + lines(ROWS[:1]) + line)
    first, second, third = read(tmp_path)
    assert (first.line, first.reason) == (1, "a line of more than 0 MB")
    assert second.title == "Ä0"
    assert third.line == 3


def test_a_line_of_ten_mb_is_a_document_as_any_other(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "word " * 2_000_000}))
    (found,) = read(tmp_path)
    assert found.nbytes == 10_000_000


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_what_stands_before_the_end_of_a_broken_file_is_kept(tmp_path, suffix):
    rows = [{"id": i, "text": random.Random(i).randbytes(3000).hex()} for i in range(200)]
    pack = gzip.compress if suffix == "gz" else zstandard.compress
    packed = pack(lines(rows))
    (tmp_path / f"a.jsonl.{suffix}").write_bytes(packed[: len(packed) // 2])
    *found, last = read(tmp_path)
    assert [document.id for document in found] == [str(i) for i in range(len(found))]
    assert 10 < len(found) < 190
    assert last.line == len(found) + 1
    assert f"the {suffix} file is broken here" in last.reason


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.txt.gz", "a.jsonl.zst", "a.parquet"])
def test_a_file_that_is_not_what_its_name_says(tmp_path, name):
    (tmp_path / name).write_bytes(b"not at all\n" * 10)
    (found,) = read(tmp_path)
    assert isinstance(found, Skipped)
    assert "broken here" in found.reason


def test_a_parquet_file_without_text_and_rows_without(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"body": ["x"]}), tmp_path / "a.parquet")
    columns = {"id": ["p", "q", "r"], "text": ["one", None, "three"]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "b.parquet")
    first, one, missing, three = read(tmp_path)
    assert first.reason == "no column 'text'; columns: body"
    assert (one.text, three.text) == ("one", "three")
    assert (missing.id, missing.reason) == ("q", "its text is not a text")


def test_plain_text_that_is_not_utf8_or_empty(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"One.\nTwo \xff.\n")
    (tmp_path / "b.txt").write_bytes(b"")
    (tmp_path / "c.txt").write_bytes(b" \n\n")
    (tmp_path / "d.txt").write_bytes("\ufeffThree.".encode())
    bad, empty, blank, good = read(tmp_path)
    assert (bad.line, "not UTF-8" in bad.reason, "0xff" in bad.reason) == (2, True, True)
    assert (empty.reason, blank.reason) == ("its text is empty",) * 2
    assert good.text == "Three."


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("nothing/*.jsonl", "no file matches"),
        ("odd.bin", "1 files have names that say nothing of their format"),
    ],
)
def test_inputs_that_cannot_be(tmp_path, pattern, message):
    (tmp_path / "odd.bin").write_bytes(b"x")
    with pytest.raises(UserError, match=message):
        units.plan([str(tmp_path / pattern)], shard_bytes=100)
    assert units.plan([str(tmp_path / "odd.bin")], shard_bytes=100, input_format="text").units


def test_many_small_files_share_a_shard(tmp_path):
    for i in range(100):
        (tmp_path / f"{i:03}.txt").write_text(f"Text {i}. " * 10)
    plan = units.plan([str(tmp_path / "*.txt")], shard_bytes=2_000)
    assert 4 < len(plan.units) < 10
    assert sum(len(unit.parts) for unit in plan.units) == 100


def test_a_file_that_cannot_be_read_stops_the_build(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    (part,) = units.plan([str(tmp_path)], shard_bytes=100).units[0].parts
    (tmp_path / "a.txt").unlink()
    with pytest.raises(UserError, match="cannot be read: No such file"):
        list(documents.read(part, documents.Tally()))
