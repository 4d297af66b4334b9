"""What a token cache is found by: caches on users' disks must be found by every later version."""

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import types

import pytest

from closedbook.corpora.shards import write_sentences
from closedbook.data import cache_keys
from closedbook.errors import UserError
from closedbook.tasks import atlas, file_hashes, qa_from_files, specs, ssm_from_files
from closedbook.tasks.atlas import corpus
from closedbook.tasks.sources import Sentences, Tfds
from closedbook.tasks.spans.sentences import Sentence, Span

VOCABULARY = types.SimpleNamespace(sha256="5" * 64, extra_ids=100)
ATLAS_QUESTIONS = [
    ("train", "seen"),
    *((split, phrasing) for split in ("validation", "test") for phrasing in ("seen", "unseen")),
]
LENGTHS = {"targets": 114, "inputs": 512}


def key(task, split="train", **changed):
    settings = {
        "lengths": LENGTHS,
        "data_dir": None,
        "use_seqio_cached": False,
        "num_examples": None,
        "seed": 3,
    }
    return cache_keys.cache_key(task, split, VOCABULARY, settings | changed)


@pytest.fixture
def folder(tmp_path):
    """A user's folder: training and development questions of NQ-open, and own questions."""
    for name, numbers in (
        ("NQ-open.train.jsonl", range(20)),
        ("NQ-open.dev.jsonl", range(100, 105)),
        ("own.jsonl", range(3)),
    ):
        lines = (f'{{"question": "q{i}", "answer": "a{i}"}}\n' for i in numbers)
        (tmp_path / name).write_text("".join(lines))
    own = {"train": tmp_path / "own.jsonl", "test": tmp_path / "own.jsonl"}
    qa_from_files({"k_own": own}, prefix="quiz: ", metric="trivia_qa")
    return tmp_path


@pytest.mark.parametrize(
    ("task", "split", "settings", "digest"),
    [
        ("natural_questions_open", "train", {}, "14ef9b32da7a7fcf"),
        ("natural_questions_open_randanswer", "train", {"num_examples": 7}, "484259b419bcb139"),
        ("natural_questions_nocontext", "validation", {}, "68f8e68995c11353"),
        ("trivia_qa_open_test", "test", {}, "7b24030037b3c253"),
        ("span_corrupted_wikipedia", "train", {}, "49d45d67ca8e857c"),
        ("salient_span_masked_wikipedia", "train", {"use_seqio_cached": True}, "870daeb593720d3b"),
        ("web_questions_open", "train", {"use_seqio_cached": True}, "e70109feb6e9b39e"),
        ("foreign", "train", {}, "3f5073ee6cde08b4"),
        ("foreign", "train", {"use_seqio_cached": True, "num_examples": 7}, "b329ca2c0e9c0b60"),
        ("natural_questions_open", "train", {"data_dir": True}, "394a23cb2494a752"),
        ("natural_questions_open_test", "train", {"data_dir": True}, "7ad7190f0378deb9"),
        ("natural_questions_open_test", "validation", {"data_dir": True}, "b5e813c9b4220c41"),
        ("k_own", "train", {}, "d517c25c78499243"),
        ("k_own", "test", {"data_dir": True, "num_examples": 7}, "e87421eea708af48"),
    ],
)
def test_folders_are_named_as_in_version_0_1(folder, task, split, settings, digest):
    """Names taken from the version before sources of tasks had classes of their own."""
    settings = settings | ({"data_dir": folder} if "data_dir" in settings else {})
    assert cache_keys.folder_name(key(task, split, **settings)) == f"{task}-{split}-{digest}"


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_key_says_in_full_what_the_tokens_were_made_from(folder):
    train = folder / "NQ-open.train.jsonl"
    assert key("natural_questions_open", data_dir=folder, num_examples=7) == {
        "task": "natural_questions_open",
        "split": "train",
        "vocabulary": {"sha256": "5" * 64, "extra_ids": 100},
        "source": {
            "version": 1,
            "prefix": "nq question: ",
            "random": False,
            "files": [{"name": train.name, "bytes": train.stat().st_size, "sha256": sha256(train)}],
            "parts": ("fit",),
        },
        "num_examples": 7,
    }


def test_a_folder_of_sentences_counts_by_manifest_and_shards(tmp_path):
    sentences = tmp_path / "salient_span_wikipedia"
    rows = [Sentence(f"Town {i} is old.", (Span(0, 6, "LOC"),), f"T{i}") for i in range(30)]
    write_sentences(sentences, rows, shard_sentences=20)
    manifest = sha256(sentences / "manifest.json")
    ssm_from_files({"k_ssm": sentences}, held_out=0.2)
    own = key("k_ssm", "validation")["source"]
    found = key("salient_span_masked_wikipedia", data_dir=tmp_path)["source"]
    assert own["sentences"] == found["sentences"]
    assert found["sentences"]["manifest"] == manifest
    assert [size for _, size in found["sentences"]["shards"]] == [
        path.stat().st_size for path in sorted(sentences.glob("*array_record*"))
    ]
    assert (own["masking"]["held_out"], found["masking"]["held_out"]) == (0.2, 0.0)


def test_caches_of_the_atlas_keep_their_names_until_its_examples_change(tmp_path, monkeypatch):
    """Of the first version's runs; `examples_sha256` says when the key must become another."""
    recorded = json.loads((atlas.DATA / "cache_key.json").read_text(encoding="utf-8"))
    examples = [[*corpus.questions(*each)] for each in ATLAS_QUESTIONS]
    examples.append([dataclasses.asdict(sentence) for sentence in corpus.sentences()])
    digest = hashlib.sha256(json.dumps(examples, sort_keys=True).encode()).hexdigest()
    assert digest == recorded["examples_sha256"]
    assert key("atlas_ssm", data_dir=tmp_path)["source"]["atlas"] == recorded["key"]
    assert cache_keys.folder_name(key("atlas_qa")) == "atlas_qa-train-7dbe4b2d09f07920"

    for path in atlas.DATA.glob("*"):
        shutil.copy(path, tmp_path / path.name)
    with (tmp_path / "facts.tsv").open("a") as file:
        file.write("one more\n")
    monkeypatch.setattr(atlas, "DATA", tmp_path)
    changed = key("atlas_ssm")["source"]["atlas"]
    assert [each["name"] for each in changed] == ["facts.tsv", "phrasings.toml"]


def test_a_file_is_read_once_per_process_and_again_when_it_has_changed(tmp_path, monkeypatch):
    path = tmp_path / "questions.jsonl"
    path.write_text("one")
    opened = []
    really = pathlib.Path.open

    def noted(self, *arguments, **options):
        opened.append(self)
        return really(self, *arguments, **options)

    monkeypatch.setattr(pathlib.Path, "open", noted)
    first, *others = [file_hashes.file_hashes([path, path]) for _ in range(3)]
    assert others == [first, first]
    assert opened == [path]
    monkeypatch.undo()
    for content, nanoseconds in (("two", 1), ("three", 1)):  # another time; another size
        path.write_text(content)
        os.utime(path, ns=(nanoseconds, nanoseconds))
        [found] = file_hashes.file_hashes([path])
        expected = hashlib.sha256(content.encode()).hexdigest()
        assert (found["bytes"], found["sha256"]) == (len(content), expected)


def test_what_needs_a_folder_or_lengths_says_so(tmp_path):
    with pytest.raises(UserError, match=r"entity_questions is not in TFDS; give .* DATA_DIR"):
        key("entity_questions")
    with pytest.raises(UserError, match="give the lengths of inputs and targets"):
        key("span_corrupted_wikipedia", lengths=None)


def test_a_data_set_has_the_same_splits_in_tfds_and_in_a_folder():
    for spec in specs.SPECS.values():
        if isinstance(spec.source, Tfds) and spec.source.folder is not None:
            assert set(spec.source.folder.splits) == set(spec.source.splits), spec.name
    assert Sentences(held_out=0.1).splits == ("train", "validation")
