"""One writer per folder: refused while another lives, taken over once, given back, noticed lost."""

import contextlib
import datetime
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

import pytest

from closedbook import folder_locks, lock_stores, this_machine
from closedbook.errors import UserError
from closedbook.folder_locks import locked

HOLD = """
import sys, time
from closedbook.folder_locks import locked
with locked(sys.argv[1], "MODEL_DIR"):
    print("held", flush=True)
    time.sleep(600)
"""


@contextlib.contextmanager
def holder(folder):
    """Another process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def files(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*"))


def rewrite(path: pathlib.Path, **changes: object) -> None:
    """Changes what a lock's file says."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def ago(seconds: float) -> str:
    then = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds)
    return then.isoformat()


def test_a_second_writer_is_refused_with_who_it_is_and_what_to_do(tmp_path):
    with holder(tmp_path) as process:
        began = time.monotonic()
        with pytest.raises(UserError) as caught, locked(tmp_path, "MODEL_DIR"):
            pass
        assert time.monotonic() - began < 1
    message = str(caught.value)
    assert f"MODEL_DIR {tmp_path} is in use by process {process.pid} on {os.uname()[1]}" in message
    assert " since 20" in message
    assert f"stop it (kill {process.pid}), or give another folder" in message
    assert "\n" not in message


def test_what_a_killed_process_left_is_taken_at_once_and_told_in_one_line(tmp_path, caplog):
    with holder(tmp_path) as process:
        process.kill()
        process.wait()
        assert files(tmp_path) == ["lock-1.json"]
        with locked(tmp_path, "MODEL_DIR") as lock:
            assert files(tmp_path) == ["lock-2.json"]
            lock.confirm()
    (record,) = caplog.records
    assert f"left by process {process.pid} on" in record.getMessage()
    assert files(tmp_path) == []


def test_a_killed_process_whose_parent_has_not_looked_is_dead(tmp_path):
    with holder(tmp_path) as process:
        process.kill()  # a zombie until the end of the block
        deadline = time.monotonic() + 10
        while this_machine.runs(process.pid):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with locked(tmp_path, "MODEL_DIR"):
            pass


def test_a_process_that_got_the_id_of_the_dead_one_does_not_hold_its_lock(tmp_path):
    with holder(tmp_path):
        rewrite(tmp_path / "lock-1.json", process=os.getpid(), process_start="1")
        with locked(tmp_path, "MODEL_DIR"):
            assert files(tmp_path) == ["lock-2.json"]


def test_another_machine_holds_it_until_its_heart_has_not_beaten_for_minutes(tmp_path):
    file = tmp_path / "lock-1.json"
    with holder(tmp_path):
        rewrite(file, machine="another", host="far", process=7, heartbeat=ago(170))
        with (
            pytest.raises(UserError, match=r"process 7 on far .* 170 s ago.* when .*lock-1\.json"),
            locked(tmp_path, "MODEL_DIR"),
        ):
            pass
        rewrite(file, heartbeat=ago(190))
        with locked(tmp_path, "MODEL_DIR"):
            assert files(tmp_path) == ["lock-2.json"]


@pytest.mark.parametrize("left", ["", "{", "[]", '{"token": 1}', "\udcff"])
def test_a_file_that_a_process_was_killed_in_writing_holds_nobody_up(left, tmp_path):
    (tmp_path / "lock-3.json").write_text(left, errors="surrogateescape")
    with locked(tmp_path, "MODEL_DIR"):
        assert files(tmp_path) == ["lock-4.json"]


@pytest.mark.parametrize("stale", [False, True])
def test_of_many_that_want_it_at_once_one_gets_it(stale, tmp_path):
    with holder(tmp_path) as process:
        text = (tmp_path / "lock-1.json").read_text()
        process.kill()
        process.wait()
    for round in range(20):
        for path in tmp_path.glob("lock-*"):
            path.unlink()
        if stale:
            (tmp_path / f"lock-{round + 1}.json").write_text(text)
        start, got, refused = threading.Barrier(8), [], []

        def want(start=start, got=got, refused=refused):
            start.wait()
            try:
                got.append(
                    folder_locks.Lock(lock_stores.LocalFolder(tmp_path), "lock", "the folder")
                )
            except UserError as error:
                refused.append(str(error))

        threads = [threading.Thread(target=want) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(got), len(refused)) == (1, 7)
        got[0].confirm()
        got[0].release()
        assert files(tmp_path) == []


def test_a_late_comer_to_another_number_steps_back(tmp_path):
    # It saw a dead one's lock-5 long ago; meanwhile that was taken, given back, and one began anew.
    class Late(lock_stores.LocalFolder):
        looks = 0

        def names(self):
            self.looks += 1
            return ["lock-5.json"] if self.looks == 1 else super().names()

        def read(self, name):
            return "" if name == "lock-5.json" else super().read(name)

    with holder(tmp_path):
        with pytest.raises(UserError, match="is in use by process"):
            folder_locks.Lock(Late(tmp_path), "lock", "the folder")
        assert files(tmp_path) == ["lock-1.json"]


@pytest.mark.parametrize("way", ["removed", "taken"])
def test_a_lock_that_is_lost_is_noticed_by_the_heartbeat(way, tmp_path):
    path = tmp_path / "lock-1.json"
    with locked(tmp_path, "MODEL_DIR", heartbeat=0.05) as lock:
        lock.check()
        if way == "removed":
            path.unlink()
        else:
            rewrite(path, token="another", machine="another", host="far", heartbeat=ago(0))
        deadline = time.monotonic() + 10
        while not lock._lost and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(UserError, match="is not this run's any more") as caught:
            lock.check()
        assert ("on far" in str(caught.value)) == (way == "taken")
        with pytest.raises(UserError):
            lock.confirm()
    # Another's lock is not given back.
    assert path.exists() == (way == "taken")


def test_the_heart_beats(tmp_path):
    with locked(tmp_path, "MODEL_DIR", heartbeat=0.05):
        path = tmp_path / "lock-1.json"
        first = json.loads(path.read_text())["heartbeat"]
        deadline = time.monotonic() + 10
        while json.loads(path.read_text() or "{}").get("heartbeat", first) == first:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_folders_that_only_the_lock_came_to_are_removed_with_it(tmp_path):
    with locked(tmp_path / "a" / "b", "MODEL_DIR"):
        assert files(tmp_path / "a" / "b") == ["lock-1.json"]
    assert files(tmp_path) == []
    with locked(tmp_path / "a" / "b", "MODEL_DIR"):
        (tmp_path / "a" / "c").touch()
    assert files(tmp_path / "a") == ["c"]


def test_it_is_given_back_after_an_error_and_by_a_process_that_ends_without_unwinding(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path, "MODEL_DIR"):
        raise ZeroDivisionError
    assert files(tmp_path) == []
    with locked(tmp_path, "MODEL_DIR"):
        folder_locks.release_all()
        assert files(tmp_path) == []
    assert files(tmp_path) == []


def test_locks_of_other_names_do_not_meet(tmp_path):
    with locked(tmp_path, "A", name="a"), locked(tmp_path, "B", name="b"):
        assert files(tmp_path) == ["a-1.json", "b-1.json"]
