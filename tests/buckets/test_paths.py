"""Paths in buckets do what those on disks do, as far as this package and Orbax ask."""

import contextlib
import os
import pathlib

import pytest

from closedbook import appended_files, digests, whole_files
from closedbook.buckets import client, folder_at, path_at

ROOT = "gs://some-bucket/runs/nq"


@pytest.fixture(params=["disk", "bucket"])
def folder(request, buckets, tmp_path) -> pathlib.Path:
    buckets.made.add("some-bucket")
    return folder_at(str(tmp_path / "nq") if request.param == "disk" else ROOT, "MODEL_DIR")


@pytest.fixture
def filled(folder) -> pathlib.Path:
    for name in ("b", "a.txt", "sub/c", "sub/deep/d.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        whole_files.write_text(folder / name, f"content of {name}")
    return folder


def test_names_are_put_together_alike(folder):
    assert folder.name == "nq"
    assert (folder / "a" / "b.txt").relative_to(folder).as_posix() == "a/b.txt"
    assert folder.joinpath("a", "b.txt").with_name("c").name == "c"
    assert (folder / "a").parent == folder
    assert (folder.absolute(), folder.expanduser(), folder.is_symlink()) == (folder, folder, False)
    assert path_at(str(folder)) == folder
    assert (path_at(str(folder) + "/").name, os.fspath(folder)) == ("nq", str(folder))


def test_what_is_there_is_told_alike(filled):
    assert sorted(each.name for each in filled.iterdir()) == ["a.txt", "b", "sub"]
    assert sorted(each.name for each in filled.rglob("*") if each.is_file()) == [
        *("a.txt", "b", "c", "d.txt")
    ]
    assert [each.name for each in filled.glob("*.txt")] == ["a.txt"]
    assert [str(each) for each in filled.glob("sub/*/d*")] == [f"{filled}/sub/deep/d.txt"]
    kinds = [(each.exists(), each.is_dir(), each.is_file()) for each in (filled, filled / "b")]
    assert kinds == [(True, True, False), (True, False, True)]
    assert not any([(filled / "x").exists(), (filled / "x").is_dir(), (filled / "su").is_file()])
    assert (filled / "b").stat().st_size == len("content of b")
    with pytest.raises(FileNotFoundError):
        list((filled / "x").iterdir())
    for ask in (pathlib.Path.read_bytes, pathlib.Path.read_text, pathlib.Path.stat):
        with pytest.raises(FileNotFoundError):
            getattr(filled / "x", ask.__name__)()
    assert (filled / "sub/c").read_text(encoding="utf-8") == "content of sub/c"


def test_files_are_replaced_moved_and_removed_alike(filled):
    whole_files.write_text(filled / "b", "new ö\r\n")
    assert (filled / "b").read_bytes() == "new ö\r\n".encode()
    with contextlib.suppress(RuntimeError), whole_files.opened(filled / "b") as file:
        file.write(b"half")
        raise RuntimeError
    assert (filled / "b").read_bytes() == "new ö\r\n".encode()
    (filled / "b").rename(filled / "moved")
    assert [each.name for each in filled.iterdir() if each.name in ("b", "moved")] == ["moved"]
    (filled / "moved").unlink()
    (filled / "moved").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        (filled / "moved").unlink()
    whole_files.remove_folder(filled / "sub")
    assert sorted(each.name for each in filled.iterdir()) == ["a.txt"]


def test_nothing_of_a_bucket_lands_on_the_disk(filled):
    assert not pathlib.Path("/gs").exists()
    assert not pathlib.Path("gs:").exists()


def test_a_folder_loses_its_own_files_before_those_in_folders(buckets):
    """So that of a checkpoint that is half removed nothing says that it is whole."""
    for name in ("params/d/1", "params/2", "commit_success.txt", "_CHECKPOINT_METADATA", "run/m"):
        buckets.objects[f"some-bucket/run/{name}"] = b""
    whole_files.remove_folder(path_at("gs://some-bucket/run"))
    first = {name.removeprefix("run/") for name in buckets.writes[:2]}
    assert first == {"commit_success.txt", "_CHECKPOINT_METADATA"}
    assert buckets.objects == {}


def test_digests_tell_missing_short_and_changed_files(filled):
    digests.write(filled)
    record = digests.read(filled)
    assert {name: each.size for name, each in record.items()}["sub/deep/d.txt"] == 25
    assert digests.fault(filled, record) is None
    whole_files.write_text(filled / "sub/c", "Content of sub/c")
    assert digests.fault(filled, record) == "sub/c is not as it was written"
    whole_files.write_text(filled / "b", "content of")
    assert digests.fault(filled, record).startswith("b has ")
    (filled / "a.txt").unlink()
    assert digests.fault(filled, record) == "a.txt is missing"


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 20, 25])
def test_the_digest_of_a_large_object_is_that_of_the_file(buckets, tmp_path, monkeypatch, size):
    monkeypatch.setattr(digests, "PART_BYTES", 10)
    monkeypatch.setattr(digests, "_SMALL", 5)
    content = bytes(range(size))
    (tmp_path / "large").write_bytes(content)
    buckets.objects["some-bucket/run/large"] = content
    bucket = path_at("gs://some-bucket/run")
    record = digests.taken(bucket, ["large"])
    assert record == digests.taken(tmp_path, ["large"])
    assert digests.fault(bucket, record) is None
    for wrong in (content + b"x", content[:-1]):
        if wrong != content:
            buckets.objects["some-bucket/run/large"] = wrong
            assert digests.fault(bucket, record) == f"large has not {size:,} bytes"


def test_a_file_grows(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for words in ([b"one\n", b"two\n"], [b"three\n"]):
        file = appended_files.opened(folder / "lines")
        for word in words:
            file.write(word)
            file.flush()
        file.secure()
        assert (folder / "lines").read_bytes().endswith(words[-1])
        file.write(b"last\n")
        file.close()
    assert (folder / "lines").read_bytes() == b"one\ntwo\nlast\nthree\nlast\n"
    with pytest.raises(FileExistsError):
        appended_files.opened(folder / "lines", new=True)


def test_a_file_that_grows_in_a_bucket_is_there_from_time_to_time(buckets, monkeypatch):
    monkeypatch.setattr(appended_files, "UPLOAD_PERIOD", 0.02)
    buckets.made.add("some-bucket")
    file = appended_files.opened("gs://some-bucket/lines", new=True)
    file.write(b"one\n")
    while client.read("gs://some-bucket/lines") != b"one\n":
        pass
    # A bucket that is out of order for a while costs nothing; one that stays so is told.
    buckets.read_only.add("some-bucket")
    file.write(b"two\n")
    with pytest.raises(client.BucketError, match=r"roles/storage\.objectUser"):
        file.secure()
    buckets.read_only.clear()
    file.secure()
    file.flush()
    file.close()
    assert buckets.objects["some-bucket/lines"] == b"one\ntwo\n"
