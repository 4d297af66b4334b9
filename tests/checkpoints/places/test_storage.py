"""Local folders and buckets behind one interface; the buckets are served by this machine."""

import os
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorstore as ts

from closedbook.checkpoints.places.storage import Storage
from closedbook.errors import UserError


@pytest.fixture
def folder(buckets, request):
    """The same files in a bucket: its storage."""
    for name in ["run/a", "run/sub/b", "run/sub/deep/c", "run/sub/", "runaway/d", "run/e f"]:
        buckets.objects[f"some-bucket/{name}"] = name.encode()
    return Storage.at("gs://some-bucket/run/")


def test_bucket_lists_as_a_folder_does(folder, tmp_path):
    assert folder.keys() == ["a", "e f", "sub/b", "sub/deep/c"]
    assert folder.names() == ["a", "e f", "sub/"]
    assert (folder / "sub").names() == ["b", "deep/"]
    assert Storage.at("gs://some-bucket").names() == ["run/", "runaway/"]
    assert (folder / "nothing").names() == []
    for key in ["a", "e f", "sub/b", "sub/deep/c"]:
        path = tmp_path / "run" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"run/{key}")
    local = Storage.at(tmp_path / "run")
    assert (local.keys(), local.names()) == (folder.keys(), folder.names())
    assert local.read("sub/b") == folder.read("sub/b")
    assert (local / "nothing").names() == []


def test_bucket_is_listed_once_for_a_folder_and_all_below(folder, buckets):
    folder.names()
    asked = len(buckets.requests)
    (folder / "sub").names()
    (folder / "sub" / "deep").keys()
    assert len(buckets.requests) == asked


def test_file_is_read_whole_or_from_its_beginning(folder, buckets):
    assert folder.read("e f") == b"run/e f"
    assert folder.read("sub/deep/c", size=3) == b"run"
    assert folder.read("a", size=1000) == b"run/a"
    buckets.objects["some-bucket/run/empty"] = b""
    assert folder.read("empty") == folder.read("empty", size=10) == b""


def test_local_file_is_read_from_its_beginning(tmp_path):
    (tmp_path / "a").write_bytes(b"0123456789")
    assert Storage.at(tmp_path).read("a", size=4) == b"0123"
    assert Storage.at(tmp_path).read("a", size=40) == b"0123456789"


def test_zarr_array_is_read_in_place(buckets, tmp_path):
    array = np.arange(600, dtype=np.float32).reshape(20, 30)
    spec = {
        "driver": "zarr",
        "kvstore": {"driver": "file", "path": f"{tmp_path}/target.x/"},
        "metadata": {"chunks": [7, 30], "compressor": {"id": "gzip", "level": 1}},
    }
    store = ts.open(spec, create=True, dtype=ts.float32, shape=array.shape).result()
    store.write(array).result()
    for path in (tmp_path / "target.x").iterdir():
        name = f"some-bucket/checkpoint_1/target.x/{path.name}"
        buckets.objects[name] = path.read_bytes()
    remote = Storage.at("gs://some-bucket/checkpoint_1").kvstore("target.x")
    found = ts.open({"driver": "zarr", "kvstore": remote}, open=True).result()
    np.testing.assert_array_equal(found[3:15].read().result(), array[3:15])


def test_arrays_are_read_by_a_path_with_dots_in_it(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    store = {"driver": "file", "path": f"{tmp_path}/run/a/"}
    ts.open({"driver": "zarr", "kvstore": store}, create=True, dtype=ts.int32, shape=[2]).result()
    opened = ts.KvStore.open((Storage.at("../run")).kvstore("a")).result()
    assert opened.list().result() == [b".zarray"]


def test_absent_file_is_named(folder, tmp_path):
    with pytest.raises(UserError, match=r"^gs://some-bucket/run/zzz does not exist$"):
        folder.read("zzz")
    with pytest.raises(UserError, match=r"zzz cannot be read: No such file"):
        Storage.at(tmp_path).read("zzz")


def test_closed_bucket_says_how_to_log_in(folder, buckets):
    buckets.closed.add("some-bucket")
    for ask in [folder.keys, lambda: folder.read("a")]:
        with pytest.raises(UserError, match=r"gs://some-bucket/.*gcloud auth application-def"):
            ask()


def test_absent_bucket_is_named(buckets):
    with pytest.raises(UserError, match=r"gs://no-bucket/x/: there is no bucket 'no-bucket'"):
        Storage.at("gs://no-bucket/x").names()


@pytest.mark.parametrize("url", ["gs://", "gs:///x", "gs://Some_Bucket/x", "gs://a b/x"])
def test_name_that_no_bucket_has_is_refused(buckets, url):
    place = Storage.at(url)
    for ask in [place.names, place.kvstore, lambda: place.read("a")]:
        with pytest.raises(UserError, match="no bucket can be called"):
            ask()
    assert buckets.requests == []


def test_server_in_trouble_is_asked_again_and_then_given_up(folder, buckets):
    buckets.broken = True
    with pytest.raises(UserError, match=r"gs://some-bucket/run/ cannot be read.*check the network"):
        folder.names()
    asked = [path for path in buckets.requests if path.startswith("/storage")]
    assert 2 <= len(asked) <= 5


def test_unreachable_network_is_one_message_in_seconds(tmp_path):
    """Neither the bucket nor the server of credentials answers, as on a machine without network.

    In a process of its own, since the limits are read when TensorStore first connects. The server
    of credentials takes no connection: its queue is full.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent:
        port = silent.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        environment = os.environ | {
            "TENSORSTORE_GCS_HTTP_URL": "http://127.0.0.1:9",
            "GCE_METADATA_ROOT": f"127.0.0.1:{port}",
            "CLOUDSDK_CONFIG": str(tmp_path),
            "TENSORSTORE_CURL_CONNECT_TIMEOUT_SECONDS": "1",
        }
        program = (
            "from closedbook.buckets import client\n"
            "from closedbook.checkpoints.places import storage\n"
            "client.LOOKING['initial_delay'] = '0.01s'\n"
            "try:\n    storage.Storage.at('gs://some-bucket/run').names()\n"
            "except storage.UserError as error:\n    print(error)\n"
        )
        started = time.monotonic()
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        for each in waiting:
            each.close()
    assert done.stdout.startswith("gs://some-bucket/run/ cannot be read"), done.stderr
    assert time.monotonic() - started < 40  # starting Python and JAX included


def test_limits_of_the_network_are_set_and_can_be_overridden(folder, monkeypatch):
    name = "TENSORSTORE_CURL_CONNECT_TIMEOUT_SECONDS"
    monkeypatch.delenv(name, raising=False)
    folder.keys()
    assert os.environ[name] == "10"
    monkeypatch.setenv(name, "7")
    (folder / "a").kvstore()
    assert os.environ[name] == "7"
