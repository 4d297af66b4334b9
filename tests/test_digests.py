"""Digests of files: every kind of damage is found and told, and nothing else is."""

import contextlib
import json
import os
import pathlib

import pytest

from closedbook import digests
from closedbook.digests import DamagedError, FileDigest


@pytest.fixture
def folder(tmp_path, monkeypatch) -> pathlib.Path:
    """Files of no, one and several parts, with their digests."""
    monkeypatch.setattr(digests, "PART_BYTES", 100)
    (tmp_path / "inside").mkdir()
    for name, size in {"empty": 0, "short": 7, "inside/whole": 200, "inside/long": 250}.items():
        (tmp_path / name).write_bytes(bytes(i % 251 for i in range(size)))
    digests.write(tmp_path)
    return tmp_path


def flip(path: pathlib.Path, at: int) -> None:
    """Inverts a byte; the file's dates stay those of before, as with a rotting disk."""
    dates = path.stat()
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)
    os.utime(path, ns=(dates.st_atime_ns, dates.st_mtime_ns))


def fault(folder: pathlib.Path) -> str | None:
    record = digests.read(folder)
    assert record is not None
    return digests.fault(folder, record)


def test_untouched_files_and_others_beside_them_are_no_damage(folder):
    (folder / "notes.txt").write_text("mine")
    assert fault(folder) is None
    assert set(digests.read(folder)) == {"empty", "short", "inside/whole", "inside/long"}
    assert {name: len(each.parts) for name, each in digests.read(folder).items()} == {
        "empty": 1,
        "short": 1,
        "inside/whole": 2,
        "inside/long": 3,
    }


@pytest.mark.parametrize("at", [0, 99, 100, 249])
def test_a_byte_in_any_part_is_found_and_its_part_is_named(folder, at):
    flip(folder / "inside" / "long", at)
    start = at // 100 * 100
    end = min(start + 100, 250)
    assert fault(folder) == f"inside/long is not as it was written (bytes {start} to {end})"


def test_files_that_are_missing_cut_longer_or_no_files_are_told(folder):
    (folder / "short").write_bytes(b"")
    assert fault(folder) == "short has 0 bytes, not 7"
    (folder / "short").write_bytes(bytes(range(8)))
    assert fault(folder) == "short has 8 bytes, not 7"
    (folder / "short").unlink()
    assert fault(folder) == "short is missing"
    os.mkfifo(folder / "short")  # which would block whoever opens it
    assert fault(folder) == "short is missing"


def test_each_process_reads_its_share_and_all_shares_find_all(folder):
    record = digests.read(folder)
    flip(folder / "inside" / "long", 150)
    found = [digests.first_fault(folder, record, share=(i, 3)) for i in range(3)]
    told = {digests.told(folder, record, number) for number in found if number is not None}
    assert told == {"inside/long is not as it was written (bytes 100 to 200)"}
    assert found.count(None) == 2


def test_what_was_found_whole_is_read_again_only_when_asked_or_changed(folder, monkeypatch):
    record = digests.read(folder)
    assert digests.first_fault(folder, record) is None
    read: list[pathlib.Path] = []
    digest = digests._digest
    monkeypatch.setattr(
        digests, "_digest", lambda path, start: read.append(path) or digest(path, start)
    )
    assert digests.first_fault(folder, record) is None
    assert read == []
    assert digests.first_fault(folder, record, fresh=True) is None
    assert len(read) == 7
    os.utime(folder / "short", ns=(1, 1))
    read.clear()
    assert digests.first_fault(folder, record) is None
    assert read == [folder / "short"]


def test_every_damaged_byte_of_the_record_itself_is_found(folder):
    whole = (folder / digests.FILE).read_bytes()
    before = digests.read(folder)
    for at in range(0, len(whole), 7):
        flip(folder / digests.FILE, at)
        with contextlib.suppress(DamagedError):  # blanks between two values mean nothing
            assert digests.read(folder) == before
        (folder / digests.FILE).write_bytes(whole)
    (folder / digests.FILE).write_bytes(whole[:-5])
    with pytest.raises(DamagedError, match="is not as it was written"):
        digests.read(folder)
    (folder / digests.FILE).unlink()
    assert digests.read(folder) is None


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "a//b", "a\0b", ""])
def test_a_record_that_leads_out_of_its_folder_is_refused(name):
    data = digests.as_json({name: FileDigest(1, ("00",))})
    with pytest.raises(DamagedError, match="no record of digests"):
        digests.from_json(json.loads(json.dumps(data)))


@pytest.mark.parametrize(
    "entry", [None, 7, {}, {"bytes": 1, "xxh3_128": []}, {"bytes": "1", "xxh3_128": ["00"]}]
)
def test_a_record_of_another_form_is_refused(entry):
    with pytest.raises(DamagedError, match="no record of digests"):
        digests.from_json({"file": entry})


def test_a_record_of_an_endless_file_is_none():
    with pytest.raises(DamagedError, match="no record of digests"):
        digests.from_json({"file": {"bytes": 10**40, "xxh3_128": [""]}})
