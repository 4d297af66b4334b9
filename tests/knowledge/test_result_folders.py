"""Folders of results: tables in two forms, and whose files are whose."""

import csv
import errno
import io
import json

import pytest

from closedbook.errors import UserError
from closedbook.knowledge import result_folders
from closedbook.knowledge.result_folders import Table


def test_table_is_safe_in_a_spreadsheet():
    table = Table(("piece", "score"), [("=1+1", -0.5), ("a,b", None)])
    assert table.as_csv() == 'piece,score\n\'=1+1,-0.5\n"a,b",\n'
    assert table.as_json() == [{"piece": "=1+1", "score": -0.5}, {"piece": "a,b", "score": None}]
    for text in (" =1", "\n@x", "\tx", "＝1", "-x"):
        [_, row, *_] = csv.reader(io.StringIO(Table(("piece",), [(text,)]).as_csv(), newline=""))
        assert row == [f"'{text}"]
    assert Table(("piece",), [(" a-b =",)]).as_csv() == "piece\n a-b =\n"


def test_new_results_take_the_old_ones_away_and_keep_what_others_wrote(tmp_path):
    out = tmp_path / "out"
    said = {"page": "<p>", "summary": {}, "rows": [], "command": {}, "figures": {}}
    result_folders.write(out, **said, tables={"old": Table(("a",), [(1,)])})
    (out / "tables" / "notes.txt").write_text("mine")
    result_folders.write(out, **said, tables={"new": Table(("a",), [(2,)])}, force=True)
    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert names == [
        "command.json",
        "report.html",
        "results.jsonl",
        "summary.json",
        "tables/new.csv",
        "tables/new.json",
        "tables/notes.txt",
    ]
    assert "tables/new.csv" in json.loads((out / "command.json").read_bytes())["files"]


def test_two_commands_do_not_work_in_one_folder(tmp_path):
    out = tmp_path / "out"

    def killed():
        with result_folders.unfinished(out) as kept:
            (kept / "part").write_text("1")
            second = result_folders.unfinished(out)
            with pytest.raises(UserError, match="another command is making"):
                second.__enter__()
            raise KeyError

    with pytest.raises(KeyError):
        killed()
    with result_folders.unfinished(out) as kept:
        assert (kept / "part").read_text() == "1"
    assert not kept.exists()


def test_a_command_that_kept_nothing_leaves_nothing(tmp_path):
    with pytest.raises(KeyError), result_folders.unfinished(tmp_path / "out"):
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_a_full_disk_has_one_message_and_keeps_what_is_done(tmp_path):
    def fills(error):
        with result_folders.unfinished(tmp_path / "out") as kept:
            (kept / "part").write_text("1")
            raise error

    for error in (OSError(errno.ENOSPC, "No space left"), OSError("9 requested and 2 written")):
        with pytest.raises(UserError, match=r"is full .*; make room and run the same command"):
            fills(error)
        assert (tmp_path / "out.unfinished" / "part").read_text() == "1"
    with pytest.raises(PermissionError):  # of another file, which says itself where
        fills(PermissionError(errno.EACCES, "Permission denied", "text.txt"))


def test_a_place_where_no_folder_can_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot make .*out.unfinished.*Not a directory"):
        result_folders.unfinished(tmp_path / "file" / "out").__enter__()


def test_folders_made_for_a_result_that_never_came_go_again(tmp_path):
    with (
        pytest.raises(UserError, match="bad"),
        result_folders.unfinished(tmp_path / "new" / "deep" / "out"),
    ):
        raise UserError("bad")
    assert list(tmp_path.iterdir()) == []
    with result_folders.unfinished(tmp_path / "new" / "deep" / "out"):
        (tmp_path / "new" / "deep" / "out").write_text("whole")
    assert [each.name for each in (tmp_path / "new" / "deep").iterdir()] == ["out"]
