"""Whole builds: resuming, settings, bad input, several workers."""

import gzip
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from closedbook import folder_locks
from closedbook.corpora import build, files, work
from closedbook.errors import UserError
from closedbook.tasks.spans import sentence_files

TEXT = "Anna was born in {}. She moved to Zürich on 3 May 1920. Nothing else happened to her."


@pytest.fixture
def text(tmp_path) -> str:
    """A pattern of two files of ten documents each, two of them bad."""
    folder = tmp_path / "text"
    folder.mkdir()
    for name in "ab":
        rows = [{"id": f"{name}{i}", "title": "T", "text": TEXT.format(1900 + i)} for i in range(9)]
        lines = [json.dumps(row) for row in rows]
        lines.insert(4, '{"text": "a \\ud800 b"}')
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return str(folder / "*.jsonl")


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in pathlib.Path(folder).iterdir()}


def test_a_build_counts_what_it_reads_writes_and_skips(text, tmp_path, span_texts):
    seen = []
    built = build.build(
        [text], tmp_path / "out", shard_mb=0.001, progress=lambda *numbers: seen.append(numbers)
    )
    found = built.manifest
    sentences = list(sentence_files.read(tmp_path / "out"))
    assert (found["documents"], found["documents_skipped"]) == (18, 2)
    assert (
        len(sentences) == found["sentences"] == sum(s["sentences"] for s in found["shards"]) == 36
    )
    assert found["sentences_without_spans"] == 18
    assert sum(len(sentence.spans) for sentence in sentences) == sum(found["spans"].values())
    assert {"3 May 1920", "1903"} <= {t for sentence in sentences for t in span_texts(sentence)}
    assert {sentence.title for sentence in sentences} == {"T"}
    # The fifth line of each file, although parts of files are read apart.
    assert len(found["shards"]) > 2
    assert [each["id"].rpartition("/")[2] for each in found["skipped"]] == [
        "a.jsonl:5",
        "b.jsonl:5",
    ]
    assert all("lone surrogate" in each["reason"] for each in found["skipped"])
    paths = sorted((tmp_path / "text").iterdir())
    assert [each["path"] for each in found["inputs"]] == list(map(str, paths))
    assert [each["sha256"] for each in found["inputs"]] == [
        subprocess.check_output(["sha256sum", path], text=True).split()[0] for path in paths
    ]
    assert not list((tmp_path / "out").glob(".*"))
    assert seen[-1] == (built.input_bytes, built.input_bytes)


def test_a_build_goes_on_where_it_stopped(text, tmp_path, monkeypatch):
    build.build([text], tmp_path / "whole", shard_mb=0.0005)

    done = []
    build_shard = work.build_shard

    def stops(job, unit, tagger):
        if len(done) == 2:
            raise UserError("the disk is full")
        build_shard(job, unit, tagger)
        done.append(unit.index)

    monkeypatch.setattr(work, "build_shard", stops)
    with pytest.raises(UserError, match="the build stopped: the disk is full"):
        build.build([text], tmp_path / "out", shard_mb=0.0005)
    with pytest.raises(
        UserError, match=r"unfinished build with other settings:\n  shard_mb: 0.0005"
    ):
        build.build([text], tmp_path / "out", shard_mb=0.001)
    with pytest.raises(UserError, match="is not a finished folder"):
        sentence_files.manifest(tmp_path / "out")

    # One that is finished by its note has lost its file, and another's note is half written.
    more = []
    monkeypatch.setattr(
        work,
        "build_shard",
        lambda job, unit, tagger: (more.append(unit.index), build_shard(job, unit, tagger)),
    )
    shard = next(iter(sorted((tmp_path / "out").glob("salient*"))))
    shard.write_bytes(shard.read_bytes()[:-1])
    again = build.build([text], tmp_path / "out", shard_mb=0.0005)
    assert again.shards_before == 1
    assert sorted(more) == sorted({*range(len(again.manifest["shards"]))} - {done[1]})
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")

    nothing = build.build([text], tmp_path / "out", shard_mb=0.0005)
    assert (nothing.seconds, nothing.manifest) == (0.0, again.manifest)


def test_a_folder_of_other_settings_or_files_is_left_alone(text, tmp_path):
    build.build([text], tmp_path / "out")
    before = contents(tmp_path / "out")
    with pytest.raises(UserError, match="finished build with other settings:\n  max_characters"):
        build.build([text], tmp_path / "out", max_characters=30)
    (tmp_path / "text" / "c.jsonl").write_text('{"text": "In 1900."}')
    with pytest.raises(UserError, match="input_files"):
        build.build([text], tmp_path / "out")
    assert contents(tmp_path / "out") == before
    (tmp_path / "out" / "notes.txt").write_text("mine")
    built = build.build([text], tmp_path / "out", max_characters=30, format="tfrecord", force=True)
    assert built.manifest["sentences_too_long"] > 0
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    assert not list((tmp_path / "out").glob("*array_record*"))
    with pytest.raises(UserError, match="is not empty"):
        build.build([text], tmp_path / "text")


def test_a_build_of_bad_documents_alone_fails(tmp_path):
    (tmp_path / "a.jsonl").write_text("not JSON\n" * 3)
    with pytest.raises(UserError, match=r"all 3 documents were skipped\n  .*a.jsonl:1: not JSON"):
        build.build([str(tmp_path / "a.jsonl")], tmp_path / "out")
    (tmp_path / "a.jsonl").write_text('{"text": "nothing to tag here."}')
    found = build.build([str(tmp_path / "a.jsonl")], tmp_path / "out", force=True).manifest
    assert (found["documents"], found["sentences"], found["spans"]) == (1, 0, {})
    assert list(sentence_files.read(tmp_path / "out")) == []


def test_a_broken_file_costs_only_what_is_broken(text, tmp_path):
    (tmp_path / "text" / "c.jsonl.gz").write_bytes(
        gzip.compress(b'{"text": "In 1999."}\n' * 99)[:-9]
    )
    found = build.build([text + "*"], tmp_path / "out").manifest
    assert found["documents"] >= 18
    assert "c.jsonl.gz" in found["skipped"][-1]["id"]
    assert "broken here" in found["skipped"][-1]["reason"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tagger": "datse"}, "unknown tagger 'datse'"),
        ({"format": "tfrecrd"}, "unknown format of shards 'tfrecrd'; nearest: tfrecord"),
        ({"input_format": "json"}, "unknown input format 'json'; nearest: jsonl"),
        ({"min_characters": 9, "max_characters": 8}, "sentences of 9 to 8 characters"),
        ({"workers": 0}, "the number of workers is 0"),
        ({"shard_mb": 0}, "the shard size is 0"),
        ({"pipeline_options": ["--tager", "spacy"]}, "'--tager' is an option neither of this"),
        ({"pipeline_options": ["--num_workerz=3"]}, "nearest of Beam's: --num_workers"),
        ({"pipeline_options": ["--num_workers=many"]}, "num_workers: invalid int value: 'many'"),
    ],
)
def test_options_that_cannot_be(text, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        build.build([text], tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written_is_named(text, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises((UserError, OSError), match="file"):
        build.build([text], tmp_path / "file" / "out")


def test_beams_other_file_systems_serve_for_input_and_output(text, tmp_path):
    from apache_beam.io import localfilesystem

    class Elsewhere(localfilesystem.LocalFileSystem):
        """Local files behind a scheme, as a bucket looks to Beam."""

        @classmethod
        def scheme(cls):
            return "elsewhere"

        def _local(self, path):
            return path.replace("elsewhere://", "/")

        def match(self, patterns, limits=None):
            results = super().match([self._local(p) for p in patterns], limits)
            for result in results:
                for each in result.metadata_list:
                    each.path = "elsewhere:/" + each.path
            return results

        def create(self, path, *rest, **options):
            pathlib.Path(self._local(path)).parent.mkdir(parents=True, exist_ok=True)
            return super().create(self._local(path), *rest, **options)

        def open(self, path, *rest, **options):
            return super().open(self._local(path), *rest, **options)

        def mkdirs(self, path):
            super().mkdirs(self._local(path))

        def rename(self, sources, targets):
            super().rename([*map(self._local, sources)], [*map(self._local, targets)])

        def delete(self, paths):
            for path in map(pathlib.Path, map(self._local, paths)):
                path.rmdir() if path.is_dir() else path.unlink()

        def exists(self, path):
            return super().exists(self._local(path))

    try:
        local = build.build([text], tmp_path / "here", shard_mb=0.001).manifest
        remote = "elsewhere:/" + text
        output = f"elsewhere:/{tmp_path}/there"
        for _ in range(2):
            there = build.build([remote], output, shard_mb=0.001).manifest
        assert there["shards"] == local["shards"]
        assert {path.name for path in (tmp_path / "there").iterdir()} == set(
            contents(tmp_path / "here")
        )
        with pytest.raises(UserError, match="other settings"):
            build.build([remote], output)
        build.build([remote], output, force=True)
        with pytest.raises(UserError, match="nowhere://a cannot be reached"):
            files.match("nowhere://a")
    finally:
        # Beam finds file systems among the subclasses; this one must not outlive its test.
        del Elsewhere


def test_a_second_build_of_a_folder_is_refused_while_the_first_is_on(text, tmp_path):
    with (
        folder_locks.locked(tmp_path / "out", "--output", beside=True),
        pytest.raises(UserError, match=f"--output .*out is in use by process {os.getpid()} on "),
    ):
        build.build([text], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    build.build([text], tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "text"]


@pytest.mark.slow
def test_a_killed_build_of_several_workers_ends_with_the_same_bytes(tmp_path, monkeypatch):
    (tmp_path / "text").mkdir()
    for i in range(6):
        rows = [{"text": TEXT.format(1900 + j) * 20} for j in range(60)]
        (tmp_path / "text" / f"{i}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    # A tagger slow enough that the kill comes in the middle.
    (tmp_path / "slow_tagger.py").write_text(
        "import time\n"
        "def tag(sentences):\n"
        "    time.sleep(0.1)\n"
        "    return [[(s.index('1'), s.index('1') + 4, 'DATE')] if '1' in s else []\n"
        "            for s in sentences]\n"
    )

    options = {"tagger": "slow_tagger:tag", "shard_mb": 0.1}

    def command() -> subprocess.Popen:
        script = pathlib.Path(sys.executable).parent / "closedbook"
        words = ["ssm", "build", "--input", "text/*.jsonl", "--output", "several"]
        words += ["--tagger", options["tagger"], "--shard-size", "0.1", "--workers", "2"]
        return subprocess.Popen(
            [script, *words],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    killed = command()
    deadline = time.monotonic() + 200
    while not list((tmp_path / "several").glob("salient*")) and time.monotonic() < deadline:
        assert killed.poll() is None, killed.communicate()[1]
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not (tmp_path / "several" / "manifest.json").exists()

    again = command()
    _, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    assert "INFO" not in err
    assert "WARNING" not in err
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    build.build(["text/*.jsonl"], tmp_path / "one", workers=1, **options)
    assert contents(tmp_path / "several") == contents(tmp_path / "one")
