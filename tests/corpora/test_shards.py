"""Folders of sentences: written without TensorFlow, read by us and by TFDS."""

import json
import random
import subprocess
import sys

import pytest

from closedbook.corpora import records, shards
from closedbook.errors import UserError
from closedbook.tasks.spans import sentence_files, sentence_records
from closedbook.tasks.spans.sentences import Sentence, Span

SENTENCES = [
    Sentence("Zürich joined in 1351.", (Span(0, 7, "LOC"), Span(18, 22, "DATE")), "Zürich"),
    Sentence("Ångström died on 21 June 1874 🕯.", (Span(0, 10, "PER"),), ""),
    Sentence("Nothing here.", (), "No spans"),
    Sentence("Tea " * 3000 + "of 1900.", (Span(12003, 12007, "DATE"),), "Long"),
    *(
        Sentence(f"In {year} it rained.", (Span(3, 7, "DATE"),), "Rain")
        for year in range(1900, 2000)
    ),
]


@pytest.mark.parametrize("file_format", list(records.SUFFIXES))
def test_what_is_written_is_read_back_in_order(tmp_path, file_format):
    manifest = shards.write_sentences(
        tmp_path / "out", SENTENCES, format=file_format, shard_sentences=40, tagger="by hand"
    )
    assert list(sentence_files.read(tmp_path / "out")) == SENTENCES
    assert len(sentence_files.shard_paths(tmp_path / "out")) == 3
    assert manifest["spans"] == {"DATE": 102, "LOC": 1, "PER": 1}
    assert [shard["sentences"] for shard in manifest["shards"]] == [40, 40, 24]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.slow
def test_tfds_and_tensorflow_read_the_folders_as_they_stand(tmp_path):
    for file_format in records.SUFFIXES:
        folder = tmp_path / file_format
        shards.write_sentences(folder, SENTENCES, format=file_format, shard_sentences=40)
    # In a process of its own: TFDS brings TensorFlow, and its warnings.
    program = """
import json, pathlib, sys
import tensorflow as tf
import tensorflow_datasets as tfds

def plain(row):
    spans = row["spans"]
    return [row["text"].decode(), row["title"].decode(), *([int(i) for i in spans[key]] for key
        in ("start", "limit")), [label.decode() for label in spans["type"]]]

folder = pathlib.Path(sys.argv[1])
# TFDS has no tf.data reader for ArrayRecord, whoever wrote it: a data source it is.
arrays = tfds.builder_from_directory(folder / "array_record").as_data_source("train")
builder = tfds.builder_from_directory(folder / "tfrecord")
rows = tfds.as_numpy(builder.as_dataset("train"))
files = sorted(map(str, (folder / "tfrecord.gz").glob("salient_spans-*")))
features = builder.info.features
packed = [features.deserialize_example_np(record.numpy())
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP")]
print(builder.info.splits["train"].num_examples)
print(json.dumps([[plain(row) for row in rows] for rows in (arrays, rows, packed)]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    count, found = done.stdout.splitlines()
    assert int(count) == len(SENTENCES)
    expected = [
        [sentence.text, sentence.title]
        + [[span[part] for span in sentence.spans] for part in range(3)]
        for sentence in SENTENCES
    ]
    for rows in json.loads(found):
        assert sorted(rows) == sorted(expected)


def test_same_sentences_give_the_same_bytes(tmp_path):
    for file_format in records.SUFFIXES:
        digests = [
            shards.write_sentences(
                tmp_path / f"{file_format}{again}", SENTENCES, format=file_format
            )["shards"][0]["sha256"]
            for again in range(2)
        ]
        assert digests[0] == digests[1]


def test_checksum_agrees_with_a_bit_by_bit_one():
    def plain(data: bytes) -> int:
        state = 0xFFFFFFFF
        for byte in data:
            state ^= byte
            for _ in range(8):
                state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
        return state ^ 0xFFFFFFFF

    for length in (0, 1, 2, 3, 4, 5, 250, 4095, 4096, 4097, 4099, 9000):
        data = bytes(i * 7 + 3 & 255 for i in range(length))
        assert records.crc32c(data) == plain(data), length


def test_a_folder_that_exists_is_not_touched(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    for overwrite in (False, True):
        with pytest.raises(UserError, match="exists already"):
            shards.write_sentences(tmp_path / "out", SENTENCES, overwrite=overwrite)
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep"


def test_overwriting_replaces_a_folder_of_sentences(tmp_path):
    shards.write_sentences(tmp_path / "out", SENTENCES)
    shards.write_sentences(tmp_path / "out", SENTENCES[:1], overwrite=True)
    assert list(sentence_files.read(tmp_path / "out")) == SENTENCES[:1]


def test_a_failing_source_leaves_nothing(tmp_path):
    def failing():
        yield SENTENCES[0]
        raise RuntimeError("the source fails")

    with pytest.raises(RuntimeError):
        shards.write_sentences(tmp_path / "out", failing())
    with pytest.raises(UserError, match="outside a sentence of 1 bytes"):
        shards.write_sentences(tmp_path / "out", [Sentence("x", (Span(0, 2, "A"),))])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file_format", list(records.SUFFIXES))
def test_damaged_shards_are_named(tmp_path, file_format):
    shards.write_sentences(tmp_path / "out", SENTENCES, format=file_format)
    shard = sentence_files.shard_paths(tmp_path / "out")[0]
    whole = shard.read_bytes()
    middle = 400
    for damaged in (
        whole[: len(whole) // 300],
        whole[:middle] + b"\xff" * 90 + whole[middle + 90 :],
    ):
        shard.write_bytes(damaged)
        with pytest.raises(UserError, match="of-00001"):
            list(sentence_files.read(tmp_path / "out"))
    shard.unlink()
    with pytest.raises(UserError, match="1 of 1 shards are missing"):
        list(sentence_files.read(tmp_path / "out"))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 99, "shards": []}', '{"schema": 1}'])
def test_damaged_manifests_are_named(tmp_path, text):
    with pytest.raises(UserError, match="does not exist"):
        sentence_files.manifest(tmp_path)
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=r"manifest\.json is"):
        sentence_files.manifest(tmp_path)


def test_records_that_are_no_sentences_are_refused():
    with pytest.raises(UserError, match="is not a tf"):
        sentence_records.decode(b"\xff\xff\xff")
    with pytest.raises(UserError, match="no feature 'spans/limit'"):
        sentence_records.decode(b"")


def test_records_are_those_of_the_protobuf_library_byte_for_byte():
    numbers = random.Random(0)
    lengths = [0, 1, 90, 126, 127, 128, 129, 200, 2000, 4095, 4096, 16370, 16380, 16384, 20000]
    for _ in range(1000):
        spans, place = [], 0
        for _ in range(numbers.choice([0, 1, 1, 2, 3, 15, 40])):
            start = place + numbers.randrange(400)
            place = start + numbers.randrange(1, 50)
            spans.append(Span(start, place, numbers.choice(["DATE", "NAME", "é" * 70])))
        text = "x" * numbers.choice(lengths)
        title = "ü" * numbers.choice([0, 1, 64, 128, 9000])
        parts = text.encode(), title.encode(), spans
        assert sentence_records.encode(*parts) == sentence_records._by_library(*parts)
