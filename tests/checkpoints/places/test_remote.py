"""Copies from buckets and from the hub, both played by servers on this machine."""

import errno
import fcntl
import hashlib
import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading

import pytest

from closedbook import whole_files
from closedbook.checkpoints.places import remote
from closedbook.errors import UserError

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("CLOSEDBOOK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fill(buckets, *names: str) -> None:
    for name in names:
        buckets.objects[f"some-bucket/{name}"] = f"content of {name}".encode()


def test_folder_is_copied_and_then_taken_without_network(buckets, cache, capsys):
    fill(buckets, "t5/config.json", "t5/sub/x.bin", "t5/sub/", "t5-large/config.json")
    folder = remote.fetch("gs://some-bucket/t5/")
    assert folder == cache / "gs" / "some-bucket" / "t5"
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert files == {"config.json", "sub/x.bin"}
    assert (folder / "sub" / "x.bin").read_text() == "content of t5/sub/x.bin"
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "gs://some-bucket/t5/config.json (1/2): 0.0 MiB",
        "gs://some-bucket/t5/sub/x.bin (2/2): 0.0 MiB",
    ]
    buckets.broken = True
    buckets.requests.clear()
    assert remote.fetch("gs://some-bucket/t5") == folder
    assert buckets.requests == []


def test_prefix_of_a_mesh_tensorflow_checkpoint_brings_its_files_alone(buckets, cache):
    wanted = ["model.ckpt-5.index", "model.ckpt-5.data-00000-of-00002"]
    wanted.append("model.ckpt-5.data-00001-of-00002")
    others = ["model.ckpt-50.index", "model.ckpt-5.meta", "operative_config.gin"]
    fill(buckets, *(f"t5/{name}" for name in wanted + others))
    prefix = remote.fetch("gs://some-bucket/t5/model.ckpt-5")
    assert prefix.name == "model.ckpt-5"
    assert sorted(path.name for path in prefix.parent.iterdir()) == sorted(wanted)


def test_single_file_is_copied(buckets, cache):
    fill(buckets, "t5/model", "t5/model.json")
    assert remote.fetch("gs://some-bucket/t5/model").read_text() == "content of t5/model"
    assert not (cache / "gs/some-bucket/t5/model.json").exists()


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 20, 25])
def test_large_file_comes_in_parts(buckets, cache, monkeypatch, size):
    monkeypatch.setattr(remote, "PART_BYTES", 10)
    content = bytes(range(size))
    buckets.objects["some-bucket/big"] = content
    assert remote.fetch("gs://some-bucket/big").read_bytes() == content


def test_interrupted_copy_goes_on_where_it_was(buckets, cache, monkeypatch):
    fill(buckets, "t5/a", "t5/b", "t5/c")
    real = remote.read_part

    def fail(url, start=0, end=None):
        if url.endswith("/b"):
            raise UserError("the network went away")
        return real(url, start, end)

    monkeypatch.setattr(remote, "read_part", fail)
    with pytest.raises(UserError, match="went away"):
        remote.fetch("gs://some-bucket/t5")
    assert not (cache / "gs/some-bucket/t5/b").exists()
    monkeypatch.setattr(remote, "read_part", real)
    buckets.requests.clear()
    folder = remote.fetch("gs://some-bucket/t5")
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b", "c"]
    assert not any("t5%2Fa" in path for path in buckets.requests)


def test_what_a_killed_copy_left_is_removed(buckets, cache):
    fill(buckets, "t5/a")
    folder = cache / "gs/some-bucket/t5"
    folder.mkdir(parents=True)
    program = (
        "import os, sys\n"
        "from closedbook import whole_files\n"
        "with whole_files.opened(sys.argv[1]):\n"
        "    os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", program, folder / "a"], check=False)
    assert len(whole_files.leavings(folder / "a")) == 1
    remote.fetch("gs://some-bucket/t5")
    assert [path.name for path in folder.iterdir()] == ["a"]


def test_a_copy_that_another_process_is_making_stays(buckets, cache):
    """Where locks do not reach, two processes copy at once; each writes under a name of its own."""
    fill(buckets, "t5/a")
    folder = cache / "gs/some-bucket/t5"
    folder.mkdir(parents=True)
    other = folder / whole_files.hidden_name("a")
    other.write_text("con")
    remote.fetch("gs://some-bucket/t5")
    assert other.read_text() == "con"


def test_a_file_system_without_locks_will_do(buckets, cache, monkeypatch):
    def refuse(file, operation):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", refuse)
    fill(buckets, "t5/a")
    assert (remote.fetch("gs://some-bucket/t5") / "a").read_text() == "content of t5/a"


def test_file_that_lost_bytes_is_copied_again(buckets, cache):
    fill(buckets, "t5/a", "t5/b")
    folder = remote.fetch("gs://some-bucket/t5")
    (folder / "a").write_text("con")
    assert (remote.fetch("gs://some-bucket/t5") / "a").read_text() == "content of t5/a"


@pytest.mark.parametrize("name", ["t5/../../outside", "t5//x", "t5/./x", "t5/a\\b"])
def test_object_that_would_land_elsewhere_is_refused(buckets, cache, name):
    fill(buckets, name)
    with pytest.raises(UserError, match="is no name for a file here"):
        remote.fetch("gs://some-bucket/t5")
    assert not [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("gs://some-bucket/nothing", "there is nothing at gs://some-bucket/nothing"),
        ("gs://some-bucket", "is a whole bucket"),
        ("gs://other-bucket/x", "there is no bucket 'other-bucket'"),
        ("gs://some-bucket/../x", "is no name for a file here"),
        ("s3://some-bucket/x", "cannot be fetched"),
        ("hf://", "is no name of the Hugging Face hub"),
        ("hf://a/b/../c", "is no name of the Hugging Face hub"),
        ("hf://a/b/folder@main", "is no name of the Hugging Face hub"),
        ("hf://a b/c", "is no name of the Hugging Face hub"),
    ],
)
def test_bad_url_is_refused_with_what_to_write(buckets, cache, url, message):
    fill(buckets, "t5/a")
    with pytest.raises(UserError, match=message):
        remote.fetch(url)


def test_disk_that_takes_no_file_is_named(buckets, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CLOSEDBOOK_CACHE", str(tmp_path / "file"))
    fill(buckets, "t5/a")
    with pytest.raises(UserError, match=r"cannot be copied to .*set CLOSEDBOOK_CACHE"):
        remote.fetch("gs://some-bucket/t5")


def test_missing_huggingface_hub_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"pip install 'closedbook\[huggingface\]'"):
        remote.fetch("hf://me/t5")


# The hub

TINY = {
    "config.json": b"{}",
    "spiece.model": b"pieces",
    "README.md": b"no",
    "flax_model.msgpack": b"no",
}
REPOSITORIES = {
    "me/both": TINY | {"model.safetensors": b"new", "pytorch_model.bin": b"old"},
    "me/old": TINY
    | {
        "pytorch_model.bin.index.json": b"{}",
        "pytorch_model-00001-of-00001.bin": b"old",
        "onnx/model.safetensors": b"no",
    },
    "me/folders": {
        "config.json": b"no",
        "large/config.json": b"{}",
        "large/model.safetensors": b"new",
        "large/checkpoints/model.safetensors": b"no",
    },
    "me/flax": TINY,
    "me/onnx": {"config.json": b"{}", "onnx/encoder_model.onnx": b"no"},
    "me/nothing": {"config.json": b"{}"},
}
FAILURES = {
    "me/absent": (404, "RepoNotFound"),
    "me/gated": (403, "GatedRepo"),
    "me/broken": (500, ""),
}


class Hub(http.server.BaseHTTPRequestHandler):
    """The routes of the hub that a download of a snapshot asks."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.partition("?")[0].strip("/").removeprefix("api/models/")
        repository = "/".join(path.split("/")[:2])
        if repository in FAILURES:
            status, code = FAILURES[repository]
            return self.answer(status, b"", {"X-Error-Code": code} if code else {})
        verb, revision, *rest = path.split("/")[2:]
        files = REPOSITORIES[repository]
        if revision not in ("main", "v1", SHA):
            return self.answer(404, b"", {"X-Error-Code": "RevisionNotFound"})
        if verb == "revision":
            siblings = [{"rfilename": name} for name in files]
            return self.json({"id": repository, "sha": SHA, "siblings": siblings, "tags": []})
        if verb == "tree":
            return self.json(
                [
                    {"type": "file", "path": name, "size": len(content), "oid": digest(content)}
                    for name, content in files.items()
                ]
            )
        content = files["/".join(rest)]
        self.server.sent.append(f"{repository}/{'/'.join(rest)}")
        return self.answer(200, content, {"ETag": f'"{digest(content)}"', "X-Repo-Commit": SHA})

    do_HEAD = do_GET

    def json(self, value):
        self.answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def answer(self, status, content, headers):
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *args):
        pass


def digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


def fetch_all(urls: list[str], home: pathlib.Path, **environment: str) -> dict[str, list[str]]:
    """Fetches in a process of its own, since the hub's library reads its settings on import.

    Returns:
        For each URL the local folder and the names in it, or "error" and the message.
    """
    program = (
        "import json, pathlib, sys\n"
        "from closedbook.checkpoints.places.remote import UserError, fetch\n"
        "for url in sys.argv[1:]:\n"
        "    try:\n"
        "        folder = fetch(url)\n"
        "        names = sorted(p.name for p in folder.iterdir() if p.is_file())\n"
        "        print(json.dumps([url, [str(folder), *names]]))\n"
        "    except UserError as error:\n"
        "        print(json.dumps([url, ['error', str(error)]]))\n"
    )
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", program, *urls],
        env=clean | {"HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines())


@pytest.fixture(scope="module")
def online(tmp_path_factory):
    """What fetching from the hub gave: (results by URL, files sent, the hub's cache)."""
    pytest.importorskip(
        "huggingface_hub", reason="an optional dependency, of the extra huggingface"
    )
    home = tmp_path_factory.mktemp("hub")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.daemon_threads = True
    server.sent = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    urls = [
        "both",
        "old",
        "old@v1",
        "folders/large",
        "flax",
        "onnx",
        "nothing",
        "both@v9",
        "absent",
        "gated",
        "broken",
    ]
    endpoint = f"http://127.0.0.1:{server.server_port}"
    results = fetch_all([f"hf://me/{url}" for url in urls], home, HF_ENDPOINT=endpoint)
    server.shutdown()
    server.server_close()
    return results, server.sent, home


def test_safetensors_are_preferred_and_nothing_else_is_downloaded(online):
    results, sent, _ = online
    folder, *names = results["hf://me/both"]
    assert names == ["config.json", "model.safetensors", "spiece.model"]
    assert (pathlib.Path(folder) / "model.safetensors").read_bytes() == b"new"
    assert not [
        name for name in sent if name.endswith((".md", ".msgpack", "both/pytorch_model.bin"))
    ]


def test_torch_files_are_taken_where_there_are_no_safetensors(online):
    wanted = ["config.json", "pytorch_model-00001-of-00001.bin", "pytorch_model.bin.index.json"]
    for url in ["hf://me/old", "hf://me/old@v1"]:
        folder, *names = online[0][url]
        assert names == [*wanted, "spiece.model"]
        assert not (pathlib.Path(folder) / "onnx").exists()


def test_folder_of_a_repository_is_taken_alone(online):
    folder, *names = online[0]["hf://me/folders/large"]
    assert names == ["config.json", "model.safetensors"]
    assert pathlib.Path(folder).name == "large"
    assert not (pathlib.Path(folder) / "checkpoints").exists()
    assert not (pathlib.Path(folder).parent / "config.json").exists()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("hf://me/flax", "holds weights of Flax alone (flax_model.msgpack); save them"),
        ("hf://me/onnx", "holds an ONNX export alone (onnx/); an export is for inference"),
        ("hf://me/nothing", "has neither safetensors nor pytorch_model.bin"),
        ("hf://me/both@v9", "has no revision 'v9'"),
        ("hf://me/absent", "does not exist, or is private"),
        ("hf://me/gated", "accept its terms at https://huggingface.co/me/gated"),
        ("hf://me/broken", "is not in the local cache"),
    ],
)
def test_what_the_hub_refuses_is_said_plainly(online, url, message):
    kind, text = online[0][url]
    assert kind == "error"
    assert text.startswith(url)
    assert message in text


@pytest.mark.parametrize(
    "settings",
    [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}],
    ids=["offline by wish", "unreachable"],
)
def test_cache_is_enough_without_network(online, settings):
    results, _, home = online
    urls = ["hf://me/both", "hf://me/old", "hf://me/old@v1", "hf://me/folders/large"]
    foreign = foreign_cache(home)
    again = fetch_all([*urls, "hf://me/foreign", "hf://me/never"], home, **settings)
    assert {url: again[url] for url in urls} == {url: results[url] for url in urls}
    assert again["hf://me/foreign"] == [str(foreign), "config.json", "model.safetensors"]
    kind, message = again["hf://me/never"]
    assert kind == "error"
    assert "is not in the local cache" in message


def foreign_cache(home: pathlib.Path) -> pathlib.Path:
    """A snapshot as another program leaves it: refs/<branch> names a commit, files are links."""
    repository = home / "hub" / "models--me--foreign"
    snapshot = repository / "snapshots" / SHA
    for folder in [snapshot, repository / "refs", repository / "blobs"]:
        folder.mkdir(parents=True, exist_ok=True)
    (repository / "refs" / "main").write_text(SHA)
    for name in ["config.json", "model.safetensors"]:
        blob = repository / "blobs" / digest(name.encode())
        if not blob.exists():
            blob.write_text(name)
            (snapshot / name).symlink_to(f"../../blobs/{blob.name}")
    return snapshot
