"""One writer per folder of a bucket: by writes that fail where another one was there first."""

import contextlib
import json
import os
import subprocess
import sys
import threading

import pytest

from closedbook import folder_locks
from closedbook.errors import UserError
from closedbook.folder_locks import locked
from closedbook.lock_stores import BucketFolder

FOLDER = "gs://some-bucket/runs/nq"
LOCK = "some-bucket/runs/nq/lock-1.json"
HOLD = """
import sys, time
from closedbook.folder_locks import locked
with locked(sys.argv[1], "MODEL_DIR"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def some_bucket(buckets):
    buckets.made.add("some-bucket")


def rewrite(buckets, **changes: object) -> None:
    """Changes what the lock's file says."""
    text = json.dumps(json.loads(buckets.objects[LOCK]) | changes)
    buckets.objects[LOCK] = text.encode()


def test_a_second_writer_is_refused_until_the_first_is_gone(buckets):
    """Another process holds the lock, and is killed."""
    command = [sys.executable, "-c", HOLD, FOLDER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(UserError) as caught, locked(FOLDER, "MODEL_DIR"):
            pass
        assert f"MODEL_DIR {FOLDER} is in use by process {process.pid} on " in str(caught.value)
        process.kill()
    with locked(FOLDER, "MODEL_DIR") as lock:
        lock.confirm()
        assert list(buckets.objects) == [LOCK.replace("-1", "-2")]
    assert buckets.objects == {}


def test_another_machines_lock_ends_with_its_heartbeats(buckets):
    with contextlib.ExitStack() as stack:
        lock = stack.enter_context(locked(FOLDER, "MODEL_DIR", heartbeat=600))
        rewrite(buckets, machine="elsewhere")
        with pytest.raises(UserError, match=f"or at once when gs://{LOCK} is removed"):
            stack.enter_context(locked(FOLDER, "MODEL_DIR"))
        rewrite(buckets, heartbeat="2026-01-01T00:00:00+00:00", token="theirs")
        with locked(FOLDER, "MODEL_DIR"):
            with pytest.raises(UserError, match=f"process {os.getpid()} .* has taken it over"):
                lock.confirm()
            assert len(buckets.objects) == 1


def test_of_many_that_want_it_at_once_one_gets_it(buckets):
    start, got, refused = threading.Barrier(6), [], []

    def want() -> None:
        start.wait()
        try:
            got.append(folder_locks.Lock(BucketFolder(FOLDER), "lock", "the folder"))
        except UserError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=want) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 5)
    got[0].release()
    assert buckets.objects == {}


def test_an_answer_that_is_lost_costs_neither_the_lock_nor_a_heartbeat(buckets, monkeypatch):
    monkeypatch.setattr(folder_locks, "_AT_MOST_EVERY", 0.0)
    buckets.lost = 1  # the lock's file is made, and nobody hears of it
    with locked(FOLDER, "MODEL_DIR", heartbeat=600) as lock:
        assert list(buckets.objects) == [LOCK]
        before = buckets.objects[LOCK]
        buckets.lost = 1
        lock.confirm()
        assert buckets.objects[LOCK] != before
        generation = buckets.objects.generations[LOCK]
        monkeypatch.setattr(folder_locks, "_AT_MOST_EVERY", 60.0)
        lock.confirm()  # a bucket takes one write per second of one object
        assert buckets.objects.generations[LOCK] == generation
    assert buckets.objects == {}


def test_a_network_that_is_down_for_a_while_loses_nothing(buckets, monkeypatch):
    monkeypatch.setattr(folder_locks, "_AT_MOST_EVERY", 0.0)
    with locked(FOLDER, "MODEL_DIR", heartbeat=600) as lock:
        buckets.broken = True
        lock.confirm()
        monkeypatch.setattr(folder_locks, "LAPSE", 0.0)
        with pytest.raises(UserError, match="its lock could not be renewed"):
            lock.confirm()
        buckets.broken = False
